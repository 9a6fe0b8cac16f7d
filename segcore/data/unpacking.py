"""Unpacks an archive of a data set into an empty folder: regular files alone, none outside of it, and no bombs.

What is in an archive is listed in `members`; where it comes from, and that it is unpacked once, is in `bringing`.
"""

import errno
import math
import os
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final
from zipfile import BadZipFile

from segcore.data.members import Member, list_tar, list_zip
from segcore.errors import DataError, StorageError

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz")
MOST_TIMES: Final = 100
"""An archive that unpacks to more than so many times its size is a bomb; pictures hardly shrink."""

MOST_FILES: Final = 1_000_000
"""Files and folders of an archive; a data set of pictures has a tenth of them, and each takes memory and disk."""
_MOST_LEVELS: Final = 100
"""Folders in each other in an archive; what lies deeper, programs that remove folders cannot remove."""
SPARE_FILES: Final = 1000
"""So many others may yet be made on the disk."""
_LEAST_LIMIT_BYTES: Final = 64 << 20
_SPARE_BYTES: Final = 256 << 20
_BLOCK_BYTES: Final = 4096
"""What even an empty file takes of a disk."""
_CHUNK_BYTES: Final = 1 << 20

Progress = Callable[[int, int], None]


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
        list_members = list_zip if archive.name.lower().endswith(".zip") else list_tar
        for member in list_members(archive, stream, room.take):
            _write(archive, member, folder / _place(archive, member.name), room)
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
        self._free_files = count_free_files(folder) - SPARE_FILES
        self._taken = self._files = 0

    def take(self, size: int) -> None:
        """Take so many bytes for a file or folder; even an empty one takes a block.

        Raises:
            DataError: when it is far more than an archive of pictures holds.
            StorageError: when it is more than the disk has.
        """
        self._files += 1
        self._taken += max(size, _BLOCK_BYTES)
        if self._files > MOST_FILES:
            raise DataError(
                f"{self._archive} holds more than {MOST_FILES:,} files and folders, as no pictures do, and is not "
                "unpacked; if it is what it should be, unpack it yourself and give the folder."
            )
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
        if self._files > self._free_files:
            raise StorageError(
                f"{self._archive} holds {self._files:,} files or more, but the disk of {self._folder} has room for "
                f"{max(0, self._free_files):,.0f} (df -i tells); delete some there, or choose another folder with "
                "--cache."
            )


def unplaceable(whole: str, name: str, target: Path, error: OSError, remedy: str) -> DataError | StorageError:
    """Return the error of a file for which no place can be made on this machine.

    Args:
        whole: the archive or address that it comes from.
        name: of the file in it.
        target: its place here.
        error: what the system says.
        remedy: what to do where its name is the cause.
    """
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return DataError(f"{whole}: {name!r} occurs twice, or as a folder too; {remedy}.")
    if error.errno == errno.ENAMETOOLONG:
        return DataError(f"{whole}: {name[:80]!r}... is too long for a name; {remedy}.")
    return _unwritable(target, error)


def count_free_files(folder: Path) -> float:
    """Return how many files and folders can yet be made on a folder's disk; infinite where they are not counted."""
    disk = os.statvfs(folder)
    return disk.f_favail if disk.f_files else math.inf


def _place(archive: Path, name: str) -> PurePosixPath:
    place, elsewhere = PurePosixPath(name), PureWindowsPath(name)
    if place.is_absolute() or elsewhere.anchor or ".." in elsewhere.parts or "\0" in name or not place.parts:
        raise DataError(
            f"{archive}: {name!r} would lie outside of the folder that it is unpacked into, and nothing is; "
            "get the archive from whom you trust, or unpack it yourself and give the folder."
        )
    if len(place.parts) > _MOST_LEVELS:
        raise DataError(
            f"{archive}: '{name[:40]}...' lies in {len(place.parts) - 1} folders, at most {_MOST_LEVELS - 1} are "
            "unpacked; make the archive anew with fewer."
        )
    return place


def _write(archive: Path, member: Member, target: Path, room: _Room) -> None:
    try:
        _make_folder(target.parent, room)
        written = target.open("xb")
    except OSError as error:
        raise unplaceable(str(archive), member.name, target, error, "make the archive anew") from error
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


def _make_folder(folder: Path, room: _Room) -> None:
    """Make a folder and those that it lies in; a name of a few bytes may ask for a thousand."""
    missing = []
    while not folder.is_dir():
        room.take(0)
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir()


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
            OverflowError, MemoryError, struct.error) as error:  # fmt: skip
        raise DataError(
            f"{archive} cannot be unpacked ({str(error) or type(error).__name__}); copy it again, or unpack it "
            "yourself and give the folder."
        ) from error
