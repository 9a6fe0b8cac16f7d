"""What ASHA would have decided in a search under other settings: what a search of the past says for the next one.

The project's own `Asha` hears the journal's reports in their recorded order. A trial that it stops waits, and further
reports of it are withheld. After each report every waiting trial that is among the best of its rung by then goes on, as
if a worker were free at once: its withheld reports are heard, until it is stopped anew. What is withheld in the end is
saved. Shares are rounded up from when the last trial has begun, unless the search ended before it had all.

The record bounds what can be said. A trial that waited to the end then, and would go on now, has no further scores. It
is counted as open, with the epochs that it would have cost at least (to its next rung) and at most (to its end). Later
rungs miss it, so that others pass them more easily. Workers that come free sooner would have taken other trials, and
how long a trial waited for a worker is not known: only order counts here, no delay.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from statistics import median
from typing import Final

from search.insight.grace import read_whole_curves, suggest_grace
from search.judge.asha import Asha
from search.memory.events import Asked, CheckpointSaved, Dropped, Ended, Epoch, Kept, Pruned, Reopened
from search.memory.history import EpochRecord, History, TrialRecord
from search.memory.outcome import FAILURES, Outcome
from search.settings import SearchSettings

_FACTORS: Final = (2, 3, 4)
_LOST: Final = (*FAILURES, Outcome.PRUNED)
"""Ends after which a trial gives its place at a rung to the next, once no more begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What ASHA would have decided.

    Args:
        grace_epochs, reduction_factor: its settings.
        stopped: epoch after which a trial waits in the end, by the trial's number.
        revived: trials that it stopped and promoted later, in order.
        sooner: trials that wait in the end before the end of their record, in order.
        saved_epochs, saved_seconds: what was trained of them after that.
        open: trials that it would let go on beyond their record, in order.
        least_epochs, most_epochs: what these would have cost.
        least_seconds, most_seconds: the same, by the median of each trial's epochs.
        best: highest score that would have been reported by a trial that may win.
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
        trials: by number, as they are recorded.
    """

    def __init__(self, asha: Asha, trials: Mapping[int, TrialRecord]) -> None:
        self._asha = asha
        self._trials = trials
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
            trial = self._trials[number]
            self._asha.apply(Asked(trial=number, fold=0, values={}, params={}, first_rung=trial.first_rung))
            # Whom a person had spared no settings would have stopped.
            if trial.kept:
                self._asha.apply(Kept(trial=number, reason="recorded"))
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
            verdict = self._asha.decide(number, report.epoch, report.score, report.metrics.get("latency_ms"))
            self._asha.apply(Epoch(trial=number, epoch=report.epoch, metrics=dict(report.metrics), verdict=verdict))
            if verdict:
                self.stopped[number] = report.epoch
                self._asha.apply(CheckpointSaved(trial=number, epoch=report.epoch, path="checkpoint"))
                self._asha.apply(Ended(trial=number, outcome=Outcome.STOPPED))
                for hopeless in self._asha.find_hopeless():
                    self._asha.apply(Dropped(trial=hopeless))
            if self._trials[number].outcome in _LOST and report.epoch == self._trials[number].last_epoch:
                self._asha.apply(Pruned(trial=number, reason="recorded"))


def replay_settings(
    history: History, settings: SearchSettings, grace_epochs: Sequence[int] = (), reduction_factors: Sequence[int] = ()
) -> list[Decisions]:
    """Return what several settings would have decided, the search's own among them, in order.

    Args:
        history: the search's trials.
        settings: of the search.
        grace_epochs: to look at; none: 1, 2, 4, ... below the search's epochs, and where ranks had settled.
        reduction_factors: to look at; none: 2, 3 and 4.
    """
    settled = suggest_grace(read_whole_curves(history)).suggested_epochs or 1
    graces = set(grace_epochs) or {2**power for power in range(settings.epochs.bit_length())} | {settled}
    pairs = {(each, factor) for each in graces for factor in reduction_factors or _FACTORS if each < settings.epochs}
    own = settings.resolved_grace_epochs, settings.reduction_factor
    return [replay_decisions(history, settings, *pair) for pair in sorted(pairs | {own})]


def replay_decisions(history: History, settings: SearchSettings, grace_epochs: int, reduction_factor: int) -> Decisions:
    """Let ASHA judge a search of the past.

    Args:
        history: the search's trials.
        settings: of the search.
        grace_epochs: the first epoch after which a trial may be stopped.
        reduction_factor: of so many trials at a rung, about one goes on.
    """
    asha = Asha(
        grace_epochs=grace_epochs,
        reduction_factor=reduction_factor,
        epochs=settings.epochs,
        metric=settings.metric,
        weighs_latency=settings.weighs_latency,
    )
    hearing = _hear_all(history, settings, asha)
    saved = [(number, _seconds(report)) for number, each in hearing.withheld.items() for report in each]
    heard = [report.score for number, report in hearing.heard if history.trials[number].outcome not in FAILURES]
    gone_on = [trial for trial in _list_stopped(history) if trial.number not in hearing.stopped]
    least = [_find_next([*asha.rungs, settings.epochs], trial.last_epoch) - trial.last_epoch for trial in gone_on]
    most = [settings.epochs - trial.last_epoch for trial in gone_on]
    paces = [median(_seconds(report) for report in trial.epochs.values()) for trial in gone_on]
    return Decisions(
        grace_epochs=grace_epochs,
        reduction_factor=reduction_factor,
        stopped=hearing.stopped,
        revived=tuple(sorted(hearing.revived)),
        sooner=tuple(sorted({number for number, _ in saved})),
        saved_epochs=len(saved),
        saved_seconds=sum(seconds for _, seconds in saved),
        open=tuple(trial.number for trial in gone_on),
        least_epochs=sum(least),
        most_epochs=sum(most),
        least_seconds=sum(map(mul, least, paces)),
        most_seconds=sum(map(mul, most, paces)),
        best=max((score for score in heard if score == score), default=float("nan")),
    )


def find_unlike(history: History, own: Decisions) -> list[int]:
    """Return the trials on which a search's own settings, replayed, decide otherwise than it did, in order.

    What a person pruned says nothing of them.
    """
    ended = {trial.number: trial.last_epoch for trial in _list_stopped(history)}
    pruned = {trial.number for trial in history.in_order if trial.outcome is Outcome.PRUNED}
    return sorted({number for number, _ in ended.items() ^ own.stopped.items()} - pruned)


def _hear_all(history: History, settings: SearchSettings, asha: Asha) -> _Hearing:
    hearing = _Hearing(asha, history.trials)
    all_begun = max((trial.started for trial in history.in_order), default=math.inf)
    if len(history.trials) < settings.trials:
        all_begun = math.inf
    reports = [(trial, report) for trial in history.in_order for report in trial.epochs.values()]
    for trial, report in sorted(reports, key=lambda pair: (pair[1].time, pair[0].number, pair[1].epoch)):
        hearing.take(trial.number, report, last=report.time >= all_begun)
    return hearing


def _list_stopped(history: History) -> list[TrialRecord]:
    return [trial for trial in history.in_order if trial.outcome is Outcome.STOPPED and trial.epochs]


def _seconds(report: EpochRecord) -> float:
    return report.metrics.get("seconds", 0.0)


def _find_next(rungs: Sequence[int], epoch: int) -> int:
    return min((rung for rung in rungs if rung > epoch), default=epoch)
