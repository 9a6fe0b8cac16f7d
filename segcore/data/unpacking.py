"""Unpacks an archive of a data set into an empty folder: regular files alone, none outside of it, and no bombs.

Where archives come from, and that each is unpacked once, lives in `bringing`.
"""

import gzip
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final
from zipfile import BadZipFile, ZipFile

from segcore.errors import DataError, StorageError

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz")
MOST_TIMES: Final = 100
"""An archive that unpacks to more than so many times its size is a bomb; pictures hardly shrink."""

_LEAST_LIMIT_BYTES: Final = 64 << 20
_SPARE_BYTES: Final = 256 << 20
_BLOCK_BYTES: Final = 4096
"""What even an empty file takes of a disk."""
_CHUNK_BYTES: Final = 1 << 20
_LONGEST_READ_BYTES: Final = 16 << 20
"""Of the notes before a file in a tar, which are read at once."""
_LEFT_OUT: Final = "__MACOSX"
_ENCRYPTED: Final = 1

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A regular file in an archive.

    Args:
        name: as the archive has it.
        size: bytes, as it says.
        open: opens its content.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(name: str) -> bool:
    """Say whether a file is an archive, by its name."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, progress: Progress | None = None) -> None:
    """Write every regular file of an archive into an empty folder.

    Args:
        archive: a file with a name that `is_archive`.
        folder: which exists.
        progress: told how many of the archive's bytes are read.

    Raises:
        DataError: when it is damaged, holds what is no regular file or lies outside, or unpacks to far too much.
        StorageError: when the disk is too small or cannot be written.
    """
    tell = progress or (lambda done, total: None)
    with _read_errors_told(archive), archive.open("rb") as stream:
        total = archive.stat().st_size
        room = _Room(archive, folder, total)
        for member in _list_zip(archive, stream, room) if _is_zip(archive) else _list_tar(archive, stream, room):
            target = folder / _place(archive, member.name)
            _write(archive, member, target)
            tell(stream.tell(), total)


class _Room:
    """How much may yet be unpacked.

    Args:
        archive: what is unpacked.
        folder: where to.
        size: of the archive, bytes.
    """

    def __init__(self, archive: Path, folder: Path, size: int) -> None:
        self._archive = archive
        self._folder = folder
        self._most = max(MOST_TIMES * size, _LEAST_LIMIT_BYTES)
        self._free = shutil.disk_usage(folder).free - _SPARE_BYTES
        self._taken = 0

    def take(self, size: int) -> None:
        """Take so many bytes.

        Raises:
            DataError: when it is far more than an archive of pictures holds.
            StorageError: when it is more than the disk has.
        """
        self._taken += size
        if self._taken > self._most:
            raise DataError(
                f"{self._archive} unpacks to more than {MOST_TIMES} times its size, as no pictures do, and is not "
                "unpacked; if it is what it should be, unpack it yourself and give the folder."
            )
        if self._taken > self._free:
            raise StorageError(
                f"{self._archive} needs {self._taken / 2**30:.1f} GiB or more, but {self._folder} has "
                f"{max(0, self._free) / 2**30:.1f} GiB to spare; make room, or choose another folder with --cache."
            )


def _list_zip(archive: Path, stream: IO[bytes], room: _Room) -> Iterator[_Member]:
    with ZipFile(stream) as opened:
        infos = [info for info in opened.infolist() if not info.is_dir()]
        # The table of contents says all beforehand, and no file gives more than it says.
        room.take(sum(max(info.file_size, _BLOCK_BYTES) for info in infos))
        for info in infos:
            if info.flag_bits & _ENCRYPTED:
                raise DataError(f"{archive}: {info.filename!r} is encrypted; unpack it yourself and give the folder.")
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise _irregular(archive, info.filename)
            if not _is_left_out(info.filename):
                name = info.filename.replace("\\", "/")
                yield _Member(name=name, size=info.file_size, open=partial(opened.open, info))


def _list_tar(archive: Path, stream: IO[bytes], room: _Room) -> Iterator[_Member]:
    plain: Any = stream
    if not archive.name.lower().endswith(".tar"):
        plain = gzip.GzipFile(fileobj=stream)
    bounded: Any = _Bounded(archive, plain)
    with tarfile.open(fileobj=bounded, mode="r:") as opened:
        while (member := opened.next()) is not None:
            # It keeps a list of all, which would grow with the archive.
            opened.members.clear()  # type: ignore[attr-defined]
            if member.isdir() or _is_left_out(member.name):
                continue
            if not member.isreg() or member.sparse is not None:
                raise _irregular(archive, member.name)
            room.take(max(member.size, _BLOCK_BYTES))
            yield _Member(name=member.name, size=member.size, open=partial(_content, opened, member))


class _Bounded:
    """Reads a tar, refusing notes so long that they could only be meant to fill the memory.

    Args:
        archive: what is read, for a person.
        stream: its content, decompressed.
    """

    def __init__(self, archive: Path, stream: IO[bytes]) -> None:
        self._archive = archive
        self._stream = stream
        self.tell, self.seek = stream.tell, stream.seek

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes."""
        if not 0 <= size <= _LONGEST_READ_BYTES:
            raise DataError(f"{self._archive} is damaged: a note of {size} bytes stands in it; make it anew.")
        return self._stream.read(size)


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = opened.extractfile(member)
    assert content is not None, "only regular files are asked for"
    return content


def _place(archive: Path, name: str) -> PurePosixPath:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\0" in name or not place.parts:
        raise DataError(
            f"{archive}: {name!r} would lie outside of the folder that it is unpacked into, and nothing is; "
            "get the archive from whom you trust, or unpack it yourself and give the folder."
        )
    return place


def _write(archive: Path, member: _Member, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        written = target.open("xb")
    except FileExistsError as error:
        raise DataError(f"{archive}: {member.name!r} occurs twice; make the archive anew.") from error
    except OSError as error:
        raise _unwritable(target, error) from error
    left = member.size
    with written, member.open() as content:
        while chunk := content.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise DataError(f"{archive}: {member.name!r} holds more than it says; make the archive anew.")
            try:
                written.write(chunk)
            except OSError as error:
                raise _unwritable(target, error) from error
    if left:
        raise DataError(f"{archive}: {member.name!r} is cut short; copy the archive again.")


def _is_zip(archive: Path) -> bool:
    return archive.name.lower().endswith(".zip")


def _is_left_out(name: str) -> bool:
    # What macOS adds to each file.
    return PurePosixPath(name).parts[:1] == (_LEFT_OUT,)


def _irregular(archive: Path, name: str) -> DataError:
    return DataError(
        f"{archive}: {name!r} is no regular file (a link or a device); unpack it yourself and give the folder."
    )


def _unwritable(target: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{target} cannot be written ({error.strerror or error}); make room, or choose another folder with --cache."
    )


@contextmanager
def _read_errors_told(archive: Path) -> Iterator[None]:
    try:
        yield
    # Whatever a damaged archive makes its reader raise.
    except (BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError,
            OverflowError, MemoryError) as error:  # fmt: skip
        raise DataError(
            f"{archive} cannot be unpacked ({str(error) or type(error).__name__}); copy it again, or unpack it "
            "yourself and give the folder."
        ) from error
