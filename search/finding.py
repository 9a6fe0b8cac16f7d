"""Finds the searches of a storage by name, says which process runs one, and locks one for this process.

Where the files of a search lie says `folder`.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from search.drivers import is_driven, require_undriven
from search.folder import SearchFolder, StageFolder, folder_of
from search.mirror import fetch_search, probe_bucket
from search.place import Place
from search.settings import SearchSettings
from search.storage import find_bucket, name_storage
from segcore.data.caching.disk import resolve_folder
from segcore.errors import CheckpointError, ConfigError, StorageError

_LOCK: Final = ".lock"
_IDLE: Final = ".idle"
"""Locked beside `_LOCK` by who runs no training meanwhile."""
_WHAT: Final = "settings.json"
_LOOK_SECONDS: Final = 0.5
"""Who only looks whether a lock is held has it for less."""


def is_taken(folder: SearchFolder) -> bool:
    """Say whether there is a search in a folder, or in its place in the bucket.

    Raises:
        StorageError: when the bucket cannot be read.
    """
    # Unlike `Path.exists`, this takes a storage whose name is too long for one that is not there.
    if os.path.exists(folder.settings):  # noqa: PTH110
        return True
    bucket = find_bucket(folder.root.parent)
    return bucket is not None and bucket.look_up(f"{folder.name}/{folder.settings.name}") is not None


def require_new(settings: SearchSettings, place: Place) -> None:
    """Refuse a new search that could not be written, or whose name is taken.

    Raises:
        ConfigError: when a search of that name exists.
        StorageError: when the storage cannot be written.
    """
    folder, bucket = folder_of(settings, place), find_bucket(place.storage)
    if os.path.exists(place.storage / _WHAT):  # noqa: PTH110
        raise ConfigError(
            f"--storage {place.storage} is the folder of a search, where stages and trials lie; give the folder of all "
            f"searches, such as {place.storage.parent}."
        )
    if is_taken(folder):
        raise ConfigError(
            f"--name {settings.name}: a search of that name is in {name_storage(place.storage)}; "
            f"go on with it by '{folder.command('resume')}', or choose another name."
        )
    try:
        place.storage.mkdir(parents=True, exist_ok=True)
        probe = place.storage / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageError(
            f"--storage {place.storage} cannot be written ({error.strerror or error}); choose another folder."
        ) from error
    if bucket is not None:
        probe_bucket(bucket)


def find_folder(storage: Path, name: str) -> SearchFolder:
    """Return the folder of an existing search.

    Raises:
        CheckpointError: when there is none of that name, with the names there are.
        ConfigError: when the storage is no path, or the name is one.
        StorageError: when the storage cannot be read.
    """
    root = resolve_folder("storage", storage)
    if not is_name(name):
        raise ConfigError(
            f"{name!r} is no name of a search; give the name of its folder alone, and with --storage the folder that "
            "it lies in."
        )
    folder = SearchFolder(root=root / name)
    stored = bring(folder)
    # Unlike `is_file`, this takes a name that is too long for a file for one that there is none of.
    if not os.path.isfile(folder.settings):  # noqa: PTH113
        if os.path.isdir(folder.root) and not os.access(folder.root, os.R_OK | os.X_OK):  # noqa: PTH112
            raise _unreadable(folder.root, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        names = sorted({*_list_here(root), *stored})
        known = f"there are {', '.join(names)}" if names else "there is none at all"
        raise CheckpointError(f"No search {name!r} in {name_storage(root)}; {known}. Give the folder with --storage.")
    return folder


def is_name(name: str) -> bool:
    """Say whether a text can be the name of a folder in a storage, and does not lead out of it."""
    return Path(name).name == name and name not in ("", "..")


def list_names(storage: Path) -> list[str]:
    """Return the names of all searches of a storage, sorted; of one in a bucket those that are there or here.

    Raises:
        ConfigError: when the storage is no path.
        StorageError: when the storage cannot be read.
    """
    root = resolve_folder("storage", storage)
    bucket = find_bucket(root)
    stored = [] if bucket is None else [name for name in bucket.list_folders() if bucket.look_up(f"{name}/{_WHAT}")]
    return sorted({*_list_here(root), *stored})


def _list_here(root: Path) -> list[str]:
    try:
        # Unlike `is_file`, this takes what this user may not look into for no search.
        return [folder.name for folder in root.iterdir() if os.path.isfile(folder / _WHAT)]  # noqa: PTH113
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(root, error) from error


def _unreadable(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{folder} cannot be read ({error.strerror or error}); let this user read it, or give another folder with "
        "--storage."
    )


def bring(folder: SearchFolder) -> list[str]:
    """Bring a search's small files from the bucket, where there is one and no driver of this machine is at work.

    Returns:
        Names of all searches in the bucket.

    Raises:
        CheckpointError: when the search went on here and in the bucket apart.
        StorageError: when the bucket cannot be read.
    """
    bucket = find_bucket(folder.root.parent)
    if bucket is None:
        return []
    names = bucket.list_folders()
    if folder.name in names and not _is_locked(folder):
        fetch_search(bucket, folder.root)
    return names


def is_in_use(stage: StageFolder) -> bool:
    """Say whether a driver runs a stage now; also where the storage can only be read."""
    return _is_held(stage.root / _LOCK) and not _is_held(stage.root / _IDLE)


def find_driven(folder: SearchFolder) -> str:
    """Return the name of the stage that a driver of this machine runs now; empty when none does."""
    return next((name for name, stage in folder.stages.items() if is_in_use(stage)), "")


def _is_held(file: Path) -> bool:
    try:
        # A pipe in its place would be waited for.
        lock = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        # Where no driver ever was there is none now.
        return False
    try:
        # Shared, so that two who look at once do not take each other for a driver.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def is_driven_elsewhere(folder: SearchFolder) -> bool:
    """Say whether a driver on another machine runs a stage of a search whose storage is in a bucket.

    Raises:
        StorageError: when the bucket cannot be read.
    """
    bucket = find_bucket(folder.root.parent)
    return bucket is not None and is_driven(bucket.inside(folder.name), folder.root)


def require_idle(*stages: StageFolder) -> None:
    """Raise `CheckpointError` when a driver runs one of these stages now."""
    for stage in stages:
        # Not by holding the lock: whoever else looks meanwhile would see a driver.
        if _is_held(stage.root / _LOCK):
            raise _in_use(stage)
    for search in {stage.search or stage.root for stage in stages}:
        if (bucket := find_bucket(search.parent)) is not None:
            require_undriven(bucket.inside(search.name), search)


def _is_locked(folder: SearchFolder) -> bool:
    """Say whether a driver of this machine runs a stage of a search now."""
    return any(_is_held(stage.root / _LOCK) for stage in folder.stages.values())


def _in_use(stage: StageFolder) -> CheckpointError:
    return CheckpointError(
        f"{stage.root} is in use by another process; wait for it, or stop it by '{stage.command('stop')}'."
    )


@contextmanager
def lock_stage(stage: StageFolder) -> Iterator[None]:
    """Hold the lock of a stage, so that two drivers never run it at once.

    Raises:
        CheckpointError: when another driver holds it.
        StorageError: when the storage cannot be written.
    """
    lock = FileLock(stage.root / _LOCK)
    try:
        stage.root.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_LOOK_SECONDS)
    except Timeout:
        raise _in_use(stage) from None
    except OSError as error:
        raise StorageError(
            f"{stage.root} cannot be written ({error.strerror or error}); make room on its disk, or let it be written."
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def lock_idle_stage(stage: StageFolder) -> Iterator[None]:
    """Hold the lock of a stage to send or change what it has left; for others nobody runs it.

    Raises:
        CheckpointError: when another process holds it.
        StorageError: when the storage cannot be written.
    """
    with ExitStack() as after, lock_stage(stage):
        # Left last, so that nobody sees the one lock without the other.
        after.enter_context(FileLock(stage.root / _IDLE))
        yield
