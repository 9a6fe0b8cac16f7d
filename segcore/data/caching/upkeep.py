"""What caches lie in a folder: listed with what is known of each, read through, removed.

Only what surely is ours is removed: names as `build` gives them, as folders and files of their own, not as links;
in a cache's folder nothing but its own files. Nothing is followed, so nothing outside of the folder is touched.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from segcore.counting import count_words
from segcore.data.caching.cache import (
    FORMAT,
    IMAGES_FILE,
    INDEX_FILE,
    LOCK_SUFFIX,
    LOOKS_FILE,
    MASKS_FILE,
    PART_SUFFIX,
    PixelCache,
    find_damaged,
)
from segcore.data.caching.record import is_digest, read_last_keys
from segcore.errors import CheckpointError, ConfigError, StorageError

_FILES: Final = frozenset({INDEX_FILE, IMAGES_FILE, MASKS_FILE, LOOKS_FILE})
_PART: Final = re.compile(rf"([0-9a-f]{{32}})\.\d+{re.escape(PART_SUFFIX)}")
_FORMAT: Final = re.compile(r"street-cache-\d+")


class CacheState(StrEnum):
    """What a cache is good for."""

    CURRENT = "current"
    REPLACED = "replaced: its data has changed"
    OTHER_VERSION = "of another version"
    DAMAGED = "not whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCache:
    """A cache that lies in a folder.

    Args:
        folder: of the cache; its name is the key.
        state: what it is good for.
        data: the data folder that it was made of; empty: not known.
        images: how many it holds.
        bytes: how many it takes.
        used: when it was last used, seconds since 1970.
    """

    folder: Path
    state: CacheState
    data: str
    images: int
    bytes: int
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What lies in a folder of caches.

    Args:
        root: the folder.
        caches: the last used first.
        parts: what builds have left that were killed, or are being made now.
        locks: lock files of caches that are no more.
    """

    root: Path
    caches: tuple[StoredCache, ...]
    parts: tuple[Path, ...]
    locks: tuple[Path, ...]


def list_caches(root: Path) -> Shelf:
    """List what lies in a folder of caches; what is not ours is passed over.

    Args:
        root: absolute path; need not exist.

    Raises:
        StorageError: when the folder may not be read.
    """
    try:
        found = sorted(root.iterdir()) if root.is_dir() else []
        last_keys = read_last_keys(root)
        caches = [cache for file in found if _is_cache(file) and (cache := _describe(file, last_keys)) is not None]
    except OSError as error:
        raise StorageError(f"{root} cannot be read ({error.strerror}); give another folder with --cache.") from error
    keys = {cache.folder.name for cache in caches}
    return Shelf(
        root=root,
        caches=tuple(sorted(caches, key=lambda cache: -cache.used)),
        parts=tuple(file for file in found if _PART.fullmatch(file.name) and _is_own_folder(file)),
        locks=tuple(file for file in found if _is_lock(file) and file.stem not in keys),
    )


def choose_caches(shelf: Shelf, keys: Sequence[str]) -> tuple[StoredCache, ...]:
    """Return the caches of some keys, or beginnings of keys.

    Raises:
        ConfigError: naming a key that none or several caches have.
    """
    chosen = []
    for key in keys:
        matching = [cache for cache in shelf.caches if key and cache.folder.name.startswith(key)]
        if len(matching) != 1:
            there = ", ".join(cache.folder.name for cache in shelf.caches) or "none"
            what = "several keys begin so" if matching else "no cache has this key"
            raise ConfigError(f"--remove {key!r}: {what}; in {shelf.root} there are: {there}.")
        chosen += matching
    return tuple(dict.fromkeys(chosen))


def find_faults(cache: StoredCache) -> str:
    """Read a cache through and say what is wrong with it; empty when nothing is."""
    try:
        damaged = find_damaged(PixelCache(cache.folder))
    except CheckpointError as error:
        return str(error)
    return (
        f"{count_words(len(damaged), 'image is', 'images are')} not what was written, {damaged[0]} first"
        if damaged
        else ""
    )


def remove_cache(cache: StoredCache) -> None:
    """Remove a cache, if it is still there; trainings that have it open go on.

    Raises:
        StorageError: when it is being built now, cannot be removed, or holds what is not ours.
    """
    with _locked(cache.folder.parent, cache.folder.name) as is_free:
        if not is_free:
            raise StorageError(
                f"{cache.folder} is being prepared or removed by another process; wait for it, and try again."
            )
        _remove_folder(cache.folder)


def remove_leftovers(shelf: Shelf) -> None:
    """Remove what killed builds have left; what is being built now stays.

    Raises:
        StorageError: when something cannot be removed, or a folder holds what is not ours.
    """
    for part in shelf.parts:
        with _locked(shelf.root, part.name.partition(".")[0]) as is_free:
            if is_free:
                _remove_folder(part)
    for lock in shelf.locks:
        with _locked(shelf.root, lock.stem):
            pass


@contextmanager
def _locked(root: Path, key: str) -> Iterator[bool]:
    """Hold the lock of a cache and remove its file at the end; yields whether nobody else holds it."""
    lock = FileLock(root / f"{key}{LOCK_SUFFIX}")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise StorageError(f"{lock.lock_file} cannot be locked ({error.strerror}); remove it yourself.") from error
    try:
        yield True
    finally:
        # While it is held: who waits for it sees that it is gone and makes another.
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _remove_folder(folder: Path) -> None:
    try:
        foreign = [file.name for file in sorted(folder.iterdir()) if file.name not in _FILES or not _is_own_file(file)]
        if foreign:
            raise StorageError(
                f"{folder} holds what no cache holds ({foreign[0]}), so nothing of it is removed; look at it, and "
                "remove it yourself."
            )
        # First what says that the cache is whole.
        for name in (INDEX_FILE, IMAGES_FILE, MASKS_FILE, LOOKS_FILE):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
    except FileNotFoundError:
        # Somebody else has removed it.
        return
    except OSError as error:
        raise StorageError(f"{folder} cannot be removed ({error.strerror}); remove it yourself.") from error


def _describe(folder: Path, last_keys: Mapping[str, str]) -> StoredCache | None:
    """Return what is known of a cache; None when somebody removes it now."""
    index = _read_index(folder)
    data, cases = index.get("data"), index.get("cases")
    data = data if isinstance(data, str) else ""
    try:
        return StoredCache(
            folder=folder,
            state=_find_state(folder, index.get("format"), data, last_keys),
            data=data,
            images=len(cases) if isinstance(cases, list) else 0,
            bytes=sum(file.lstat().st_size for file in folder.iterdir()),
            used=folder.stat().st_mtime,
        )
    except FileNotFoundError:
        return None


def _find_state(folder: Path, cache_format: object, data: str, last_keys: Mapping[str, str]) -> CacheState:
    if cache_format != FORMAT:
        is_ours = isinstance(cache_format, str) and _FORMAT.fullmatch(cache_format)
        return CacheState.OTHER_VERSION if is_ours else CacheState.DAMAGED
    try:
        PixelCache(folder)
    except CheckpointError:
        return CacheState.DAMAGED
    if data in last_keys and folder.name not in last_keys.values():
        return CacheState.REPLACED
    return CacheState.CURRENT


def _read_index(folder: Path) -> dict[str, object]:
    file = folder / INDEX_FILE
    try:
        index = json.loads(file.read_bytes()) if _is_own_file(file) else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return index if isinstance(index, dict) else {}


def _is_cache(file: Path) -> bool:
    # Images or masks are in every cache, even in what is left of one.
    holds_pixels = any((file / name).exists() for name in (IMAGES_FILE, MASKS_FILE, LOOKS_FILE))
    return is_digest(file.name) and _is_own_folder(file) and holds_pixels


def _is_lock(file: Path) -> bool:
    return file.suffix == LOCK_SUFFIX and is_digest(file.stem) and _is_own_file(file)


def _is_own_folder(file: Path) -> bool:
    return file.is_dir() and not file.is_symlink()


def _is_own_file(file: Path) -> bool:
    return file.is_file() and not file.is_symlink()
