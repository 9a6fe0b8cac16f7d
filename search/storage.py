"""The storage, a folder of this machine or one in a bucket, of which a folder of this machine is the mirror.

A search writes what is small (its journal first of all) into its folder on this machine, and everything works on that
folder alone. A mirror holds a file that names its bucket, so whoever has the folder finds the bucket too. What goes to
and fro between them is in `mirror` and `copying`; Ray's workers write checkpoints to the bucket by themselves.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from search.fetched import read_fetched
from segcore.bucket import Bucket, parse_bucket
from segcore.bucket_address import is_address
from segcore.data.caching.disk import read_path, resolve_folder
from segcore.errors import StorageError
from segcore.regular import read_regular
from segcore.replacing import replacing

_MARK: Final = ".bucket"
_DIGEST_LETTERS: Final = 16


def locate_storage(given: str | Path) -> Path:
    """Return the folder of this machine for what --storage gives: the folder itself, or the mirror of a bucket.

    Args:
        given: a folder, or the address of one in a bucket.

    Raises:
        ConfigError: when it is empty, or an address that cannot be used.
        StorageError: when the mirror cannot be made.
    """
    if not is_address(given):
        return read_path(given)
    bucket = parse_bucket("storage", str(given))
    mirror = resolve_folder("storage", _state_folder()) / _digest(bucket.address)
    try:
        mirror.mkdir(parents=True, exist_ok=True, mode=0o700)
        if find_bucket(mirror) is None:
            # Of a storage without it a driver of this machine would know no bucket, be it for a moment.
            with replacing(mirror / _MARK) as temporary:
                temporary.write_text(bucket.address, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"--storage {bucket.address}: {mirror}, where this machine keeps its files of it, cannot be written "
            f"({error.strerror or error}); give another folder by XDG_STATE_HOME."
        ) from error
    return mirror


def find_bucket(storage: Path) -> Bucket | None:
    """Return the bucket that a storage's folder is the mirror of; None when it is the storage itself.

    A file that another user laid into a shared folder sends nothing to a bucket of theirs.
    """
    mark = storage / _MARK
    try:
        address, owner = read_regular(mark).decode(), mark.stat().st_uid
    except (OSError, ValueError):
        return None
    is_own = owner == os.getuid() and storage.name == _digest(address)
    return parse_bucket("storage", address) if is_own else None


def name_storage(storage: Path) -> str:
    """Return what --storage is to give for a storage's folder; of one that was fetched, on the search's own machine."""
    bucket, fetched = find_bucket(storage), read_fetched(storage)
    if fetched is not None:
        return fetched.storage
    return bucket.address if bucket is not None else str(storage)


def _state_folder() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state") / "street-search"


def _digest(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:_DIGEST_LETTERS]
