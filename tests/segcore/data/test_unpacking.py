import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from segcore.data import unpacking
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
    archive, told = pack(tmp_path / f"x.{suffix}", {**FILES, "__MACOSX/._a.jpg": b"?"}), []
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
def test_archives_cut_short_or_damaged_anywhere_end_in_a_message(suffix, tmp_path, out):
    whole = pack(tmp_path / f"whole.{suffix}", FILES).read_bytes()
    archive = tmp_path / f"x.{suffix}"
    for position in range(0, len(whole), 37):
        for content in (
            whole[:position],
            whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :],
        ):
            archive.write_bytes(content)
            target = out / f"{position}-{len(content)}"
            target.mkdir()
            try:
                unpack(archive, target)
            except DataError as error:
                assert str(archive) in str(error)


def test_what_is_no_archive_is_told(tmp_path, out):
    for suffix in SUFFIXES:
        archive = tmp_path / f"x.{suffix}"
        for content in (b"", b"no archive at all", b"\0" * 100):
            archive.write_bytes(content)
            with pytest.raises(DataError, match="cannot be unpacked"):
                unpack(archive, out)
