"""The trials of a stage, as they follow from its events; what one event makes of one trial is in `trials`."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from operator import itemgetter

from search.memory.events import Asked, Closed, Event, Halted, Opened, Reopened, TrialEvent, Warned
from search.memory.outcome import FAILURES, Outcome
from search.memory.trials import EpochRecord, TrialRecord, ask, follow
from segcore.errors import CheckpointError

__all__ = ["EpochRecord", "History", "TrialRecord", "count_ends", "rank"]


class History:
    """The trials of a stage, built event by event.

    What closed the stage, in `closed`, stands until another training is asked for or goes on.

    Args:
        metric: what decides, see `segcore.scoring.objective`.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.trials: dict[int, TrialRecord] = {}
        self.cache_key: str | None = None
        self.warnings: list[Warned] = []
        self.closed: Closed | None = None
        self._by_outcome: defaultdict[Outcome | None, set[int]] = defaultdict(set)
        self._runs: list[tuple[float, float]] = []
        self._open = False

    def apply(self, event: Event) -> None:
        """Take one event into account.

        Raises:
            CheckpointError: for one that cannot follow on those before it.
        """
        match event:
            case Opened():
                self.cache_key = event.cache_key
                self.halt()
                self._runs.append((event.time, event.time))
                self._open = True
            case Asked():
                self._put(ask(event))
            case Halted():
                self.halt()
            case Warned():
                self.warnings.append(event)
            case Closed():
                self.closed = event
            case _:
                self._apply_to_trial(event)
        if isinstance(event, Asked | Reopened):
            self.closed = None
        if self._open:
            first, last = self._runs[-1]
            # Where the clock went ahead and back again, what it said meanwhile counts no more.
            self._runs[-1] = first, event.time if event.time >= first else last
        if isinstance(event, Halted):
            # What is written before the next run begins costs no time of a budget.
            self._open = False

    def _apply_to_trial(self, event: TrialEvent) -> None:
        known = self.trials.get(event.trial)
        if known is None:
            raise CheckpointError(f"trial {event.trial} was never asked for")
        self._put(follow(known, event, self.metric))

    def _put(self, trial: TrialRecord) -> None:
        before = self.trials.get(trial.number)
        if before is None or before.outcome is not trial.outcome:
            if before is not None:
                self._by_outcome[before.outcome].discard(trial.number)
            self._by_outcome[trial.outcome].add(trial.number)
        self.trials[trial.number] = trial

    @property
    def is_open(self) -> bool:
        """Whether a process took the stage and has not left it, as far as the journal knows."""
        return self._open

    @property
    def last_moment(self) -> float | None:
        """When the last event of a run was written, seconds since the Unix epoch; None before the first run."""
        return self._runs[-1][1] if self._runs else None

    def halt(self) -> None:
        """Note that no worker has a trial any more."""
        for number, trial in self.trials.items():
            if trial.running:
                self.trials[number] = replace(trial, running=False)

    @property
    def in_order(self) -> list[TrialRecord]:
        """Every trial by number; a copy, since the display reads it while the driver writes."""
        return [trial for _, trial in sorted(self.trials.copy().items())]

    @property
    def next_number(self) -> int:
        """Number of the trial that is asked for next; one whose lines somebody cut out leaves its number unused."""
        return max(self.trials, default=-1) + 1

    @property
    def spent_seconds(self) -> float:
        """Seconds that runs of the stage lasted, each from its start to its last event."""
        return self.spent_until(math.inf)

    def spent_until(self, moment: float) -> float:
        """Return the seconds that runs of the stage had lasted at a moment, in seconds since the Unix epoch."""
        return sum(max(0.0, min(last, moment) - first) for first, last in self._runs)

    @property
    def unfinished(self) -> list[TrialRecord]:
        """Trials without an outcome, in order."""
        return self.list_by_outcome(None)

    def list_by_outcome(self, outcome: Outcome | None) -> list[TrialRecord]:
        """Return the trials that have an outcome, in order; None: the unfinished."""
        return [self.trials[number] for number in sorted(self._by_outcome[outcome].copy())]

    def count(self, outcome: Outcome | None) -> int:
        """Return how many trials have an outcome; None counts the unfinished."""
        return len(self._by_outcome[outcome])

    @property
    def ranked(self) -> list[TrialRecord]:
        """Trials with a score, the best first; equals by number."""
        return rank(self.in_order)

    @property
    def eligible(self) -> list[TrialRecord]:
        """Trials that may win, the best first; equals by number. One that failed may not, whatever its score was."""
        return [trial for trial in self.ranked if trial.outcome not in FAILURES]

    def is_vain(self, planned: int) -> bool:
        """Say whether so many trials were begun, all have ended, and none can win."""
        return len(self.trials) >= planned and not self.unfinished and not self.eligible


def rank(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that have a score, the best first; equals by number."""
    scored = [(-best.score, trial.number, trial) for trial in trials if (best := trial.best) is not None]
    return [trial for _, _, trial in sorted(scored, key=itemgetter(0, 1))]


def count_ends(trials: Iterable[TrialRecord]) -> str:
    """Return in words how many trials ended in which way, the most frequent first."""
    counts = Counter("not ended" if trial.outcome is None else str(trial.outcome) for trial in trials)
    return ", ".join(f"{count} {end}" for end, count in counts.most_common())
