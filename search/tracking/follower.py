"""The thread that follows a journal into MLflow; the journal is the queue: whatever MLflow does, nothing waits."""

import json
import threading
from pathlib import Path
from typing import Final

from search.folder import StageFolder
from search.memory.events import Event, parse_event
from search.place import Place
from search.settings import SearchSettings
from search.tracking.runs import StageRuns

_RETRY_SECONDS: Final = 5.0


_POLL_SECONDS: Final = 1.0


_CLOSE_SECONDS: Final = 60.0


_EVENTS_PER_SEND: Final = 20
"""What is sent is noted after so many, so that a slow server is not sent the same for ever."""


class Tracker:
    """A thread that follows a journal into MLflow and outlasts the server's absences.

    Args:
        settings: the search's settings.
        place: where MLflow is.
        stage_name: `search`, `confirm` or `retrain`.
        folder: the stage's files.
    """

    def __init__(self, settings: SearchSettings, place: Place, stage_name: str, folder: StageFolder) -> None:
        self._settings = settings
        self._place = place
        self._stage_name = stage_name
        self._folder = folder
        self._runs: StageRuns | None = None
        self._sent_bytes = _read_sent(folder)
        self._closing = threading.Event()
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._follow, name="mlflow", daemon=True)
        self._thread.start()

    def close(self) -> int:
        """Send what is left, as long as it becomes less within a minute.

        Returns:
            Bytes of the journal that MLflow does not have.
        """
        self._closing.set()
        before = self.unsent_bytes + 1
        while self._thread.is_alive() and self.unsent_bytes < before:
            before = self.unsent_bytes
            self._thread.join(_CLOSE_SECONDS)
        return self.unsent_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes of the journal that MLflow does not have."""
        size = self._folder.journal.stat().st_size if self._folder.journal.exists() else 0
        return size - self._sent_bytes

    def _follow(self) -> None:
        while not (self._closing.is_set() and (self.unsent_bytes == 0 or self.problem)):
            sent = self._send()
            self._closing.wait(_RETRY_SECONDS if self.problem else 0 if sent else _POLL_SECONDS)

    def _send(self) -> bool:
        try:
            events, end = read_new_events(self._folder.journal, self._sent_bytes)
            if events:
                self._runs = self._runs or StageRuns(self._settings, self._place, self._stage_name, self._folder)
                self._runs.write(events)
                self._sent_bytes = end
                _write_sent(self._folder, end)
            self.problem = None
            return bool(events)
        # Whatever MLflow raises, the search goes on and this thread tries again.
        except Exception as error:
            # Found anew at the next try: the server may have made a run whose answer was lost, or a user deleted one.
            self._runs = None
            self.problem = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            return False


def read_new_events(journal: Path, start: int) -> tuple[list[Event], int]:
    """Return the whole lines of a journal after a position, and the position after them; at most 20 lines."""
    if not journal.exists():
        return [], start
    events: list[Event] = []
    with journal.open("rb") as stream:
        stream.seek(start)
        for line in stream:
            if not line.endswith(b"\n") or len(events) == _EVENTS_PER_SEND:
                break
            events.append(parse_event(line))
            start += len(line)
    return events, start


def _read_sent(folder: StageFolder) -> int:
    try:
        return int(json.loads(folder.tracked.read_text(encoding="utf-8"))["bytes"])
    except (OSError, ValueError, KeyError):
        return 0


def _write_sent(folder: StageFolder, sent_bytes: int) -> None:
    temporary = folder.tracked.with_suffix(".tmp")
    temporary.write_text(json.dumps({"bytes": sent_bytes}), encoding="utf-8")
    temporary.replace(folder.tracked)
