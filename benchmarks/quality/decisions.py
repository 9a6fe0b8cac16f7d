"""What ASHA would have decided in a recorded search under other settings: what a past search says for the next one.

The project's own `Asha` hears the recorded reports in their recorded order, and none of a trial after it stopped it.

The record bounds what can be said. A trial that ASHA stopped then and would let go on now has no further scores: it is
counted as open, with the epochs that it would have cost at least (to its next rung) and at most (to its end), and later
rungs miss it, so that others pass them more easily. Workers that come free sooner would have taken other trials.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from statistics import median
from typing import Final

from benchmarks.quality.recorded import RecordedSearch
from search.grace import LEAST_TRIALS, Grace, read_whole_curves, suggest_grace, warn_of_grace
from search.journal import FAILURES, Outcome
from search.scheduler import Asha
from search.selection import choose_best

_FACTORS: Final = (2, 3, 4)
_SHOWN: Final = 8
"""So many trials are named in a row."""
_HEAD: Final = (
    "grace: epochs before a trial may be stopped, *: the search's own; tau: how well ranks then agree with the end;",
    "saved: recorded epochs not trained; open: trials that go on beyond their record, for so many further epochs",
    f"{'grace':>6}{'factor':>8}{'tau':>7}{'stopped':>9}{'saved':>7}{'s':>9}{'open':>6}{'further':>10}{'s':>15}  winner",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What ASHA would have decided.

    Args:
        grace_epochs, reduction_factor: its settings.
        stopped: epoch after which it stops a trial, by the trial's number.
        sooner: trials that it stops before the end of their record, in order.
        saved_epochs, saved_seconds: what was trained of them after that.
        open: trials that it would let go on beyond their record, in order.
        least_epochs, most_epochs: what these would have cost.
        least_seconds, most_seconds: the same, by the median of each trial's epochs.
        best: highest iou that would have been reported by a trial that may win.
    """

    grace_epochs: int
    reduction_factor: int
    stopped: dict[int, int]
    sooner: tuple[int, ...]
    saved_epochs: int
    saved_seconds: float
    open: tuple[int, ...]
    least_epochs: int
    most_epochs: int
    least_seconds: float
    most_seconds: float
    best: float


def decide(search: RecordedSearch, grace_epochs: int, reduction_factor: int) -> Decisions:
    """Let ASHA judge a recorded search.

    Args:
        search: the search.
        grace_epochs: the first epoch after which a trial may be stopped.
        reduction_factor: of so many trials at a rung, about one goes on.
    """
    epochs = search.settings.epochs
    asha = Asha(grace_epochs=grace_epochs, reduction_factor=reduction_factor, epochs=epochs)
    stopped: dict[int, int] = {}
    heard: list[float] = []
    saved: list[tuple[int, float]] = []
    for trial, report in search.reports:
        if trial.number in stopped:
            saved.append((trial.number, report.metrics["seconds"]))
            continue
        if trial.outcome not in FAILURES:
            heard.append(report.iou)
        if not asha.judge(trial.number, report.epoch, report.iou):
            stopped[trial.number] = report.epoch
    ended_then = [trial for trial in search.history.in_order if trial.outcome is Outcome.STOPPED and trial.epochs]
    gone_on = [trial for trial in ended_then if trial.number not in stopped]
    least = [_find_next([*asha.rungs, epochs], trial.last_epoch) - trial.last_epoch for trial in gone_on]
    most = [epochs - trial.last_epoch for trial in gone_on]
    paces = [median(report.metrics["seconds"] for report in trial.epochs.values()) for trial in gone_on]
    return Decisions(
        grace_epochs=grace_epochs,
        reduction_factor=reduction_factor,
        stopped=stopped,
        sooner=tuple(sorted({number for number, _ in saved})),
        saved_epochs=len(saved),
        saved_seconds=sum(seconds for _, seconds in saved),
        open=tuple(trial.number for trial in gone_on),
        least_epochs=sum(least),
        most_epochs=sum(most),
        least_seconds=sum(map(mul, least, paces)),
        most_seconds=sum(map(mul, most, paces)),
        best=max((iou for iou in heard if iou == iou), default=float("nan")),
    )


def describe_decisions(
    search: RecordedSearch, grace_epochs: Sequence[int] = (), reduction_factors: Sequence[int] = ()
) -> str:
    """Return what other settings would have decided, as text: one row each, the search's own marked by a star.

    Args:
        search: the search.
        grace_epochs: to look at; none: 1, 2, 4, ... below the search's epochs, and where ranks had settled.
        reduction_factors: to look at; none: 2, 3 and 4.

    Raises:
        CheckpointError: when no trial has a score.
    """
    settings, history = search.settings, search.history
    own = settings.resolved_grace_epochs, settings.reduction_factor
    winner = choose_best(history, settings)
    grace = suggest_grace(read_whole_curves(history))
    usual = {2**power for power in range(settings.epochs.bit_length())} | {grace.suggested_epochs or 1}
    graces = set(grace_epochs) or usual
    pairs = {(each, factor) for each in graces for factor in reduction_factors or _FACTORS if each < settings.epochs}
    rows = [decide(search, *pair) for pair in sorted(pairs | {own})]
    trained_seconds = sum(report.metrics["seconds"] for _, report in search.reports)
    lines = [
        f"{settings.name} ({settings.search_id[:8]}): {len(history.trials)} trials, {len(search.reports)} of at most "
        f"{len(history.trials) * settings.epochs} epochs trained in {trained_seconds:.0f} s; "
        f"best iou {winner['metrics']['iou']:.4f}, trial {winner['trial']}",
        *_HEAD,
    ]
    for row in rows:
        is_own = (row.grace_epochs, row.reduction_factor) == own
        lines.append(("*" if is_own else " ") + _describe_row(row, grace, winner["trial"]))
    return "\n".join([*lines, _describe_match(search, decide(search, *own)), _describe_grace(grace, own[0])])


def _find_next(rungs: Sequence[int], epoch: int) -> int:
    return min((rung for rung in rungs if rung > epoch), default=epoch)


def _describe_row(row: Decisions, grace: Grace, winner: int) -> str:
    tau = f"{grace.agreements[row.grace_epochs - 1]:.2f}" if row.grace_epochs <= len(grace.agreements) else "-"
    further = f"{row.least_epochs}-{row.most_epochs}" if row.open else "0"
    seconds = f"{row.least_seconds:.1f}-{row.most_seconds:.1f}" if row.open else "0"
    fate = f"stopped after epoch {row.stopped[winner]}, best {row.best:.4f}" if winner in row.stopped else "survives"
    fate += _name_trials("stopped sooner", row.sooner) + _name_trials("open", row.open)
    return (
        f"{row.grace_epochs:>5}{row.reduction_factor:>8}{tau:>7}{len(row.stopped):>9}{row.saved_epochs:>7}"
        f"{row.saved_seconds:>9.1f}{len(row.open):>6}{further:>10}{seconds:>15}  {fate}"
    )


def _name_trials(what: str, trials: Sequence[int]) -> str:
    more = ", ..." if len(trials) > _SHOWN else ""
    return f"; {what}: {', '.join(map(str, trials[:_SHOWN]))}{more}" if trials else ""


def _describe_match(search: RecordedSearch, own: Decisions) -> str:
    ended = {trial.number: trial.last_epoch for trial in search.history.in_order if trial.outcome is Outcome.STOPPED}
    unlike = sorted(number for number, _ in ended.items() ^ own.stopped.items())
    if not unlike:
        return f"The search's own settings, replayed, stop the same {len(ended)} trials after the same epochs."
    numbers = ", ".join(map(str, dict.fromkeys(unlike)))
    return (
        f"The search's own settings, replayed, decide otherwise on trials {numbers}: reports of one millisecond came "
        "in another order, epochs were trained again, or MLflow has not everything. The table is only near the truth."
    )


def _describe_grace(grace: Grace, own_epochs: int) -> str:
    if grace.suggested_epochs is None:
        return (
            f"How early ranks settle cannot be told: {grace.trials} trials ran as long as the longest, and "
            f"{LEAST_TRIALS} are needed."
        )
    return warn_of_grace(grace, own_epochs) or (
        f"Ranks agree well with the end from epoch {grace.suggested_epochs} on ({grace.trials} whole trainings)."
    )
