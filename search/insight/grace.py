"""How early the ranks of trainings settle: evidence for how long every trial should run before ASHA may stop it.

Ranks after an early epoch are worth as much as they agree with the ranks at the end. Whole curves are needed to see
that, so a search has evidence only once some trials have run to their end. Those are the ones that ASHA let pass, more
alike than all trials, so their ranks agree less: the evidence errs towards a longer grace period. A trial that is
stopped too early is not lost, it waits and may go on; so a warning is due only where ranks mislead.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

from search.memory.history import History
from search.memory.outcome import Outcome

LEAST_TRIALS: Final = 6
"""With fewer whole curves, agreement may be chance: of 6, all 15 pairs agree by chance once in 720 times."""
_ENOUGH_AGREEMENT: Final = 0.6
"""Kendall's tau; then an early rank orders four of five pairs as the end does."""
_MISLEADING_BELOW: Final = 0.0
"""Kendall's tau; then an early rank orders fewer than half of the pairs as the end does: drawing lots is no worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grace:
    """How early ranks settle.

    Args:
        trials: whole curves that were compared.
        agreements: Kendall's tau between the ranks after each epoch and at the end, -1 to 1, from the first epoch.
        suggested_epochs: the first epoch from which on ranks agree well with those at the end; the last epoch when none
            before it does, None with too few curves.
    """

    trials: int
    agreements: tuple[float, ...]
    suggested_epochs: int | None


def suggest_grace(curves: Sequence[Sequence[float]]) -> Grace:
    """Compare the ranks after each epoch with those at the end.

    Args:
        curves: scores by epoch of whole trainings, equally long; NaN ranks below all scores.

    Raises:
        ValueError: when the curves are not equally long.
    """
    columns = list(zip(*curves, strict=True))
    agreements = tuple(kendall_tau(column, columns[-1]) for column in columns)
    if len(curves) < LEAST_TRIALS:
        return Grace(trials=len(curves), agreements=agreements, suggested_epochs=None)
    suggested = len(columns)
    # From the end: an early agreement that is lost again was chance.
    while suggested > 1 and agreements[suggested - 2] >= _ENOUGH_AGREEMENT:
        suggested -= 1
    return Grace(trials=len(curves), agreements=agreements, suggested_epochs=suggested)


def read_whole_curves(history: History) -> list[list[float]]:
    """Return the scores by epoch of all trials that ran as long as the longest."""
    finished = [trial for trial in history.in_order if trial.outcome is Outcome.FINISHED]
    last = max((trial.last_epoch for trial in finished), default=0)
    return [
        [trial.epochs[epoch].score if epoch in trial.epochs else math.nan for epoch in range(1, last + 1)]
        for trial in finished
        if trial.last_epoch == last and last > 0
    ]


def warn_of_grace(grace: Grace, grace_epochs: int) -> str:
    """Return a warning when trials are first stopped at an epoch whose ranks say nothing of the end, or the opposite.

    Ranks that say little are worth no warning: who is stopped by mistake may still go on.

    Args:
        grace: the evidence.
        grace_epochs: the first epoch at which ASHA stops trials.
    """
    if grace.suggested_epochs is None or grace.suggested_epochs <= grace_epochs:
        return ""
    tau = grace.agreements[grace_epochs - 1]
    if tau >= _MISLEADING_BELOW:
        return ""
    return (
        f"After epoch {grace_epochs}, where ASHA begins to stop trials, ranks say nothing of the end, or the opposite: "
        f"of {grace.trials} whole trainings, {(1 + tau) / 2:.0%} of the pairs stand as they do in the end "
        f"(Kendall's tau {tau:.2f}). "
        f"Launch the next search with --grace-epochs {grace.suggested_epochs}."
    )


def kendall_tau(scores: Sequence[float], others: Sequence[float]) -> float:
    """Return Kendall's tau-a of two rankings: pairs in the same order less those in opposite order, over all pairs.

    Args:
        scores: of each trial; NaN ranks below all.
        others: of the same trials.

    Source: Kendall, "A New Measure of Rank Correlation", 1938.
    """
    first, second = ([-math.inf if math.isnan(value) else value for value in values] for values in (scores, others))
    balance, below = 0, list[float]()
    # Sorted, since all pairs of hundreds of trials take seconds.
    for _, tied in groupby(sorted(zip(first, second, strict=True)), key=itemgetter(0)):
        values = [value for _, value in tied]
        balance += sum(bisect_left(below, value) + bisect_right(below, value) - len(below) for value in values)
        for value in values:
            insort(below, value)
    pairs = len(first) * (len(first) - 1) // 2
    return balance / pairs if pairs else 0.0
