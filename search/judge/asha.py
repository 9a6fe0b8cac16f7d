"""ASHA: asynchronous successive halving, which trains on what is among the best at a rung and lets the rest wait.

`Asha` is the decision alone, pure and replayable from a journal; `AshaScheduler` is its face to Ray Tune.
Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020 (the promotion variant). A trial that
is among the best as it reaches a rung goes on at once, without leaving its worker.

Ray's own AsyncHyperBandScheduler never stops NaN, keeps every tie, never takes a stopped trial up again, and forgets
its rungs when a search is resumed.
"""

import math
from collections.abc import Sequence
from typing import Final

from search.judge.pareto import rank_fronts
from search.memory.history import FAILURES, History, Outcome

_KEPT_PER_RUNG: Final = 8
"""Each keeps a checkpoint on disk; those further behind are hardly ever taken up again."""


class Asha:
    """Decides after each epoch whether a trial goes on, and which one that waits is taken up again.

    Args:
        grace_epochs: the first rung; no trial stops earlier, unless its score is NaN.
        reduction_factor: of so many trials at a rung, one goes on; rungs grow by this factor.
        epochs: most epochs of a trial; nothing stops at or after it.
        weighs_latency: whether trials are ranked by score and latency together, see `pareto`.
    """

    def __init__(self, *, grace_epochs: int, reduction_factor: int, epochs: int, weighs_latency: bool = False) -> None:
        self._factor = reduction_factor
        self.rungs: Sequence[int] = rung_epochs(grace_epochs, reduction_factor, epochs)
        self._scores: dict[int, dict[int, float]] = {}
        self._weighs_latency = weighs_latency
        self._latencies: dict[int, float] = {}
        self._waiting: dict[int, int] = {}
        self._failed: set[int] = set()
        self.stopped: dict[int, str] = {}

    def weigh(self, trial: int, latency_ms: float) -> None:
        """Learn how long a prediction takes; a trial of which this is unknown is the slowest."""
        self._latencies[trial] = latency_ms

    def judge(self, trial: int, epoch: int, score: float) -> bool:
        """Record a score and say whether the trial goes on.

        Args:
            trial: the trial's number; of equal scores, the lower number ranks first.
            epoch: finished epochs.
            score: the objective, higher is better; NaN stops the trial for good.
        """
        # A verdict whose checkpoint failed with its worker is given anew.
        self.stopped.pop(trial, None)
        self._waiting.pop(trial, None)
        self._failed.discard(trial)
        scores = self._scores.setdefault(trial, {})
        if math.isnan(score):
            scores.pop(epoch, None)
            self.fail(trial)
            self.stopped[trial] = f"its score is NaN after epoch {epoch}"
            return False
        scores[epoch] = score
        if epoch not in self.rungs:
            return True
        ranked = self._rank(epoch)
        rank = ranked.index(trial) + 1
        if rank <= len(ranked) // self._factor:
            return True
        self.stopped[trial] = (
            f"iou {score:.4f} after epoch {epoch} is rank {rank} of {len(ranked)}; of every {self._factor} the best "
            "goes on"
        )
        return False

    def park(self, trial: int, epoch: int) -> None:
        """Let a stopped trial wait: it has left its worker, and can go on from the epoch at which it was stopped."""
        self._waiting[trial] = epoch

    def fail(self, trial: int) -> None:
        """Learn that a trial can never get to the end, whatever its scores were."""
        self._failed.add(trial)

    def waits(self, trial: int) -> bool:
        """Say whether a trial may be taken up again."""
        return trial in self._waiting

    def find_promoted(self, *, last: bool = False) -> int | None:
        """Return a trial that waits and is among the best of its rung by now, from the highest rung; None without one.

        Args:
            last: no trials are left to begin, so shares are rounded up, not down, and who failed gives its place to the
                next: one at least gets to the end.
        """
        for epoch in sorted(set(self._waiting.values()), reverse=True):
            ranked = self._rank(epoch)
            keep = math.ceil(len(ranked) / self._factor) if last else len(ranked) // self._factor
            if last:
                ranked = [trial for trial in ranked if trial not in self._failed]
            for trial in ranked[:keep]:
                if self._waiting.get(trial) == epoch:
                    return trial
        return None

    def revive(self, trial: int) -> None:
        """Take a trial up again that waits."""
        del self._waiting[trial]
        # The verdict of a driver that died is in the journal alone.
        self.stopped.pop(trial, None)

    def let_go(self) -> list[int]:
        """Return the stopped trials that are too far behind to be taken up again, and never revive them."""
        gone: list[int] = []
        for epoch in set(self._waiting.values()):
            waiting = [trial for trial in self._rank(epoch) if self._waiting.get(trial) == epoch]
            gone += waiting[_KEPT_PER_RUNG:]
        for trial in gone:
            del self._waiting[trial]
        return sorted(gone)

    def replay(self, history: History) -> None:
        """Take over what a journal holds, deciding nothing; trials that were stopped wait if they have a checkpoint."""
        for trial in history.in_order:
            scores = {epoch: record.iou for epoch, record in trial.epochs.items() if not math.isnan(record.iou)}
            self._scores[trial.number] = scores
            if trial.latency_ms is not None:
                self.weigh(trial.number, trial.latency_ms)
            last = trial.epochs.get(trial.last_epoch)
            if trial.outcome in FAILURES or (last and math.isnan(last.iou)):
                self.fail(trial.number)
            elif trial.outcome is Outcome.STOPPED and trial.can_go_on:
                self.park(trial.number, trial.last_epoch)
                self.stopped[trial.number] = trial.message

    def _rank(self, epoch: int) -> list[int]:
        """Return the trials that got to an epoch, the best first."""
        ranked = sorted((-scores[epoch], trial) for trial, scores in self._scores.items() if epoch in scores)
        trials = [trial for _, trial in ranked]
        if not self._weighs_latency:
            return trials
        latencies = [self._latencies.get(trial, math.inf) for trial in trials]
        fronts = rank_fronts([-minus for minus, _ in ranked], latencies)
        return [trial for _, trial in sorted(zip(fronts, trials, strict=True), key=lambda pair: pair[0])]


def rung_epochs(grace_epochs: int, reduction_factor: int, epochs: int) -> list[int]:
    """Return the epochs at which trials are compared: grace, grace x factor, ..., below `epochs`."""
    rungs, rung = [], grace_epochs
    while rung < epochs:
        rungs.append(rung)
        rung *= reduction_factor
    return rungs
