"""The memory of a search: an append-only file of events, and the trials that follow from them.

Everything that must outlive the driver is written here first. `resume` feeds it to the proposer and the
scheduler, `tracking` follows it into MLflow, `report` shows it. Only the driver writes.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from search.memory.history import History
from segcore.errors import CheckpointError


class Journal:
    """Writes events and keeps the history that follows from them.

    Args:
        file: the journal; created when missing, continued when there.

    Raises:
        CheckpointError: when a line in the middle is damaged.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self.history = read_history(file)
        _drop_torn_line(file)
        self._stream: IO[str] = file.open("a", encoding="utf-8")

    def __reduce__(self) -> tuple[type["Journal"], tuple[Path]]:
        # Ray Tune pickles all that it is given into its own files, an open file too.
        return Journal, (self.file,)

    def write(self, kind: str, content: dict[str, Any]) -> None:
        """Append one event, on disk before this returns.

        Args:
            kind: opened, asked, started, epoch, checkpoint, restarted, ended, reopened, dropped, halted, closed.
            content: what belongs to it; `time` is added, unless it is given.
        """
        event = {"event": kind, "time": time.time(), **content}
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.history.apply(event)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def read_history(file: Path) -> History:
    """Build the history of a journal; empty when the file is missing."""
    history = History()
    if file.exists():
        for event in read_events(file):
            history.apply(event)
    return history


def read_events(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a journal; a last line cut short by a crash is left out.

    Raises:
        CheckpointError: when a line before the last is damaged.
    """
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except ValueError as error:
                raise CheckpointError(
                    f"{file}, line {number} is damaged ({error}); restore the file, or delete the line."
                ) from error


def _drop_torn_line(file: Path) -> None:
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(file, whole)
