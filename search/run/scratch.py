"""Temporary folders of workers, which may be killed at any time: the next one on the machine clears up after them."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "street-search-scratch-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder, locked as long as this process lives, and delete it at the end."""
    made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
    lock = os.open(made, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It gets the name that is cleared up only now: who finds such a folder without a lock finds a dead worker's.
        folder = made.rename(made.with_name(made.name.removeprefix(".")))
        try:
            yield folder
        finally:
            # What cannot be deleted now is cleared up by the next worker.
            shutil.rmtree(folder, ignore_errors=True)
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
    if not own:
        return
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
