"""Reads a journal on from a position that an edited journal cannot shift."""

import hashlib
from pathlib import Path
from typing import Final

from search.memory.events import Event, encode_event, parse_event
from segcore.errors import CheckpointError
from segcore.regular import open_regular

_IDENTITY_LETTERS: Final = 16
_MOST_DIGITS: Final = 18
"""Of a number of lines."""


class JournalReader:
    """Reads whole lines of a journal, and knows where it is by what it has read.

    Args:
        file: the journal.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rewind()

    @property
    def position(self) -> str:
        """How many lines were read, and a digest of them: another beginning has another position."""
        return f"{self._lines} {self._digest.hexdigest()}"

    @property
    def read_bytes(self) -> int:
        """Bytes of the lines that were read."""
        return self._offset

    def read(self, count: int) -> list[Event]:
        """Return the next whole lines, up to one that is damaged.

        Args:
            count: at most so many.

        Raises:
            CheckpointError: when the very next line is damaged.
        """
        events: list[Event] = []
        if not self._file.exists():
            return events
        with open_regular(self._file) as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n") or len(events) == count:
                    break
                try:
                    events.append(self._parse(line))
                except CheckpointError:
                    # What stands before it is whole, and whoever reads on is told.
                    if events:
                        break
                    raise
                self._lines += 1
                self._offset += len(line)
                self._digest.update(line)
        return events

    def skip_to(self, position: str) -> list[Event]:
        """Read on to a position and return what lies before it.

        Args:
            position: as noted earlier; of a journal that holds something else there, and of what is none, nothing
                was read.

        Raises:
            CheckpointError: when a line before it is damaged.
        """
        lines = position.partition(" ")[0]
        wanted = int(lines) if lines.isdecimal() and len(lines) <= _MOST_DIGITS else 0
        events = self.read(wanted)
        if len(events) < wanted:
            events += self.read(wanted - len(events))
        if self.position == position:
            return events
        self._rewind()
        return []

    def _rewind(self) -> None:
        self._lines, self._offset, self._digest = 0, 0, hashlib.sha256()

    def _parse(self, line: bytes) -> Event:
        try:
            return parse_event(line)
        except CheckpointError as error:
            raise CheckpointError(f"{self._file}, line {self._lines + 1} is damaged ({error}).") from None


def identify(journal: Path) -> str:
    """Return what tells a journal from others: a digest of its first event; a journal without one has none."""
    if not journal.exists():
        return ""
    with open_regular(journal) as stream:
        first = stream.readline()
    return hashlib.sha256(_write_anew(first)).hexdigest()[:_IDENTITY_LETTERS] if first.endswith(b"\n") else ""


def _write_anew(line: bytes) -> bytes:
    """Return a line as it is written here: an editor may have put spaces into it, or its keys in another order."""
    try:
        return encode_event(parse_event(line)) + b"\n"
    except CheckpointError:
        return line


def count_whole_bytes(journal: Path, start: int = 0) -> int:
    """Return how many bytes of whole lines a journal has; a line that is being written, or was torn, is none.

    Args:
        journal: the file.
        start: bytes that are known to be whole lines.
    """
    if not journal.exists():
        return 0
    with open_regular(journal) as stream:
        stream.seek(start)
        return start + stream.read().rfind(b"\n") + 1
