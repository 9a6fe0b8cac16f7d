"""What MLflow knows of a stage so far, built from the journal's events alone."""

from collections import defaultdict

from search.memory.events import Asked, Closed, Ended, Epoch, Event, Opened, Reopened


class Sent:
    """Tells an epoch's first report from later ones, and which trials are still open.

    A point of MLflow has its value and time in its key: an epoch that is trained again would be a second point.
    """

    def __init__(self) -> None:
        self.open_trials: set[int] = set()
        self.is_closed = False
        self.time = 0.0
        self.again: dict[int, set[int]] = {}
        self._stamps: defaultdict[int, dict[int, int]] = defaultdict(dict)

    def apply(self, event: Event) -> None:
        """Take one event into account."""
        self.time = max(self.time, event.time)
        match event:
            case Opened():
                self.is_closed = False
            case Closed():
                self.is_closed = True
            case Asked() | Reopened():
                self.open_trials.add(event.trial)
            case Ended():
                self.open_trials.discard(event.trial)
            case Epoch() if self.is_new(event):
                self.know(event.trial, event.epoch, stamp_of(event))
            case Epoch() if self._stamps[event.trial][event.epoch] != stamp_of(event):
                self.again.setdefault(event.trial, set()).add(event.epoch)

    def know(self, trial: int, epoch: int, stamp: int) -> None:
        """Note that MLflow has an epoch's first report, with its time in milliseconds since the Unix epoch."""
        self._stamps[trial][epoch] = stamp

    def is_new(self, event: Epoch) -> bool:
        """Say whether an epoch has not been reported before."""
        return event.epoch not in self._stamps[event.trial]


def stamp_of(event: Event) -> int:
    """Return an event's time as MLflow has it: in milliseconds since the Unix epoch."""
    return int(event.time * 1000)
