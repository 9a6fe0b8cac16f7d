"""Who drives a search whose folder is in a bucket: one at a time, whichever machine it is on.

A driver that begins writes a file of its own, then looks for those of others. Stores show what was written to whoever
lists next, so of two that begin at once at least one sees the other; where both do, both give up. Only one that is
alone drives, and it shows that it lives by writing its file again. Arrow has no conditional write, so a driver that
slept through `STALE_SECONDS` may wake beside its successor: it ends when it looks again, before it copies anything.
"""

import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from segcore.bucket import Bucket, StoredFile, patiently
from segcore.errors import CheckpointError, StorageError

STALE_SECONDS: Final = 180.0
"""A driver that did not show for so long is taken for dead."""
_BEAT_SECONDS: Final = 30.0
_FOLDER: Final = "drivers"
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="ignore"))
class _Shown:
    """What a driver's file says; anyone may have edited it.

    Args:
        machine: its name.
        process: the driver's number there.
        folder: identity of the search's folder there.
        drives: whether it has found itself alone.
    """

    machine: str = "?"
    process: int = 0
    folder: str = ""
    drives: bool = True


class Driver:
    """What this process shows as the one driver of a search.

    Args:
        stored: the search's folder in the bucket.
        root: its folder on this machine, of which the caller has the lock.
    """

    def __init__(self, stored: Bucket, root: Path) -> None:
        self._stored = stored
        self._file = f"{uuid.uuid4().hex}.json"
        self._machine = platform.node()
        self._folder = _identify(root)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="driver", daemon=True)

    def begin(self) -> None:
        """Become the driver.

        Raises:
            CheckpointError: when another lives, with what to do.
            StorageError: when the bucket cannot be used.
        """
        self._show(drives=False)
        for told, silent in self._find_others():
            raise CheckpointError(_describe(self._stored, told, silent))
        self._show(drives=True)
        self._thread.start()

    def require_alone(self) -> None:
        """Raise when another has taken over.

        Raises:
            CheckpointError: naming it, with what to do.
            StorageError: when the bucket cannot be read.
        """
        for told, silent in self._find_others():
            if told.drives:
                raise CheckpointError(
                    f"{_describe(self._stored, told, silent)} It took over while this one did not show."
                )

    def leave(self) -> None:
        """Remove this driver's file; a driver whose file stays counts as dead after a while."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        with suppress(StorageError):
            self._stored.delete(f"{_FOLDER}/{self._file}")

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            try:
                self.require_alone()
                self._show(drives=True)
            except CheckpointError:
                # As Ctrl-C does it: trials are stopped, and at the end it is told why.
                os.kill(os.getpid(), signal.SIGINT)
                return
            except StorageError:
                # The bucket is away; so it is for others.
                continue

    def _show(self, *, drives: bool) -> None:
        shown = _Shown(machine=self._machine, process=os.getpid(), folder=self._folder, drives=drives)
        self._stored.write(f"{_FOLDER}/{self._file}", TypeAdapter(_Shown).dump_json(shown))

    def _find_others(self) -> Iterator[tuple[_Shown, float]]:
        """Yield the drivers that live and for how many seconds each has not shown; take away what dead ones left."""
        listed = {each.path: each for each in self._stored.list_files(_FOLDER)}
        mine = listed.pop(self._file, None)
        for other in listed.values():
            told = _read(self._stored, other)
            # By the store's own clock: those of two machines may differ.
            silent = mine.modified - other.modified if mine is not None else 0.0
            # The lock of this folder is this driver's, so whoever had it is dead.
            if silent > STALE_SECONDS or told.folder == self._folder:
                self._stored.delete(f"{_FOLDER}/{other.path}")
            else:
                yield told, max(0.0, silent)


@contextmanager
def claimed(stored: Bucket, root: Path) -> Iterator[Driver]:
    """Be the one driver of a search.

    Args:
        stored: its folder in the bucket.
        root: its folder on this machine, of which the caller has the lock.

    Raises:
        CheckpointError: when another driver lives.
        StorageError: when the bucket cannot be used.
    """
    driver = Driver(stored, root)
    try:
        patiently(driver.begin)
        yield driver
    finally:
        driver.leave()


def require_undriven(stored: Bucket, root: Path) -> None:
    """Refuse a search that another machine drives; nothing is left behind.

    Args:
        stored: the search's folder in the bucket.
        root: its folder on this machine.

    Raises:
        CheckpointError: naming the driver, with what to do.
        StorageError: when the bucket cannot be read.
    """
    for told, silent in _list_driving(stored, root):
        raise CheckpointError(_describe(stored, told, silent))


def is_driven(stored: Bucket, root: Path) -> bool:
    """Say whether another machine drives a search; nothing is left behind.

    Args:
        stored: the search's folder in the bucket.
        root: its folder on this machine.

    Raises:
        StorageError: when the bucket cannot be read.
    """
    return any(True for _ in _list_driving(stored, root))


def _list_driving(stored: Bucket, root: Path) -> Iterator[tuple[_Shown, float]]:
    listed = stored.list_files(_FOLDER)
    now = _ask_time(stored) if listed else 0.0
    for each in listed:
        told, silent = _read(stored, each), now - each.modified
        if told.drives and silent < STALE_SECONDS and told.folder != _identify(root):
            yield told, max(0.0, silent)


def _ask_time(stored: Bucket) -> float:
    """Return what time it is by the store's own clock, which alone says when a driver showed, in Unix seconds."""
    probe = f".probe-{uuid.uuid4().hex}"
    # Who may only read has no other clock than this machine's.
    with suppress(StorageError):
        stored.write(probe, b"probe")
        found = stored.look_up(probe)
        stored.delete(probe)
        if found is not None:
            return found.modified
    return time.time()


def _read(stored: Bucket, file: StoredFile) -> _Shown:
    with suppress(ValueError):
        return TypeAdapter(_Shown).validate_json(stored.read(f"{_FOLDER}/{file.path}") or b"")
    return _Shown()


def _describe(stored: Bucket, told: _Shown, silent: float) -> str:
    return (
        f"{stored.address} is in use by process {told.process} on {told.machine}, which showed {silent:.0f} s ago; "
        "stop it there, then give the command again. One that died is taken for dead "
        f"{STALE_SECONDS:.0f} s after it last showed."
    )


def _identify(root: Path) -> str:
    """Return what tells a folder from every other on any machine."""
    stat, boot = root.stat(), ""
    with suppress(OSError):
        boot = _BOOT.read_text(encoding="utf-8").strip()
    return f"{boot} {stat.st_dev} {stat.st_ino}"
