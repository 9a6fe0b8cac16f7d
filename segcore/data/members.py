"""The regular files in an archive, one by one; links, devices and archives made to fill the memory are refused.

Where they are written, and how much, lives in `unpacking`.
"""

import gzip
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from segcore.errors import DataError

_LONGEST_READ_BYTES: Final = 16 << 20
"""Of the notes before a file in a tar, which are read at once."""
_LONGEST_CONTENTS_BYTES: Final = 128 << 20
"""Of the table of contents of a ZIP, which is read at once; a million files have one of so much."""
_HEADER_BYTES: Final = 512
"""Of a tar; one of zeros ends it."""
_LEFT_OUT: Final = "__MACOSX"
_ENCRYPTED: Final = 1

Take = Callable[[int], None]
"""Told of each file or folder how many bytes it takes; raises when it is too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A regular file in an archive.

    Args:
        name: as the archive has it.
        size: bytes, as it says.
        open: opens its content.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def list_zip(archive: Path, stream: IO[bytes], take: Take) -> Iterator[Member]:
    """Yield the files of a ZIP archive.

    Args:
        archive: what is read, for a person.
        stream: its content.
        take: told of all files first.

    Raises:
        DataError: when one is encrypted, no regular file, or packed by a method that takes much memory.
    """
    bounded: Any = _ZipReader(archive, stream)
    with ZipFile(bounded) as opened:
        infos = opened.infolist()
        # The table of contents says all beforehand, and no file gives more than it says.
        for info in infos:
            take(info.file_size)
        for info in infos:
            # Windows has other strokes.
            name = info.filename.replace("\\", "/")
            if name.endswith("/") or _is_left_out(name):
                continue
            _require_plain(archive, info)
            yield Member(name=name, size=info.file_size, open=partial(opened.open, info))


class _ZipReader:
    """Reads a ZIP, refusing a table of contents that could only be meant to fill the memory.

    Args:
        archive: what is read, for a person.
        stream: its content.
    """

    def __init__(self, archive: Path, stream: IO[bytes]) -> None:
        self._archive = archive
        self._stream = stream
        self.tell, self.seek, self.seekable, self.close = stream.tell, stream.seek, stream.seekable, stream.close

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes; what is packed is read in small pieces, the table of contents in one."""
        if size > _LONGEST_CONTENTS_BYTES:
            raise DataError(
                f"{self._archive} has a table of contents of {size / 2**20:.0f} MiB, as no pictures need, and is not "
                "unpacked; if it is what it should be, unpack it yourself and give the folder."
            )
        return self._stream.read(size)


def _require_plain(archive: Path, info: ZipInfo) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise DataError(f"{archive}: {info.filename!r} is encrypted; unpack it yourself and give the folder.")
    # Others make their reader take gigabytes of memory, and are hardly met.
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise DataError(
            f"{archive}: {info.filename!r} is compressed by method {info.compress_type} of the ZIP format, and only "
            "stored or deflated files are read; unpack it yourself and give the folder."
        )
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise _irregular(archive, info.filename)


def list_tar(archive: Path, stream: IO[bytes], take: Take) -> Iterator[Member]:
    """Yield the files of a tar; each is to be read before the next is asked for.

    Args:
        archive: what is read, for a person.
        stream: its content.
        take: told of each file or folder before it is yielded.

    Raises:
        DataError: when one is no regular file, or notes stand before one that would fill the memory.
    """
    plain: Any = stream
    if not archive.name.lower().endswith(".tar"):
        plain = gzip.GzipFile(fileobj=stream)
    reader = _TarReader(archive, plain)
    bounded: Any = reader
    with tarfile.open(fileobj=bounded, mode="r:") as opened:
        while (member := opened.next()) is not None:
            # It keeps all members and all common notes, which would grow with the archive.
            opened.members.clear()  # type: ignore[attr-defined]
            opened.pax_headers = {}
            if member.size < 0:
                raise tarfile.ReadError(f"a file of {member.size} bytes")
            take(member.size)
            if not member.isdir() and not _is_left_out(member.name):
                if not member.isreg() or member.sparse is not None:
                    raise _irregular(archive, member.name)
                reader.expect(member.size)
                yield Member(name=member.name, size=member.size, open=partial(_content, opened, member))
            reader.expect(0)
        reader.require_end()


class _TarReader:
    """Reads a tar, refusing notes so long that they could only be meant to fill the memory.

    Args:
        archive: what is read, for a person.
        stream: its content, decompressed.
    """

    def __init__(self, archive: Path, stream: IO[bytes]) -> None:
        self._archive = archive
        self._stream = stream
        self._left = _LONGEST_READ_BYTES
        self._last = b""
        self.tell, self.seek = stream.tell, stream.seek

    def expect(self, size: int) -> None:
        """Allow for the content of a file of so many bytes, and for the notes before the next."""
        self._left = size + _LONGEST_READ_BYTES

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes."""
        if not 0 <= size <= self._left:
            raise DataError(f"{self._archive} is damaged: a note of {size} bytes stands in it; make it anew.")
        self._left -= size
        self._last = self._stream.read(size)
        return self._last

    def require_end(self) -> None:
        """Raise unless what was read last ends a tar: its reader takes any damage between two files for an end."""
        if self._last != bytes(_HEADER_BYTES):
            raise tarfile.ReadError("it is damaged or cut short between two files")
        # What compressed it checks all of it at its end.
        self._stream.read(_LONGEST_READ_BYTES)


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = opened.extractfile(member)
    assert content is not None, "only regular files are asked for"
    return content


def _is_left_out(name: str) -> bool:
    # What macOS adds to each file.
    place = PurePosixPath(name)
    return place.parts[:1] == (_LEFT_OUT,) or place.name == ".DS_Store" or place.name.startswith("._")


def _irregular(archive: Path, name: str) -> DataError:
    return DataError(
        f"{archive}: {name!r} is no regular file (a link or a device); unpack it yourself and give the folder."
    )
