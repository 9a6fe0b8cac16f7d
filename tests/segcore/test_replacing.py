"""Files that are there whole or not at all."""

import pytest

from segcore.replacing import replacing


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("before", encoding="utf-8")
    with replacing(file) as temporary:
        temporary.write_text("after", encoding="utf-8")
        assert file.read_text(encoding="utf-8") == "before"
    assert file.read_text(encoding="utf-8") == "after"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("error", [OSError("the disk is full"), ValueError("refused"), KeyboardInterrupt()])
def test_whatever_ends_the_writing_leaves_what_was_there_and_no_half(tmp_path, error):
    file = tmp_path / "a.json"
    file.write_text("before", encoding="utf-8")
    with pytest.raises(type(error)), replacing(file) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error
    assert file.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_not_there_is_the_error_that_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.\d+\.tmp"), replacing(tmp_path / "none" / "a.json") as temporary:
        temporary.write_bytes(b"x")
