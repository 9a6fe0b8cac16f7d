"""How long a worker may be silent before it counts as hung; `run.watchdog` and `run.polling` then end it."""

import time
from collections.abc import Callable
from statistics import median
from typing import Final

from search.memory.history import History, TrialRecord

_STEPS: Final = 10
"""A trial that trains reports after each epoch, one that predicts for an ensemble after each image."""
_MOST_DOUBLED: Final = 3
"""What hangs after eight times its patience is not slow."""
_BEFORE_FIRST_REPORT: Final = 6
"""A worker first opens or decodes the data, fetches weights, and looks for a batch that fits."""
_LONGEST_LOOK_SECONDS: Final = 10.0


class AttentiveClock:
    """Counts the seconds in which its owner could have heard somebody.

    Who stood still itself, on a suspended machine or a slow disk, has heard nobody meanwhile.

    Args:
        clock: seconds that pass, whatever is done to the time of day.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = clock()
        self.seconds = 0.0

    @property
    def unseen_seconds(self) -> float:
        """Seconds since the last look."""
        return self._clock() - self._looked

    def look(self) -> float:
        """Return the seconds that count, until now."""
        passed = self.unseen_seconds
        self._looked += passed
        self.seconds += min(passed, _LONGEST_LOOK_SECONDS)
        return self.seconds


def find_patience_seconds(
    history: History, number: int, *, hang_after_seconds: float, has_reported: bool, hangs: int = 0
) -> float:
    """Return how long a trial may be silent: ten of its epochs, and no less than is set.

    Args:
        history: the stage's trials; where a trial has no epoch yet, the slowest of the others tells.
        number: the trial's.
        hang_after_seconds: the least.
        has_reported: whether its worker has reported an epoch; the first one takes longer.
        hangs: how often it was taken for hung before; each of the first three times doubles the patience, so that
            what is merely slow is not ended for ever.
    """
    return stretch_patience(
        _typical_epoch_seconds(history.trials[number]) or _find_slowest(history),
        hang_after_seconds=hang_after_seconds,
        has_reported=has_reported,
        hangs=hangs,
    )


def stretch_patience(step_seconds: float, *, hang_after_seconds: float, has_reported: bool, hangs: int = 0) -> float:
    """Return how long a worker that reports each step may be silent: ten of them, and no less than is set.

    Args:
        step_seconds: what a step takes; 0: it is not known.
        hang_after_seconds: the least.
        has_reported: whether the worker has reported a step; the first one takes longer.
        hangs: how often the work was given up for hung before.
    """
    patience = max(hang_after_seconds, _STEPS * step_seconds)
    return patience * (1 if has_reported else _BEFORE_FIRST_REPORT) * float(2 ** min(hangs, _MOST_DOUBLED))


def _find_slowest(history: History) -> float:
    return max((_typical_epoch_seconds(trial) or 0.0 for trial in history.in_order), default=0.0)


def _typical_epoch_seconds(trial: TrialRecord) -> float | None:
    known = [record.metrics["seconds"] for record in trial.epochs.values() if "seconds" in record.metrics]
    return median(known) if known else None
