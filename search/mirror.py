"""Copies files between a search's folder on this machine and its folder in a bucket.

A command brings the small files here first (`fetch_search`); a driver copies back what changes, behind the search's
back (`copied`). Of two journals of which one continues the other the longer is the newer; two that went on apart are
never mixed. One driver at a time: see `drivers`.
"""

import os
import shlex
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from search.drivers import Driver, claimed
from search.requests import FOLDER as REQUESTS
from search.requests import fetch_requests
from search.storage import find_bucket, name_storage
from segcore.bucket import Bucket, patiently
from segcore.errors import CheckpointError, StorageError, StreetError
from segcore.replacing import replacing

_JOURNALS: Final = ("journal.jsonl", "confirm/journal.jsonl", "retrain/journal.jsonl")
_FILES: Final = ("settings.json", "place.json", "folds.json", "best.json")
_TRIALS: Final = ("trials", "confirm/trials", "retrain/trials")
_FETCHES: Final = 16
"""At a time: each is short, and waits for the store."""
_PERIOD_SECONDS: Final = 10.0
"""Between two copies; a bucket to which one takes longer is asked less often."""
_REST_FACTOR: Final = 5.0


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
    found = {name: content for name in (*_JOURNALS, *_FILES) if (content := stored.read(name)) is not None}
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
    for name in _JOURNALS:
        here, there = _read_lines(root / name), found.get(name, b"")
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
        StorageError: when the bucket cannot be written.
    """
    if (bucket := find_bucket(root.parent)) is not None:
        bucket.upload(file, file.relative_to(root.parent).as_posix())


@contextmanager
def copied(root: Path) -> Iterator["Copier | None"]:
    """Copy a search's folder to its bucket while it changes, as its only driver; without a bucket do nothing.

    Args:
        root: the search's folder on this machine, of which the caller has the lock.

    Yields:
        What copies; None without a bucket.

    Raises:
        CheckpointError: when another machine drives the search, or took it further since it was fetched.
        StorageError: at the end, when the bucket did not take what is here.
    """
    bucket = find_bucket(root.parent)
    if bucket is None:
        yield None
        return
    stored = bucket.inside(root.name)
    with claimed(stored, root) as driver:
        _require_newest(stored, root)
        # What was asked of a driver before this one is found before anyone looks for what is asked of this.
        fetch_requests(stored, root)
        copier = Copier(stored, root, driver, fetch_trials(stored, root))
        try:
            yield copier
        except StreetError as error:
            if told := copier.close():
                raise StorageError(f"{error}\n{told}") from error
            raise
        finally:
            told = copier.close()
        if told:
            raise StorageError(told)


class Copier:
    """Copies what changed in a search's folder to its bucket, in a thread of its own.

    A bucket that does not answer is tried again; until then everything is on this machine, where the search goes on.

    Args:
        stored: the search's folder in the bucket.
        root: its folder on this machine.
        driver: says whether another has taken over.
        known: size in bytes of what trials left in the bucket already, by its path.
    """

    def __init__(self, stored: Bucket, root: Path, driver: Driver, known: Mapping[str, int]) -> None:
        self.problem: str | None = None
        self._stored = stored
        self._root = root
        self._driver = driver
        self._sent: dict[str, tuple[int, int]] = {}
        self._known = dict(known)
        self._ended = threading.Event()
        self._told: str | None = None
        self._thread = threading.Thread(target=self._follow, name="bucket", daemon=True)
        self._thread.start()

    def close(self) -> str:
        """Copy what is left and end; return why something could not be copied, with what to do, or nothing."""
        if self._told is None:
            self._ended.set()
            self._thread.join()
            self._told = self._copy_patiently()
        return self._told

    def copy(self) -> None:
        """Copy every file that changed since it was last copied, those last that name others: JSON, then journals.

        Raises:
            StorageError: when the bucket cannot be written.
        """
        for file in sorted(list_files(self._root), key=_order):
            path = file.relative_to(self._root).as_posix()
            try:
                stat = file.stat()
                state = (stat.st_mtime_ns, stat.st_size)
                # Of a search that is gone on with, what trials left is in the bucket already.
                if self._sent.get(path) != state and self._known.pop(path, None) != stat.st_size:
                    self._send(file, path)
                self._sent[path] = state
            except FileNotFoundError:
                # It was replaced meanwhile, and is seen the next time.
                continue

    def _send(self, file: Path, path: str) -> None:
        if file.name == "journal.jsonl":
            self._stored.write(path, _read_lines(file))
        else:
            self._stored.upload(file, path)

    def _follow(self) -> None:
        pause = _PERIOD_SECONDS
        while not self._ended.wait(pause):
            begun = time.monotonic()
            try:
                self._copy_once()
                self.problem = None
            # The search goes on, and at its end it is tried once more.
            except (StreetError, OSError) as error:
                self.problem = str(error)
            pause = max(_PERIOD_SECONDS, _REST_FACTOR * (time.monotonic() - begun))

    def _copy_once(self) -> None:
        self._driver.require_alone()
        fetch_requests(self._stored, self._root)
        self.copy()

    def _copy_patiently(self) -> str:
        try:
            patiently(self._copy_once)
        except CheckpointError as error:
            return str(error)
        except (StorageError, OSError) as error:
            again = ["python", "-m", "search", "sync", self._root.name, "--storage", name_storage(self._root.parent)]
            return f"{error} What it lacks is in {self._root}; '{shlex.join(again)}' copies it there."
        return ""


def list_files(root: Path) -> Iterator[Path]:
    """Yield the files of a search that belong into its bucket: no locks, halves or requests, and nothing of Ray's."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ("ray", REQUESTS) and not name.endswith(".part")]
        for name in names:
            if not name.startswith(".") and not name.endswith(".tmp"):
                yield Path(folder) / name


def _order(file: Path) -> tuple[bool, bool, Path]:
    return file.suffix == ".jsonl", file.suffix == ".json", file


def _require_newest(stored: Bucket, root: Path) -> None:
    journals = {name: content for name in _JOURNALS if (content := stored.read(name)) is not None}
    if (
        journals
        and not is_ahead(root, journals, stored)
        and any(len(content) > len(_read_lines(root / name)) for name, content in journals.items())
    ):
        raise CheckpointError(f"{stored.address} went on elsewhere meanwhile; give the command again.")


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def _read_lines(file: Path) -> bytes:
    """Return a journal's whole lines; the driver may be writing the next one."""
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
