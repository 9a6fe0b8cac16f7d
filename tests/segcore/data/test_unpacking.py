import gzip
import io
import math
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from segcore.data import members, unpacking
from segcore.data.unpacking import is_archive, unpack
from segcore.errors import DataError, StorageError

FILES = {"streets/a.jpg": b"jpg" * 100, "streets/deep/er/b.png": b"", "top.txt": b"x"}
SUFFIXES = ["zip", "tar", "tar.gz", "tgz"]


def pack(archive: Path, files: dict[str, bytes]) -> Path:
    """Write an archive by Python's own packers."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
        return archive
    with tarfile.open(archive, "w" if archive.suffix == ".tar" else "w:gz") as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return archive


def pack_tar(archive: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(archive, "w") as packed:
        for info in infos:
            packed.addfile(info)
    return archive


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def read(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_regular_file_is_unpacked_and_told(suffix, tmp_path, out):
    of_a_mac = {"__MACOSX/a": b"?", "streets/._a.jpg": b"?", ".DS_Store": b"?"}
    archive, told = (
        pack(tmp_path / f"x.{suffix}", {**FILES, **of_a_mac}),
        [],
    )
    unpack(archive, out, lambda done, total: told.append((done, total)))
    assert read(out) == FILES
    assert len(told) == 3 and told[-1][1] == archive.stat().st_size
    assert all(done <= total for done, total in told)


@pytest.mark.parametrize(
    ("name", "told"),
    [("x.zip", True), ("x.TAR.GZ", True), ("x.tgz", True), ("x.gz", False), ("zip", False), ("x.tar.xz", False)],
)
def test_archives_are_known_by_their_names(name, told):
    assert is_archive(name) == told


@pytest.mark.parametrize("suffix", ["zip", "tar", "tgz"])
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "/tmp/../evil", ".."])
def test_nothing_is_written_outside_of_the_folder(suffix, name, tmp_path, out):
    archive = pack(tmp_path / f"x.{suffix}", {name: b"evil"})
    with pytest.raises(DataError, match=r"'.*evil|'\.\.'"):
        unpack(archive, out)
    assert not (tmp_path / "evil").exists() and not Path("/evil").exists() and read(out) == {}


def test_backslashes_of_a_zip_from_windows_are_folders_and_no_way_out(tmp_path, out):
    unpack(pack(tmp_path / "x.zip", {"a\\b.jpg": b"1"}), out)
    assert read(out) == {"a/b.jpg": b"1"}
    with pytest.raises(DataError, match="outside"):
        unpack(pack(tmp_path / "y.zip", {"..\\b.jpg": b"1"}), out)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(kind, tmp_path, out):
    info = tarfile.TarInfo("streets/link")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match="'streets/link' is no regular file"):
        unpack(pack_tar(tmp_path / "x.tar", info), out)
    assert list(out.rglob("link")) == []


def test_a_link_in_a_zip_is_refused(tmp_path, out):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="no regular file"):
        unpack(tmp_path / "x.zip", out)


@pytest.mark.parametrize("suffix", ["zip", "tgz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(suffix, tmp_path, out, monkeypatch):
    monkeypatch.setattr(unpacking, "_LEAST_LIMIT_BYTES", 1 << 16)
    archive = pack(tmp_path / f"x.{suffix}", {"zeros": bytes(32 << 20)})
    with pytest.raises(DataError, match="more than 100 times its size"):
        unpack(archive, out)
    assert sum(map(len, read(out).values())) == 0


@pytest.mark.parametrize("suffix", ["zip", "tgz"])
def test_a_million_empty_files_are_a_bomb_too(suffix, tmp_path, out, monkeypatch):
    monkeypatch.setattr(unpacking, "_LEAST_LIMIT_BYTES", 1 << 16)
    monkeypatch.setattr(unpacking, "MOST_TIMES", 1)
    with pytest.raises(DataError, match="times its size"):
        unpack(pack(tmp_path / f"x.{suffix}", {f"{number}": b"" for number in range(100)}), out)
    assert len(read(out)) <= 16


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_what_the_disk_does_not_hold_is_refused(suffix, tmp_path, out, monkeypatch):
    free = os.statvfs(out).f_bavail * os.statvfs(out).f_frsize
    monkeypatch.setattr(unpacking, "_SPARE_BYTES", 2 * free)
    with pytest.raises(StorageError, match=r"to spare; make room, or choose another folder with --cache"):
        unpack(pack(tmp_path / f"x.{suffix}", FILES), out)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folders_in_each_other_that_nothing_could_remove_again_are_refused(suffix, tmp_path, out):
    unpack(pack(tmp_path / f"flat.{suffix}", {"a/" * 99 + "x": b"x"}), out)
    with pytest.raises(DataError, match=r"deep.*lies in 1100 folders, at most 99 are unpacked; make the archive anew"):
        unpack(pack(tmp_path / f"deep.{suffix}", {"b/" * 1100 + "x": b"x"}), out)
    assert not (out / "b").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_more_files_than_a_data_set_has_are_refused(suffix, tmp_path, out, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_FILES", 3)
    unpack(pack(tmp_path / f"three.{suffix}", dict.fromkeys("abc", b"x")), out)
    with pytest.raises(DataError, match=r"four.* holds more than 3 files and folders, .* unpack it yourself"):
        unpack(pack(tmp_path / f"four.{suffix}", dict.fromkeys("ABCD", b"x")), out)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_more_files_than_the_disk_has_room_for_are_refused(suffix, tmp_path, out, monkeypatch):
    monkeypatch.setattr(unpacking, "count_free_files", lambda folder: unpacking.SPARE_FILES + 1)
    with pytest.raises(StorageError, match=r"holds 2 files or more, but the disk of .* has room for 1 \(df -i tells\)"):
        unpack(pack(tmp_path / f"x.{suffix}", dict.fromkeys("ab", b"x")), out)


@pytest.mark.parametrize(("counted", "free"), [(100, 40.0), (0, math.inf)])
def test_disks_that_count_no_files_have_room_for_all(counted, free, tmp_path, monkeypatch):
    real = os.statvfs(tmp_path)
    told = os.statvfs_result((*real[:5], counted, 40, 40, *real[8:]))
    monkeypatch.setattr(unpacking.os, "statvfs", lambda folder: told)
    assert unpacking.count_free_files(tmp_path) == free


def test_contents_of_a_zip_that_would_fill_the_memory_are_refused(tmp_path, out, monkeypatch):
    monkeypatch.setattr(members, "_LONGEST_CONTENTS_BYTES", 150)
    # Each file has 46 bytes and its name in the table of contents.
    unpack(pack(tmp_path / "three.zip", dict.fromkeys("abc", b"x")), out)
    with pytest.raises(DataError, match=r"has a table of contents of 0 MiB, as no pictures need"):
        unpack(pack(tmp_path / "four.zip", dict.fromkeys("ABCD", b"x")), out)


def test_notes_that_would_fill_the_memory_are_refused(tmp_path, out):
    """A tar's extended header is read whole: here it says that it has 1 TiB."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    archive = tmp_path / "x.tar"
    archive.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="a note of 1099511627776 bytes"):
        unpack(archive, out)


def test_an_encrypted_zip_is_refused(tmp_path, out):
    archive = pack(tmp_path / "x.zip", {"a": b"1"})
    content = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        unpack(archive, out)


def test_a_file_that_holds_more_than_the_table_of_contents_says_is_refused(tmp_path, out):
    archive = pack(tmp_path / "x.zip", {"a": bytes(1000)})
    content = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(mark) + offset
        content[place : place + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError):
        unpack(archive, out)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_name_that_occurs_twice_is_refused(suffix, tmp_path, out):
    archive = tmp_path / f"x.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as packed, pytest.warns(UserWarning):
            packed.writestr("a", "1")
            packed.writestr("a", "2")
    else:
        infos = [tarfile.TarInfo("a"), tarfile.TarInfo("a")]
        pack_tar(archive, *infos)
        if suffix != "tar":
            archive.write_bytes(gzip.compress(archive.read_bytes()))
    with pytest.raises(DataError, match="'a' occurs twice"):
        unpack(archive, out)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archives_cut_short_or_damaged_anywhere_are_refused_or_mean_the_same(suffix, tmp_path, out):
    """But for a plain tar, which knows no digest of its contents."""
    whole = pack(tmp_path / f"whole.{suffix}", FILES).read_bytes()
    archive = tmp_path / f"x.{suffix}"
    for position in range(0, len(whole), 97 if suffix == "tar" else 37):
        for content in (
            whole[:position],
            whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :],
        ):
            archive.write_bytes(content)
            target = out / f"{position}-{len(content)}"
            target.mkdir()
            try:
                unpack(archive, target)
                assert suffix == "tar" or read(target) == FILES
            except DataError as error:
                assert str(archive) in str(error)


def test_a_tar_cut_or_damaged_between_two_files_is_not_taken_for_its_beginning(tmp_path, out):
    whole = pack(tmp_path / "whole.tar", FILES).read_bytes()
    second = whole.index(b"streets/deep")
    archive = tmp_path / "x.tar"
    for content in (whole[:second], whole[:second] + b"?" + whole[second + 1 :]):
        archive.write_bytes(content)
        with pytest.raises(DataError, match="damaged or cut short between two files"):
            unpack(archive, out)
        shutil.rmtree(out / "streets")


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def test_many_notes_that_would_fill_the_memory_together_are_refused(tmp_path, out, monkeypatch):
    """Here a table of holes that goes on for as long as the archive does, a number for two bytes."""
    monkeypatch.setattr(members, "_LONGEST_READ_BYTES", 1 << 16)
    note = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    holes = b"1" + b"0" * 9 + b"\n" + b"0\n" * (1 << 17)
    content = header(tarfile.XHDTYPE, len(note)) + note.ljust(512, b"\0") + header(tarfile.REGTYPE, 512) + holes
    (tmp_path / "x.tgz").write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match="a note of 512 bytes"):
        unpack(tmp_path / "x.tgz", out)


@pytest.mark.parametrize("name", ["__MACOSX/x", "x"])
def test_a_tar_that_sends_its_reader_back_is_refused(name, tmp_path, out):
    """With a negative size the next file is this one, for ever."""
    (tmp_path / "x.tar").write_bytes(header(tarfile.REGTYPE, -512, name) + bytes(1024))
    with pytest.raises(DataError, match="-512 bytes"):
        unpack(tmp_path / "x.tar", out)


@pytest.mark.parametrize("suffix", ["zip", "tgz"])
def test_folders_without_end_are_a_bomb_too(suffix, tmp_path, out, monkeypatch):
    monkeypatch.setattr(unpacking, "_LEAST_LIMIT_BYTES", 1 << 18)
    monkeypatch.setattr(unpacking, "MOST_TIMES", 1)
    with pytest.raises(DataError, match="times its size"):
        unpack(pack(tmp_path / f"x.{suffix}", {f"{number}/" * 30 + "x": b"" for number in range(9)}), out)
    assert len(list(out.rglob("*"))) <= 64


@pytest.mark.parametrize("suffix", ["zip", "tar"])
@pytest.mark.parametrize("name", ["C:\\x", "C:x", "\\x", "\\\\host\\share\\x", "a\\..\\..\\x"])
def test_places_of_windows_are_refused(suffix, name, tmp_path, out):
    with pytest.raises(DataError, match="outside"):
        unpack(pack(tmp_path / f"x.{suffix}", {name: b"1"}), out)
    assert read(out) == {}


def test_folders_of_a_zip_from_windows_are_no_files(tmp_path, out):
    unpack(pack(tmp_path / "x.zip", {"streets\\": b"", "streets\\a.jpg": b"1"}), out)
    assert read(out) == {"streets/a.jpg": b"1"}


def test_only_methods_that_take_little_memory_are_read(tmp_path, out):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("a", "1")
    with pytest.raises(DataError, match="'a' is compressed by method 14"):
        unpack(tmp_path / "x.zip", out)


@pytest.mark.parametrize("suffix", ["zip", "tgz"])
@pytest.mark.parametrize("names", [("a", "a/b"), ("a", "a/b/c"), ("a/b", "a")])
def test_a_name_of_a_file_and_of_a_folder_is_refused(suffix, names, tmp_path, out):
    with pytest.raises(DataError, match="occurs twice, or as a folder too"):
        unpack(pack(tmp_path / f"x.{suffix}", dict.fromkeys(names, b"1")), out)


@pytest.mark.parametrize("name", ["a" * 300, f"{'a' * 200}/" * 40 + "b"])
def test_a_name_that_no_disk_takes_is_refused(name, tmp_path, out, monkeypatch):
    with pytest.raises(DataError, match="too long for a name"):
        unpack(pack(tmp_path / "x.tgz", {name: b"1"}), out)


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_names_that_differ_in_case_alone_are_two_files(suffix, tmp_path, out):
    unpack(pack(tmp_path / f"x.{suffix}", {"a": b"1", "A": b"2"}), out)
    assert read(out) == {"a": b"1", "A": b"2"}


def test_what_is_no_archive_is_told(tmp_path, out):
    for suffix in SUFFIXES:
        archive = tmp_path / f"x.{suffix}"
        for content in (b"", b"no archive at all", b"\0" * 100):
            archive.write_bytes(content)
            with pytest.raises(DataError, match="cannot be unpacked"):
                unpack(archive, out)
