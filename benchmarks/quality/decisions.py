"""What ASHA would have decided in a recorded search under other settings: what a past search says for the next one.

The project's own `Asha` hears the recorded reports in their recorded order. A trial that it stops waits, and further
reports of it are withheld. After each report every trial that waits and is among the best of its rung by then goes on,
as if a worker were free at once: what was withheld of it is heard, until it is stopped anew. What is withheld in the
end is saved. Shares are rounded up from when the last trial has begun, unless the search ended before it had all.

The record bounds what can be said. A trial that waited then to the end and would go on now has no further scores: it is
counted as open, with the epochs that it would have cost at least (to its next rung) and at most (to its end), and later
rungs miss it, so that others pass them more easily. Workers that come free sooner would have taken other trials, and
what a trial waited for a worker is not known: only order counts here, no delay.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from statistics import median
from typing import Final

from benchmarks.quality.recorded import RecordedSearch
from search.insight.grace import LEAST_TRIALS, Grace, read_whole_curves, suggest_grace, warn_of_grace
from search.judge.asha import Asha
from search.memory.events import Asked, CheckpointSaved, Dropped, Ended, Epoch, Reopened
from search.memory.history import EpochRecord
from search.memory.outcome import FAILURES, Outcome
from search.verdict.selection import choose_best

_FACTORS: Final = (2, 3, 4)
_SHOWN: Final = 8
"""So many trials are named in a row."""
_HEAD: Final = (
    "grace: epochs before a trial may be stopped, *: the search's own; tau: how well ranks then agree with the end;",
    "stopped: trials that wait in the end; again: trials that waited and went on; saved: recorded epochs not trained;",
    "open: trials that go on beyond their record, for so many further epochs",
    f"{'grace':>6}{'factor':>8}{'tau':>7}{'stopped':>9}{'again':>7}{'saved':>7}{'s':>9}{'open':>6}{'further':>10}{'s':>15}"
    "  winner",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What ASHA would have decided.

    Args:
        grace_epochs, reduction_factor: its settings.
        stopped: epoch after which a trial waits in the end, by the trial's number.
        revived: trials that it stopped and took up again, in order.
        sooner: trials that wait in the end before the end of their record, in order.
        saved_epochs, saved_seconds: what was trained of them after that.
        open: trials that it would let go on beyond their record, in order.
        least_epochs, most_epochs: what these would have cost.
        least_seconds, most_seconds: the same, by the median of each trial's epochs.
        best: highest iou that would have been reported by a trial that may win.
    """

    grace_epochs: int
    reduction_factor: int
    stopped: dict[int, int]
    revived: tuple[int, ...]
    sooner: tuple[int, ...]
    saved_epochs: int
    saved_seconds: float
    open: tuple[int, ...]
    least_epochs: int
    most_epochs: int
    least_seconds: float
    most_seconds: float
    best: float


class _Hearing:
    """A recorded search as ASHA hears it.

    Args:
        asha: the decision.
    """

    def __init__(self, asha: Asha) -> None:
        self._asha = asha
        self.withheld: dict[int, list[EpochRecord]] = {}
        self.heard: list[tuple[int, EpochRecord]] = []
        self.stopped: dict[int, int] = {}
        self.revived: set[int] = set()

    def take(self, number: int, report: EpochRecord, *, last: bool) -> None:
        """Hear the next report, and what is withheld of the trials that go on after it.

        Args:
            number: of the trial.
            report: its epoch.
            last: no trials are left to begin.
        """
        if number not in self.withheld:
            self._asha.apply(Asked(trial=number, fold=0, values={}, params={}))
        self.withheld.setdefault(number, []).append(report)
        self._hear(number)
        while (waiting := self._asha.find_promoted(last=last)) is not None:
            self._asha.apply(Reopened(trial=waiting))
            del self.stopped[waiting]
            self.revived.add(waiting)
            self._hear(waiting)

    def _hear(self, number: int) -> None:
        """Hear what is recorded of a trial so far, unless and until it is stopped."""
        while number not in self.stopped and self.withheld[number]:
            report = self.withheld[number].pop(0)
            self.heard.append((number, report))
            verdict = self._asha.decide(number, report.epoch, report.iou)
            self._asha.apply(Epoch(trial=number, epoch=report.epoch, metrics=report.metrics, verdict=verdict))
            if verdict:
                self.stopped[number] = report.epoch
                self._asha.apply(CheckpointSaved(trial=number, epoch=report.epoch, path="checkpoint"))
                self._asha.apply(Ended(trial=number, outcome=Outcome.STOPPED))
                for hopeless in self._asha.find_hopeless():
                    self._asha.apply(Dropped(trial=hopeless))


def decide(search: RecordedSearch, grace_epochs: int, reduction_factor: int) -> Decisions:
    """Let ASHA judge a recorded search.

    Args:
        search: the search.
        grace_epochs: the first epoch after which a trial may be stopped.
        reduction_factor: of so many trials at a rung, about one goes on.
    """
    trials, epochs = search.history.trials, search.settings.epochs
    asha = Asha(grace_epochs=grace_epochs, reduction_factor=reduction_factor, epochs=epochs)
    hearing = _Hearing(asha)
    all_begun = max((trial.started for trial in trials.values()), default=math.inf)
    if len(trials) < search.settings.trials:
        all_begun = math.inf
    for trial, report in search.reports:
        hearing.take(trial.number, report, last=report.time >= all_begun)
    stopped = hearing.stopped
    saved = [(number, report.metrics["seconds"]) for number, each in hearing.withheld.items() for report in each]
    heard = [report.iou for number, report in hearing.heard if trials[number].outcome not in FAILURES]
    ended_then = [trial for trial in search.history.in_order if trial.outcome is Outcome.STOPPED and trial.epochs]
    gone_on = [trial for trial in ended_then if trial.number not in stopped]
    least = [_find_next([*asha.rungs, epochs], trial.last_epoch) - trial.last_epoch for trial in gone_on]
    most = [epochs - trial.last_epoch for trial in gone_on]
    paces = [median(report.metrics["seconds"] for report in trial.epochs.values()) for trial in gone_on]
    return Decisions(
        grace_epochs=grace_epochs,
        reduction_factor=reduction_factor,
        stopped=stopped,
        revived=tuple(sorted(hearing.revived)),
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
        f"{row.grace_epochs:>5}{row.reduction_factor:>8}{tau:>7}{len(row.stopped):>9}{len(row.revived):>7}"
        f"{row.saved_epochs:>7}{row.saved_seconds:>9.1f}{len(row.open):>6}{further:>10}{seconds:>15}  {fate}"
    )


def _name_trials(what: str, trials: Sequence[int]) -> str:
    more = ", ..." if len(trials) > _SHOWN else ""
    return f"; {what}: {', '.join(map(str, trials[:_SHOWN]))}{more}" if trials else ""


def _describe_match(search: RecordedSearch, own: Decisions) -> str:
    ended = {trial.number: trial.last_epoch for trial in search.history.in_order if trial.outcome is Outcome.STOPPED}
    unlike = sorted(number for number, _ in ended.items() ^ own.stopped.items())
    if not unlike:
        return f"The search's own settings, replayed, leave the same {len(ended)} trials stopped after the same epochs."
    numbers = ", ".join(map(str, dict.fromkeys(unlike)))
    return (
        f"The search's own settings, replayed, decide otherwise on trials {numbers}: a worker came free later than is "
        "assumed, reports of one millisecond came in another order, the search was extended, or MLflow has not "
        "everything. The table is only near the truth."
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
