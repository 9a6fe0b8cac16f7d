"""Files that are there whole or not at all: no reader meets half of one, and no failure leaves half of one behind."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_CLOSED: Final = "let this user write there, or choose another folder"
_FULL: Final = "make room on its disk, or choose a folder on another"
_REMEDIES: Final = {
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.ENOENT: "make its folder first",
    errno.ENOTDIR: "choose a folder, not what lies in a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
}


def explain_unwritten(error: OSError) -> str:
    """Return why something cannot be written, and what its user does then."""
    remedy = _REMEDIES.get(error.errno or 0, "choose another folder, on a disk with free space")
    return f"cannot be written ({error.strerror or error}); {remedy}"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield the place to write a file to, beside it; what is written takes its place when the block ends well.

    Args:
        file: in a folder that is there; when the block raises, it stays as it is.

    Raises:
        OSError: when it cannot be replaced.
    """
    # Two threads, processes or machines may write it at once, or files that differ in their ending alone.
    temporary = file.with_suffix(f".{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(file)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_lasting(file: Path, content: bytes) -> None:
    """Write a file without which work is lost: whole or not at all, also where the machine loses its power.

    Args:
        file: in a folder that is there; when it cannot be written, it stays as it is.
        content: all of it.

    Raises:
        OSError: when it cannot be written.
    """
    with replacing(file) as temporary, temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        # File systems may keep the new name before what the file holds, and a crash then leaves it empty.
        os.fsync(stream.fileno())
