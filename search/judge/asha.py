"""ASHA: asynchronous successive halving, which trains on what is among the best at a rung and lets the rest wait.

`Asha` is built from a search's events and decides by them alone; `search.run.scheduler` connects it to Ray Tune.
Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020 (the promotion
variant). A trial that is among the best as it reaches a rung goes on at once, without leaving its worker.

Ray's own AsyncHyperBandScheduler never stops NaN, keeps every tie, never takes a stopped trial up again, and forgets
its rungs when a search is resumed.
"""

import bisect
import math
from collections.abc import Sequence
from typing import Final

from search.judge.pareto import rank_fronts
from search.memory.events import Asked, CheckpointSaved, Dropped, Ended, Epoch, Event, Kept, Pruned, Reopened
from search.memory.outcome import FAILURES, Outcome

_WAITING_PER_RUNG: Final = 8
"""Most trials that wait at a rung, each with a checkpoint on disk; those further behind are hardly ever promoted."""
_SHARES: Final = {2: "half", 3: "third", 4: "quarter"}


class Asha:
    """Decides after each epoch whether a trial goes on, and which one that waits is promoted.

    Args:
        grace_epochs: the first rung; no trial stops earlier, unless its score is NaN.
        reduction_factor: of so many trials at a rung, one goes on; rungs grow by this factor.
        epochs: most epochs of a trial; nothing stops at or after it.
        metric: what decides, see `segcore.scoring.objective`.
        weighs_latency: whether trials are ranked by score and latency together, see `pareto`.
    """

    def __init__(
        self, *, grace_epochs: int, reduction_factor: int, epochs: int, metric: str, weighs_latency: bool = False
    ) -> None:
        self._factor = reduction_factor
        self.metric = metric
        self.rungs: Sequence[int] = rung_epochs(grace_epochs, reduction_factor, epochs)
        self._scores: dict[int, dict[int, float]] = {}
        # Kept sorted: a search of thousands of trials asks of every report where it stands.
        self._ranked: dict[int, list[tuple[float, int]]] = {epoch: [] for epoch in self.rungs}
        self._weighs_latency = weighs_latency
        self._latencies: dict[int, float] = {}
        self._checkpoints: dict[int, int] = {}
        self._waiting: dict[int, int] = {}
        self._failed: set[int] = set()
        self._kept: set[int] = set()
        self._first_rungs: dict[int, int] = {}
        self._pruned: dict[int, str] = {}

    @property
    def most_waiting(self) -> int:
        """How many trials may wait with a checkpoint."""
        return _WAITING_PER_RUNG * len(self.rungs)

    def apply(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case Asked():
                self._forget_scores(event.trial, after_epoch=0)
                self._scores[event.trial] = {}
                self._first_rungs[event.trial] = event.first_rung
                for known in (self._latencies, self._checkpoints, self._waiting):
                    known.pop(event.trial, None)
                self._failed.discard(event.trial)
                self._kept.discard(event.trial)
                self._pruned.pop(event.trial, None)
            case Epoch():
                self._learn_score(event)
            case CheckpointSaved():
                self._checkpoints[event.trial] = event.epoch
            case Dropped():
                self._checkpoints.pop(event.trial, None)
                self._waiting.pop(event.trial, None)
            case Ended():
                self._learn_end(event)
            case Reopened():
                self._waiting.pop(event.trial, None)
                self._failed.discard(event.trial)
            case Kept():
                self._kept.add(event.trial)
                self._pruned.pop(event.trial, None)
            case Pruned():
                self._pruned[event.trial] = event.reason
                self._kept.discard(event.trial)

    def decide(self, trial: int, epoch: int, score: float, latency_ms: float | None = None) -> str:
        """Say why a trial does not go on after an epoch; empty when it does. Nothing is learnt.

        Args:
            trial: the trial's number; of equal scores, the lower number ranks first.
            epoch: finished epochs.
            score: of the metric, higher is better; NaN stops the trial for good.
            latency_ms: milliseconds of a prediction, where they were measured with this epoch.
        """
        if math.isnan(score):
            return f"its {self.metric} is NaN after epoch {epoch}"
        if trial in self._pruned:
            return self._pruned[trial]
        if epoch not in self.rungs or trial in self._kept or epoch < self._first_rungs.get(trial, 0):
            return ""
        rank, count = self._place(epoch, trial, score, latency_ms)
        if rank <= count // self._factor:
            return ""
        share = _SHARES.get(self._factor, f"one of every {self._factor}")
        rule = (
            f"the best {share} goes on"
            if count >= self._factor
            else f"none goes on at once until {self._factor} got there"
        )
        return f"{self.metric} {score:.4f} after epoch {epoch} is rank {rank} of {count}; {rule}"

    def waits(self, trial: int) -> bool:
        """Say whether a trial may be promoted."""
        return trial in self._waiting

    def is_pruned(self, trial: int) -> bool:
        """Say whether a person wants a trial ended."""
        return trial in self._pruned

    def find_promoted(self, *, last: bool = False) -> int | None:
        """Return a trial that waits and is among the best of its rung by now, from the highest rung; None without one.

        One that a person wants kept comes first, wherever it stands.

        Args:
            last: no trials are left to begin, so shares are rounded up, not down, and who failed or was pruned gives
                its place to the next: one at least gets to the end.
        """
        if kept := self._kept & self._waiting.keys():
            return min(kept)
        for epoch in sorted(set(self._waiting.values()), reverse=True):
            if not (last or self._is_promising(epoch)):
                continue
            ranked = self._rank(epoch)
            keep = math.ceil(len(ranked) / self._factor) if last else len(ranked) // self._factor
            if last:
                ranked = [trial for trial in ranked if trial not in self._failed and trial not in self._pruned]
            for trial in ranked[:keep]:
                if self._waiting.get(trial) == epoch:
                    return trial
        return None

    def find_hopeless(self) -> list[int]:
        """Return the trials that wait and are too far behind to be promoted: their checkpoints may go."""
        hopeless: list[int] = []
        for epoch in set(self._waiting.values()):
            waiting = [trial for trial in self._list_waiting(epoch) if trial not in self._kept]
            hopeless += waiting[_WAITING_PER_RUNG:]
        return sorted(hopeless)

    def _learn_score(self, event: Epoch) -> None:
        # One that is trained again counts as it was trained last.
        self._forget_scores(event.trial, after_epoch=event.epoch - 1)
        self._waiting.pop(event.trial, None)
        self._failed.discard(event.trial)
        score = event.metrics.get(self.metric, math.nan)
        if math.isnan(score):
            self._failed.add(event.trial)
        else:
            self._scores[event.trial][event.epoch] = score
            if event.epoch in self._ranked:
                bisect.insort(self._ranked[event.epoch], (-score, event.trial))
        if "latency_ms" in event.metrics:
            self._latencies[event.trial] = event.metrics["latency_ms"]

    def _forget_scores(self, trial: int, after_epoch: int) -> None:
        scores = self._scores.get(trial, {})
        for epoch in [epoch for epoch in scores if epoch > after_epoch]:
            score = scores.pop(epoch)
            if epoch in self._ranked:
                self._ranked[epoch].remove((-score, trial))

    def _learn_end(self, event: Ended) -> None:
        if event.outcome in FAILURES:
            self._failed.add(event.trial)
        if event.outcome is Outcome.PRUNED:
            self._waiting.pop(event.trial, None)
        if event.outcome is Outcome.STOPPED and event.trial not in self._failed:
            last = max(self._scores[event.trial], default=0)
            # Without a checkpoint of its last epoch it could not go on as it was judged.
            if last and self._checkpoints.get(event.trial) == last:
                self._waiting[event.trial] = last

    def _place(self, epoch: int, trial: int, score: float, latency_ms: float | None) -> tuple[int, int]:
        """Return where a trial stands that has just got to a rung, from 1, and among how many."""
        if self._weighs_latency:
            ranked = self._rank(epoch, {trial: score}, {} if latency_ms is None else {trial: latency_ms})
            return ranked.index(trial) + 1, len(ranked)
        others, before = self._ranked[epoch], self._scores.get(trial, {}).get(epoch)
        better = bisect.bisect_left(others, (-score, trial))
        if before is None:
            return better + 1, len(others) + 1
        # It was there already, and is trained again.
        return better + 1 - ((-before, trial) < (-score, trial)), len(others)

    def _list_waiting(self, epoch: int) -> list[int]:
        """Return the trials that wait at an epoch, the best first."""
        if self._weighs_latency:
            return [trial for trial in self._rank(epoch) if self._waiting.get(trial) == epoch]
        waiting = [trial for trial, last in self._waiting.items() if last == epoch]
        return sorted(waiting, key=lambda trial: (-self._scores[trial][epoch], trial))

    def _is_promising(self, epoch: int) -> bool:
        """Say, without ranking all that got to an epoch, whether one that waits there may be among the best."""
        ranked = self._ranked.get(epoch)
        if self._weighs_latency or ranked is None:
            return True
        best = self._list_waiting(epoch)[0]
        return bisect.bisect_left(ranked, (-self._scores[best][epoch], best)) < len(ranked) // self._factor

    def _rank(
        self, epoch: int, scores: dict[int, float] | None = None, latencies: dict[int, float] | None = None
    ) -> list[int]:
        """Return the trials that got to an epoch, the best first.

        Args:
            epoch: finished epochs.
            scores: of trials that just got there.
            latencies: of trials that were just measured.
        """
        ranked = self._ranked.get(epoch)
        if ranked is None:
            ranked = sorted((-known[epoch], trial) for trial, known in self._scores.items() if epoch in known)
        if scores:
            ranked = sorted([pair for pair in ranked if pair[1] not in scores] + [(-s, t) for t, s in scores.items()])
        trials = [trial for _, trial in ranked]
        if not self._weighs_latency:
            return trials
        measured = self._latencies | (latencies or {})
        # A trial of which this is unknown is the slowest.
        fronts = rank_fronts([-minus for minus, _ in ranked], [measured.get(trial, math.inf) for trial in trials])
        return [trial for _, trial in sorted(zip(fronts, trials, strict=True), key=lambda pair: pair[0])]


def rung_epochs(grace_epochs: int, reduction_factor: int, epochs: int) -> list[int]:
    """Return the epochs at which trials are compared: grace, grace x factor, ..., below `epochs`."""
    rungs, rung = [], grace_epochs
    while rung < epochs:
        rungs.append(rung)
        rung *= reduction_factor
    return rungs
