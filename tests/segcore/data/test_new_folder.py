import os

import pytest

from segcore.data.new_folder import link_or_copy, new_folder
from segcore.errors import StorageError


def test_folder_appears_when_all_is_written(tmp_path):
    with new_folder(tmp_path / "out") as part:
        (part / "a.txt").write_text("a")
        assert not (tmp_path / "out").exists()
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no room")])
def test_nothing_stays_of_one_that_was_not_finished(tmp_path, error):
    with pytest.raises((KeyboardInterrupt, StorageError)), new_folder(tmp_path / "out") as part:
        (part / "a.txt").write_text("a")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_of_this_number_left_is_taken_away(tmp_path):
    """A container's first process is always number 1."""
    left = tmp_path / f"out.{os.getpid()}.part"
    left.mkdir()
    (left / "b.txt").write_text("b")
    with new_folder(tmp_path / "out") as part:
        (part / "a.txt").write_text("a")
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["a.txt", "out"]


def test_what_is_there_already_is_kept(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(StorageError, match="holds something already"), new_folder(tmp_path):
        pytest.fail("nothing is to be written")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_image_is_linked_on_one_disk(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"pixels")
    link_or_copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert (tmp_path / "a.jpg").samefile(tmp_path / "b.jpg")
