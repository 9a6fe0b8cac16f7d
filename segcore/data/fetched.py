"""Data sets that were fetched or unpacked into a folder of caches: where each lies, listed and removed.

    CACHE/fetched/IDENTITY              a whole one
    CACHE/fetched/IDENTITY.PID.part*    one that is not whole: fetched or removed now, or by a start that was killed

Fetching and unpacking them lives in `bringing`.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from segcore.errors import StorageError

FOLDER: Final = "fetched"
"""In the folder of caches."""
PART_SUFFIX: Final = ".part"
DIGEST_BYTES: Final = 16
_IDENTITY: Final = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
_UNFINISHED: Final = re.compile(rf"({_IDENTITY.pattern})\.\d+{re.escape(PART_SUFFIX)}(\..+)?")


def is_fetched(folder: Path) -> bool:
    """Say whether a folder is, or lies in, one that was fetched or unpacked into a folder of caches."""
    place = folder.resolve()
    return any(one.parent.name == FOLDER and _IDENTITY.fullmatch(one.name) for one in (place, *place.parents))


def list_fetched(root: Path) -> dict[Path, int]:
    """Return each data set that was fetched or unpacked into a folder of caches, and its bytes.

    Raises:
        StorageError: when the folder may not be read.
    """
    found: dict[Path, int] = {}
    for folder in _list_called(_IDENTITY, root):
        # Somebody may be removing it.
        with suppress(FileNotFoundError):
            found[folder] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return found


def list_unfinished(root: Path) -> tuple[Path, ...]:
    """Return what was not fetched, unpacked or removed to the end, or is now; in a folder of caches.

    Raises:
        StorageError: when the folder may not be read.
    """
    return _list_called(_UNFINISHED, root)


def remove_fetched(folder: Path) -> None:
    """Remove a data set that was fetched, if it is there, once nobody is fetching it; it is fetched again when needed.

    Raises:
        StorageError: when it cannot be removed.
    """
    with _removing(folder), FileLock(name_lock(folder)):
        # Killed half way, it would leave half a data set under the name of a whole one.
        part = name_part(folder)
        remove_part(part)
        with suppress(FileNotFoundError):
            folder.rename(part)
        remove_part(part)


def remove_unfinished(root: Path) -> None:
    """Remove what killed starts have left of data sets; what is being fetched now stays.

    Raises:
        StorageError: when something cannot be removed.
    """
    for part in list_unfinished(root):
        with _removing(part), suppress(Timeout), FileLock(name_lock(part.with_name(part.name.partition(".")[0])), 0):
            remove_part(part)


def name_part(folder: Path) -> Path:
    """Return where a data set lies as long as it is not whole."""
    return folder.with_name(f"{folder.name}.{os.getpid()}{PART_SUFFIX}")


def name_lock(folder: Path) -> Path:
    """Return the file whose lock whoever fetches or removes a data set holds."""
    return folder.with_name(f"{folder.name}.lock")


def remove_part(part: Path) -> None:
    """Remove what was not fetched or removed to the end, if it is there.

    Raises:
        OSError: when it cannot be removed.
    """
    shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def _list_called(name: re.Pattern[str], root: Path) -> tuple[Path, ...]:
    try:
        return tuple(sorted(place for place in (root / FOLDER).iterdir() if name.fullmatch(place.name)))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StorageError(f"{root / FOLDER} cannot be read ({error.strerror}); let it be read.") from error


@contextmanager
def _removing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{place} cannot be removed ({error.strerror}); remove it by hand.") from error
