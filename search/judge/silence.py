"""How long a trial may be silent before it counts as hung; `run.watchdog` then ends its worker."""

from statistics import median
from typing import Final

from search.memory.history import History, TrialRecord

_EPOCHS: Final = 10
"""A trial that trains reports after each epoch."""
_MOST_DOUBLED: Final = 3
"""What hangs after eight times its patience is not slow."""
_BEFORE_FIRST_REPORT: Final = 6
"""A worker first opens or decodes the data, fetches weights, and looks for a batch that fits."""


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
    epoch_seconds = _typical_epoch_seconds(history.trials[number]) or _find_slowest(history)
    patience = max(hang_after_seconds, _EPOCHS * epoch_seconds)
    return patience * (1 if has_reported else _BEFORE_FIRST_REPORT) * float(2 ** min(hangs, _MOST_DOUBLED))


def _find_slowest(history: History) -> float:
    return max((_typical_epoch_seconds(trial) or 0.0 for trial in history.in_order), default=0.0)


def _typical_epoch_seconds(trial: TrialRecord) -> float | None:
    known = [record.metrics["seconds"] for record in trial.epochs.values() if "seconds" in record.metrics]
    return median(known) if known else None
