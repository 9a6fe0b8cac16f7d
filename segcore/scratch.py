"""Temporary folders of processes that may be killed at any time: the next one on the machine clears up after them."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked_folder(prefix: str, parent: Path) -> Iterator[Path]:
    """Make a temporary folder, locked as long as this process lives, and delete it at the end.

    Args:
        prefix: its name begins so, and that of no folder of another kind does.
        parent: where it is made.
    """
    made = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=parent))
    lock = os.open(made, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It gets the name that is cleared up only now: who finds such a folder without a lock finds a dead process's.
        folder = made.rename(made.with_name(made.name.removeprefix(".")))
        try:
            yield folder
        finally:
            # What cannot be deleted now is cleared up by the next process.
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def clear_left(prefix: str, parent: Path, end: Callable[[Path], None] | None = None) -> None:
    """Delete the folders whose process was killed; of other users there is nothing to delete.

    Args:
        prefix: how their names begin.
        parent: where they are.
        end: ends what else is left of the process that made a folder.
    """
    for folder in parent.glob(f"{prefix}*"):
        # Another process may clear up at the same time.
        with suppress(OSError):
            _delete_if_left(folder, end)


def _delete_if_left(folder: Path, end: Callable[[Path], None] | None) -> None:
    found = folder.lstat()
    own = found.st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()
    if not own:
        return
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if end is not None:
            end(folder)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
