"""The thread that sends a journal to MLflow. The journal is the queue, so whatever MLflow does, no training waits.

The command `sync` sends the rest of a search whose server was away. What is written, and where, lives in
`runs`; where in the journal it stands, in `reading`.
"""

import math
import threading
import time
from typing import Final

from search.folder import SearchFolder, StageFolder
from search.place import Place
from search.settings import SearchSettings
from search.tracking.check import is_away
from search.tracking.overview import write_overview
from search.tracking.reading import JournalReader, count_whole_bytes
from search.tracking.record_file import send_record
from search.tracking.refreshed import Refreshed
from search.tracking.runs import StageRuns
from search.tracking.store import told
from search.tracking_uri import mask_uri

_RETRY_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 1.0
_REST_FACTOR: Final = 5.0
_LONGEST_REST_SECONDS: Final = 15.0
"""MLflow takes ten times as long for single epochs as for many together, so the more time they take the more of them
are waited for: a search whose epochs are short shares its processor with what is sent of it."""
_CLOSE_SECONDS: Final = 60.0
_EVENTS_PER_SEND: Final = (20, 640)
"""What is sent is noted after so many, so that a slow server is not sent the same for ever; more while it is quick."""
_QUICK_SECONDS: Final = 2.0
_OVERVIEW_SECONDS: Final = (15.0, 300.0)
"""An overview is written so long after the one before it; sooner at the beginning, while much is new."""
_RECORD_SECONDS: Final = (10.0, 300.0)
"""Likewise the record, but as often all along where that takes little; who watches a search reads it."""


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
        self._search = SearchFolder(root=folder.search or folder.root)
        self._reader = JournalReader(folder.journal)
        self._runs: StageRuns | None = None
        self._sent_bytes = 0
        self._events_per_send = _EVENTS_PER_SEND[0]
        self._shown = (
            Refreshed("overview", self._write_overview, *_OVERVIEW_SECONDS, is_steady=False),
            Refreshed("record", self._send_record, *_RECORD_SECONDS, is_steady=True),
        )
        self._closing = threading.Event()
        self._given_up = math.inf
        self.problem: str | None = None
        self._may_return = False
        self.set_aside: dict[str, str] = {}
        self._thread = threading.Thread(target=self._follow, name="mlflow", daemon=True)
        self._thread.start()

    def close(self, away_seconds: float = _CLOSE_SECONDS) -> int:
        """Send what is left, as long as it becomes less within a minute, and mark what was interrupted.

        Args:
            away_seconds: how long to wait for a server that is away.

        Returns:
            Bytes of the journal that MLflow does not have.
        """
        self._given_up = time.monotonic() + away_seconds
        self._closing.set()
        before = self.unsent_bytes + 1
        while self._thread.is_alive() and self.unsent_bytes < before:
            before = self.unsent_bytes
            self._thread.join(_CLOSE_SECONDS)
        return self.unsent_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes of the journal's whole lines that MLflow does not have."""
        return count_whole_bytes(self._folder.journal, self._sent_bytes) - self._sent_bytes

    @property
    def lack(self) -> str | None:
        """What MLflow lacks, in a sentence; None when it has everything, and knows what was interrupted."""
        if self.unsent_bytes == 0 and self.problem is None:
            return None
        problem = self.problem or "it is slow"
        return f"MLflow at {self._address} has not everything of the {self._stage_name} yet ({problem})."

    @property
    def returns(self) -> bool:
        """Whether MLflow lacks it because it is away or slow; else a person has to mend something."""
        return self.problem is None or self._may_return

    def _follow(self) -> None:
        while True:
            closing, asked, begun = self._closing.is_set(), self._events_per_send, time.monotonic()
            sent = self._send(settle=closing)
            if closing and not sent and not self._is_waited_for:
                return
            is_behind = sent == asked or (closing and sent > 0)
            rest = 0.0 if is_behind else choose_rest(time.monotonic() - begun)
            seconds = _RETRY_SECONDS if self.problem else rest
            if closing:
                time.sleep(seconds)
            else:
                self._closing.wait(seconds)

    @property
    def _is_waited_for(self) -> bool:
        """Whether the server is away as the stage ends, and may be back in a moment."""
        return self.problem is not None and self._may_return and time.monotonic() < self._given_up

    def _send(self, *, settle: bool) -> int:
        """Send the next events and return how many there were; none where something went wrong."""
        try:
            runs = self._runs = self._runs or self._connect()
            events = self._reader.read(self._events_per_send) if runs is not None else []
            if runs is not None and events:
                begun = time.monotonic()
                runs.write(events)
                runs.note_position(self._reader.position)
                self._events_per_send = count_next(len(events), time.monotonic() - begun)
                self._sent_bytes = self._reader.read_bytes
            elif runs is not None and settle:
                runs.settle()
            if runs is not None:
                self.set_aside |= runs.set_aside
                self._write_shown(now=settle and not events)
            self.problem = None
            return len(events)
        # Whatever MLflow raises, the search goes on and this thread tries again.
        except Exception as error:
            # Found anew at the next try: the server may have made a run whose answer was lost, or a user deleted one.
            self._runs = None
            self._events_per_send = _EVENTS_PER_SEND[0]
            self.problem, self._may_return = told(error), is_away(error, self._place.tracking_uri)
            return 0

    def _write_shown(self, *, now: bool) -> None:
        """Write what follows from the search's whole folder, where it is due."""
        if not self._search.settings.is_file():
            return
        for shown in self._shown:
            try:
                shown.write(now=now)
            # Whatever is wrong with what is only shown, runs and points are sent.
            except Exception as error:
                if is_away(error, self._place.tracking_uri):
                    raise
                self.set_aside[shown.name] = told(error)

    def _write_overview(self) -> None:
        write_overview(self._place, self._search)

    def _send_record(self) -> None:
        driven = "" if self._closing.is_set() else self._stage_name
        send_record(self._place, self._search, driven)

    def _connect(self) -> StageRuns | None:
        """Find the stage's runs and read on to where they stand; a journal without an event has none."""
        if not count_whole_bytes(self._folder.journal):
            return None
        runs = StageRuns(self._settings, self._place, self._stage_name, self._folder)
        self._reader = JournalReader(self._folder.journal)
        events = self._reader.skip_to(runs.sent_position)
        runs.recall(events)
        if runs.sent_position and not events:
            runs.recall_points()
        self._sent_bytes = self._reader.read_bytes
        return runs

    @property
    def _address(self) -> str:
        return mask_uri(self._place.tracking_uri)


def choose_rest(seconds: float) -> float:
    """Return how many seconds to wait for more events, after having sent all that there were in so many."""
    return min(_LONGEST_REST_SECONDS, max(_POLL_SECONDS, _REST_FACTOR * seconds))


def count_next(events: int, seconds: float) -> int:
    """Return how many events to send at once: twice as many after a quick send, the fewest after a slow one."""
    fewest, most = _EVENTS_PER_SEND
    return min(most, max(fewest, 2 * events)) if seconds < _QUICK_SECONDS else fewest
