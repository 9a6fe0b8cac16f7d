"""Copies what changes in a search's folder on this machine to its folder in a bucket, behind the search's back.

One driver at a time: see `drivers`. What is brought here, and which side is the newer, is in `mirror`.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from search.drivers import Driver, claimed
from search.mirror import JOURNALS, fetch_trials, forget_dropped, is_ahead, read_dropped, read_lines, tell_lack
from search.requests import FOLDER as REQUESTS
from search.requests import fetch_requests
from search.storage import find_bucket
from segcore.bucket import Bucket, patiently
from segcore.errors import CheckpointError, StorageError, StreetError

_MODEL: Final = "retrain/model"
_WHOLE: Final = f"{_MODEL}/ensemble.json"
"""Without it the rest of a model is none."""
_PERIOD_SECONDS: Final = 10.0
"""Between two copies; a bucket to which one takes longer is asked less often."""
_REST_FACTOR: Final = 5.0


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
        copier = Copier(stored, root, driver, patiently(partial(_compare, stored, root)))
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
        known: size in bytes of what need not be copied where it has that size here now, by its path.
    """

    def __init__(self, stored: Bucket, root: Path, driver: Driver, known: Mapping[str, int]) -> None:
        self.problem: str | None = None
        self._stored = stored
        self._root = root
        self._driver = driver
        # As it is before the search goes on: a network has the size of the one that it replaces.
        states = {path: _find_state(root / path) for path in known if (root / path).is_file()}
        self._sent = {path: state for path, state in states.items() if state[1] == known[path]}
        self._deleted = 0
        # What a driver before this one noted is deleted when its stage is opened.
        forget_dropped(root)
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
            forget_dropped(self._root)
        return self._told

    def copy(self) -> None:
        """Copy every file that changed since it was last copied, those last that name others: JSON, then journals.

        Raises:
            StorageError: when the bucket cannot be written.
        """
        # What they name by now is among the files that are found after this.
        journals = [
            (path, state, read_lines(file))
            for path in JOURNALS
            if (file := self._root / path).is_file() and (state := _find_state(file)) != self._sent.get(path)
        ]
        for file in sorted(list_files(self._root), key=_order):
            path = file.relative_to(self._root).as_posix()
            with suppress(FileNotFoundError):
                # One that was replaced meanwhile is seen the next time.
                self._send(file, path)
        for path, state, lines in journals:
            self._stored.write(path, lines)
            self._sent[path] = state

    def _send(self, file: Path, path: str) -> None:
        state = _find_state(file)
        if path in JOURNALS or self._sent.get(path) == state:
            return
        if path.startswith(f"{_MODEL}/") and file.suffix != ".json":
            # Networks beside what was said of others would be a model that nobody has made.
            self._stored.delete(_WHOLE)
            self._sent.pop(_WHOLE, None)
        self._stored.upload(file, path)
        self._sent[path] = state

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
        dropped = read_dropped(self._root)
        self.copy()
        # Whoever goes on from what the bucket has finds all that the journals there name.
        for path in dropped[self._deleted :]:
            self._stored.delete_folder(path)
            self._deleted += 1

    def _copy_patiently(self) -> str:
        try:
            patiently(self._copy_once)
        except CheckpointError as error:
            return str(error)
        except (StorageError, OSError) as error:
            return tell_lack(self._root, error)
        return ""


def list_files(root: Path) -> Iterator[Path]:
    """Yield the files of a search that belong into its bucket: no locks, halves or requests, and nothing of Ray's."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ("ray", REQUESTS) and not name.endswith(".part")]
        for name in names:
            if not name.startswith(".") and not name.endswith(".tmp"):
                yield Path(folder) / name


def _find_state(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_mtime_ns, stat.st_size


def _order(file: Path) -> tuple[bool, bool, Path]:
    return file.as_posix().endswith(_WHOLE), file.suffix == ".json", file


def _require_newest(stored: Bucket, root: Path) -> None:
    journals = {name: content for name in JOURNALS if (content := stored.read(name)) is not None}
    if (
        journals
        and not is_ahead(root, journals, stored)
        and any(len(content) > len(read_lines(root / name)) for name, content in journals.items())
    ):
        raise CheckpointError(f"{stored.address} went on elsewhere meanwhile; give the command again.")


def _compare(stored: Bucket, root: Path) -> dict[str, int]:
    """Bring here what the bucket has and this machine lacks; return the size of what need not be copied, by its path.

    Raises:
        CheckpointError: when the search went on elsewhere since it was fetched.
        StorageError: when the bucket cannot be used, or the disk is full.
    """
    _require_newest(stored, root)
    # What was asked of a driver before this one is found before anyone looks for what is asked of this.
    fetch_requests(stored, root)
    return {**fetch_trials(stored, root), **_find_former_model(stored, root)}


def _find_former_model(stored: Bucket, root: Path) -> dict[str, int]:
    """Return the size of each file of the model here where the bucket has a newer one, which another machine made."""
    there, here = stored.look_up(_WHOLE), root / _WHOLE
    if there is None or not here.is_file() or there.modified <= here.stat().st_mtime:
        return {}
    return {file.relative_to(root).as_posix(): file.stat().st_size for file in here.parent.iterdir()}
