"""Copies files between a search's folder on this machine and its folder in a bucket.

A command brings the small files here first (`fetch_search`); a driver copies back what changes: see `copying`. Of two
journals of which one continues the other the longer is the newer; two that went on apart are never mixed.
"""

import json
import shlex
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from search.storage import find_bucket, name_storage
from segcore.bucket import Bucket, patiently
from segcore.errors import CheckpointError, StorageError
from segcore.replacing import replacing

JOURNALS: Final = ("journal.jsonl", "confirm/journal.jsonl", "retrain/journal.jsonl")
_FILES: Final = ("settings.json", "place.json", "folds.json", "best.json")
_TRIALS: Final = ("trials", "confirm/trials", "retrain/trials")
_DROPPED: Final = ".dropped"
_FETCHES: Final = 16
"""At a time: each is short, and waits for the store."""


def fetch_search(bucket: Bucket, root: Path) -> None:
    """Bring the small files of a search here, unless what is here goes on where the bucket's ends.

    Args:
        bucket: of the storage.
        root: the search's folder on this machine; no driver of this machine may be at work in it.

    Raises:
        CheckpointError: when both went on apart.
        StorageError: when the bucket cannot be read.
    """
    stored = bucket.inside(root.name)
    found = {name: content for name in (*JOURNALS, *_FILES) if (content := stored.read(name)) is not None}
    if not is_ahead(root, found, stored):
        for name, content in found.items():
            # A driver of this machine that has begun since writes on into the journal that it has opened.
            if _read(root / name) != content:
                with _replacing(root / name) as temporary:
                    temporary.write_bytes(content)


def is_ahead(root: Path, found: dict[str, bytes], stored: Bucket) -> bool:
    """Say whether a search went on here since it was last copied.

    Args:
        root: the search's folder on this machine.
        found: content of the bucket's journals by name.
        stored: the search's folder in the bucket.

    Raises:
        CheckpointError: when both went on apart.
    """
    ahead = behind = False
    for name in JOURNALS:
        here, there = read_lines(root / name), found.get(name, b"")
        ahead |= len(here) > len(there) or not there.startswith(here)
        behind |= len(there) > len(here) or not here.startswith(there)
    if ahead and behind:
        raise CheckpointError(
            f"{root} and {stored.address} went on apart, and their journals cannot be put together; move {root} away "
            "to go on with what the bucket has, or the bucket's away to go on with what is here."
        )
    return ahead


def fetch_trials(stored: Bucket, root: Path) -> dict[str, int]:
    """Bring the trials' logs and pictures here that are missing or shorter: logs grow, MLflow may lack the pictures.

    Returns:
        Size in bytes of each in the bucket, by its path.

    Raises:
        StorageError: when the bucket cannot be read, or the disk is full.
    """
    listed = {f"{folder}/{each.path}": each.size for folder in _TRIALS for each in stored.list_files(folder)}
    missing = [path for path, size in listed.items() if _size_of(root / path) < size]
    with ThreadPoolExecutor(_FETCHES) as pool:
        for _ in pool.map(lambda path: fetch_file(stored, path, root / path), missing):
            pass
    return listed


def fetch_file(bucket: Bucket, path: str, file: Path) -> None:
    """Bring one file of a bucket here, whole or not at all; one that is not there is left out.

    Raises:
        StorageError: when the bucket cannot be read, or the disk is full.
    """
    if bucket.look_up(path) is None:
        return
    with _replacing(file) as temporary, temporary.open("wb") as stream:
        bucket.download(path, stream)


def probe_bucket(bucket: Bucket) -> None:
    """Write into a bucket and delete what was written.

    Raises:
        StorageError: when that cannot be done.
    """
    probe = f".probe-{uuid.uuid4().hex}"
    bucket.write(probe, b"probe")
    bucket.delete(probe)


def send_file(root: Path, file: Path) -> None:
    """Copy a file of a search to the bucket, where there is one.

    Args:
        root: the search's folder on this machine.
        file: inside of it.

    Raises:
        StorageError: when the bucket cannot be written, with what to do.
    """
    if (bucket := find_bucket(root.parent)) is not None:
        try:
            patiently(partial(bucket.upload, file, file.relative_to(root.parent).as_posix()))
        except StorageError as error:
            raise StorageError(tell_lack(root, error)) from error


def tell_lack(root: Path, error: Exception) -> str:
    """Return why the bucket did not take what is here, with what to do."""
    again = ["python", "-m", "search", "sync", root.name, "--storage", name_storage(root.parent)]
    return f"{error} What it lacks is in {root}; '{shlex.join(again)}' copies it there."


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def read_lines(file: Path) -> bytes:
    """Return a journal's whole lines; the driver may be writing the next one.

    Raises:
        StorageError: when it cannot be read.
    """
    content = _read(file)
    return content[: content.rfind(b"\n") + 1]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageError(
            f"{file} cannot be read ({error.strerror or error}); let this user read it, or move it away."
        ) from error


def note_dropped(root: Path, path: str) -> None:
    """Note what the bucket need not have any more, as soon as it has the journals that no longer name it.

    Args:
        root: the search's folder on this machine.
        path: a folder, from there on.
    """
    # What a full disk does not take is deleted when its stage is opened again.
    with suppress(OSError), (root / _DROPPED).open("a", encoding="utf-8") as stream:
        # On a line of its own, also where such a disk tore the one before.
        stream.write(f"\n{json.dumps(path)}\n")


def read_dropped(root: Path) -> list[str]:
    """Return what was noted to be dropped, in order; a note that was torn is none.

    Raises:
        StorageError: when it cannot be read.
    """
    dropped = []
    for line in read_lines(root / _DROPPED).splitlines():
        with suppress(ValueError):
            dropped.append(json.loads(line))
    return dropped


def forget_dropped(root: Path) -> None:
    """Delete the notes of what is to be dropped."""
    with suppress(OSError):
        (root / _DROPPED).unlink()


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            yield temporary
    except OSError as error:
        raise StorageError(
            f"{file} cannot be written ({error.strerror or error}); make room on its disk, or let it be written."
        ) from error
