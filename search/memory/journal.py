"""The memory of a search on disk: an append-only file of events, from which everything else is derived.

Everything that must outlive the driver is written here first. Whoever follows a journal is told all that is in it and
then each event as it is written, so that a search that goes on knows what an uninterrupted one would know. What
events say is in `events`, what follows from them in `history`. Only the driver writes.
"""

import contextlib
import errno
import itertools
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from search.memory.events import Event, encode_event, parse_event
from search.memory.history import History
from segcore.errors import CheckpointError, StorageError
from segcore.regular import open_regular, read_regular


class Follower(Protocol):
    """What is built from events alone, one at a time and in order, such as a history or a judge."""

    def apply(self, event: Event) -> None:
        """Take one event into account."""


class Journal:
    """Writes events and tells each to all that follow it.

    Args:
        file: the journal; created when missing, continued when there.
        metric: what decides, for the history.

    Raises:
        CheckpointError: when a line in the middle is damaged.
    """

    def __init__(self, file: Path, metric: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self.history = History(metric)
        self._followers: list[Follower] = []
        self.follow(self.history)
        _drop_torn_line(file)
        # Without a buffer: what a full disk did not take is not written again when the file is closed.
        self._stream = file.open("ab", buffering=0)

    def __reduce__(self) -> tuple[type["Journal"], tuple[Path, str]]:
        # Ray Tune pickles all that it is given into its own files, an open file too.
        return Journal, (self.file, self.history.metric)

    def follow(self, *followers: Follower) -> None:
        """Tell followers all events so far, read once for all of them, and from here on each as it is written."""
        replay(self.file, *followers)
        self._followers += followers

    def write(self, event: Event) -> None:
        """Append an event, on disk before this returns, and tell all that follow.

        Raises:
            StorageError: when the file is gone, or the disk does not take it; the journal then ends with the event
                before.
        """
        self.require_there()
        self._append(encode_event(event) + b"\n")
        for follower in self._followers:
            follower.apply(event)

    def require_there(self) -> None:
        """Refuse to go on without the search's folder: what is written to a journal that was moved nobody finds.

        Raises:
            StorageError: when the file is not where it was, with what to do.
        """
        try:
            self.file.stat()
            is_there = os.fstat(self._stream.fileno()).st_nlink > 0
        except OSError:
            is_there = False
        # Inodes are not compared: mounted buckets number a file anew when it is written.
        if not is_there:
            raise StorageError(
                f"{self.file} is gone: its folder was renamed, deleted or unmounted. Bring it back, or name its new "
                "place by --storage."
            )

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _append(self, line: bytes) -> None:
        # The stream's own position is behind what an earlier attempt wrote in part and took back.
        before = os.fstat(self._stream.fileno()).st_size
        try:
            if self._stream.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._stream.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._stream.fileno(), before)
            raise StorageError(
                f"{self.file} cannot be written ({error.strerror or error}); make room on its disk, or let it be "
                "written."
            ) from error


def read_history(file: Path, metric: str) -> History:
    """Build the history of a journal; empty when the file is missing.

    Args:
        file: the journal.
        metric: what decides, see `segcore.scoring.objective`.
    """
    history = History(metric)
    replay(file, history)
    return history


def replay(file: Path, *followers: Follower) -> None:
    """Tell followers all events of a journal; none when it is missing.

    Raises:
        CheckpointError: when a line is damaged, or cannot follow on those before it.
    """
    for number, event in enumerate(read_events(file), start=1):
        try:
            for follower in followers:
                follower.apply(event)
        except CheckpointError as error:
            raise _damaged(file, number, error) from error


def read_events(file: Path) -> Iterator[Event]:
    """Yield the events of a journal, none when it is missing; a last line cut short by a crash is left out.

    Raises:
        CheckpointError: when a line is damaged, with what to do.
    """
    for number, line in _whole_lines(file):
        try:
            event = parse_event(line)
        except CheckpointError as error:
            raise _damaged(file, number, error) from error
        yield event


def _whole_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with open_regular(file) as stream:
            # Not beyond a line without an end: the driver may write the rest of it before the next one is read.
            yield from enumerate(itertools.takewhile(lambda line: line.endswith(b"\n"), stream), start=1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read ({error.strerror or error}); restore it.") from error


def _damaged(file: Path, number: int, error: CheckpointError) -> CheckpointError:
    # The lines before a damaged one are those of a search that was killed there, and can go on. Leaving out only the
    # damaged line would leave events that do not follow from each other.
    journal, kept = shlex.quote(str(file)), shlex.quote(f"{file}.kept")
    return CheckpointError(
        f"{file}, line {number} is damaged ({error}); restore the file, or keep what stands before that line and have "
        f"the rest trained again: head -n {number - 1} {journal} > {kept} && mv {kept} {journal}"
    )


def _drop_torn_line(file: Path) -> None:
    if not file.exists():
        return
    content = read_regular(file)
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(file, whole)
