"""Reads files of folders that may be anyone's: a pipe in place of one would be waited for, a device read for ever."""

import errno
import stat
from pathlib import Path
from typing import IO


def refuse_irregular(file: Path) -> None:
    """Raise `OSError` for a pipe, a device or a folder, and for what is not there."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(file))


def open_regular(file: Path) -> IO[bytes]:
    """Open a file to read it.

    Raises:
        OSError: when it cannot be read, or is a pipe, a device or a folder.
    """
    refuse_irregular(file)
    return file.open("rb")


def read_regular(file: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: when it cannot be read, or is a pipe, a device or a folder.
    """
    with open_regular(file) as stream:
        return stream.read()
