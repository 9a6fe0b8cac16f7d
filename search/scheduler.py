"""ASHA: asynchronous successive halving, which stops a trial that is not among the best at a rung.

`Asha` is the decision alone, pure and replayable from a journal; `AshaScheduler` is its face to Ray Tune.
Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", 2020 (the stopping variant).

Ray's own AsyncHyperBandScheduler never stops NaN, keeps every tie, and forgets its rungs when a search is resumed.
"""

import math
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from search.journal import History


class Asha:
    """Decides after each epoch whether a trial goes on.

    Args:
        grace_epochs: the first rung; no trial stops earlier, unless its score is NaN.
        reduction_factor: of so many trials at a rung, about one goes on; rungs grow by this factor.
        epochs: most epochs of a trial; nothing stops at or after it.
    """

    def __init__(self, *, grace_epochs: int, reduction_factor: int, epochs: int) -> None:
        self._factor = reduction_factor
        self.rungs: dict[int, dict[int, float]] = {
            rung: {} for rung in rung_epochs(grace_epochs, reduction_factor, epochs)
        }
        self.stopped: dict[int, str] = {}

    def judge(self, trial: int, epoch: int, score: float) -> bool:
        """Record a score and say whether the trial goes on.

        Args:
            trial: the trial's number; of equal scores, the lower number ranks first.
            epoch: finished epochs.
            score: the objective, higher is better; NaN stops the trial.
        """
        # A verdict whose checkpoint failed with its worker is given anew.
        self.stopped.pop(trial, None)
        if math.isnan(score):
            self.stopped[trial] = f"its score is NaN after epoch {epoch}"
            return False
        if epoch not in self.rungs:
            return True
        rung = self.rungs[epoch]
        rung[trial] = score
        if len(rung) < self._factor:
            return True
        rank = 1 + sum((other, -number) > (score, -trial) for number, other in rung.items())
        keep = math.ceil(len(rung) / self._factor)
        if rank > keep:
            self.stopped[trial] = (
                f"iou {score:.4f} after epoch {epoch} is rank {rank} of {len(rung)}; the best {keep} go on"
            )
        return rank <= keep

    def replay(self, history: History) -> None:
        """Fill the rungs with what a journal holds, deciding nothing."""
        for trial in history.in_order:
            for epoch, rung in self.rungs.items():
                record = trial.epochs.get(epoch)
                if record is not None and record.iou == record.iou:
                    rung[trial.number] = record.iou


def rung_epochs(grace_epochs: int, reduction_factor: int, epochs: int) -> list[int]:
    """Return the epochs at which trials are compared: grace, grace x factor, ..., below `epochs`."""
    rungs, rung = [], grace_epochs
    while rung < epochs:
        rungs.append(rung)
        rung *= reduction_factor
    return rungs


class AshaScheduler(FIFOScheduler):  # type: ignore[misc]
    """Hands Ray Tune's results to `Asha` and its verdicts back; trials start in the order they were proposed.

    Args:
        asha: the decision.
    """

    def __init__(self, asha: Asha) -> None:
        super().__init__()
        self.asha = asha

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
        """Judge an epoch; a report without one is a trial's farewell and ends by itself."""
        if "epoch" not in result:
            return str(FIFOScheduler.CONTINUE)
        # Ray hands over nested metrics flattened.
        score = result.get("metrics/iou", math.nan)
        goes_on = self.asha.judge(trial.config["trial"], result["epoch"], score)
        return str(FIFOScheduler.CONTINUE if goes_on else FIFOScheduler.STOP)

    def debug_string(self) -> str:
        """Describe the rungs."""
        return ", ".join(f"epoch {epoch}: {len(rung)} trials" for epoch, rung in self.asha.rungs.items())
