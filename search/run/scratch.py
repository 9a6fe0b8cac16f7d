"""Temporary folders of workers, which may be killed at any time: the next one on the machine clears up after them."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "street-search-"
_YOUNG_SECONDS: Final = 60.0
"""A folder so young may have been made and not yet locked."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder, locked as long as this process lives, and delete it at the end."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def clear_scratch() -> None:
    """Delete the temporary folders whose worker was killed; of other users there is nothing to delete."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another worker may clear up at the same time.
        with suppress(OSError):
            _delete_if_left(folder)


def _delete_if_left(folder: Path) -> None:
    found = folder.lstat()
    own = found.st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()
    if not own or time.time() - found.st_mtime < _YOUNG_SECONDS:
        return
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
