"""Files that are there whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from segcore.replacing import explain_unwritten, replacing, write_lasting


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("before", encoding="utf-8")
    with replacing(file) as temporary:
        temporary.write_text("after", encoding="utf-8")
        assert file.read_text(encoding="utf-8") == "before"
    assert file.read_text(encoding="utf-8") == "after"
    assert list(tmp_path.iterdir()) == [file]


def test_files_that_differ_in_their_ending_alone_may_be_written_at_once(tmp_path):
    table, picture = tmp_path / "trial.csv", tmp_path / "trial.svg"
    with replacing(table) as first, replacing(picture) as second, replacing(table) as third:
        for place, text in ((first, "table"), (second, "picture"), (third, "newer")):
            place.write_text(text, encoding="utf-8")
    assert table.read_text(encoding="utf-8") == "table"
    assert picture.read_text(encoding="utf-8") == "picture"
    assert len(list(tmp_path.iterdir())) == 2


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
    with pytest.raises(FileNotFoundError, match=r"a\.\w+\.tmp"), replacing(tmp_path / "none" / "a.json") as temporary:
        temporary.write_bytes(b"x")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EROFS, "cannot be written (Read-only file system); let this user write there, or choose another folder"),
        (errno.ENOENT, "cannot be written (No such file or directory); make its folder first"),
        (errno.ENOSPC, "cannot be written (No space left on device); make room on its disk, or choose a folder on an"),
        (errno.EIO, "cannot be written (Input/output error); choose another folder, on a disk with free space"),
    ],
)
def test_what_is_refused_is_told_with_what_to_do(number, told):
    assert explain_unwritten(OSError(number, os.strerror(number), "a.json")).startswith(told)


def test_what_work_rests_on_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    file, written = tmp_path / "a.json", []
    file.write_bytes(b"before")
    through = os.fsync

    def look(descriptor):
        through(descriptor)
        written.append((Path(f"/proc/self/fd/{descriptor}").readlink().read_bytes(), file.read_bytes()))

    monkeypatch.setattr(os, "fsync", look)
    write_lasting(file, b"after")
    assert written == [(b"after", b"before")]
    assert file.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [file]
