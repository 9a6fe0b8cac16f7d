"""Connects ASHA to Ray Tune, and picks which trial gets a worker next; `search.judge.asha` makes the decisions."""

import math
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from search.judge.asha import Asha


class AshaScheduler(FIFOScheduler):  # type: ignore[misc]
    """Hands Ray Tune's results to `Asha` and its verdicts back; trials start in the order they were proposed.

    Args:
        asha: the decision; what it decides on is told to it by the journal, through `recorder`. None lets every trial
            finish.
    """

    def __init__(self, asha: Asha | None) -> None:
        super().__init__()
        self.asha = asha
        self._seen = 0

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the first trial without a worker among those that were not seen before.

        By default Ray Tune gives the worker of a trial that ends to the one that waits longest, and throws away the
        worker that is starting for it: one on a node that has just joined, where a start takes longer than a trial
        elsewhere, would never come to work.
        """
        # Only those that came since: of a long search thousands have ended, and Ray Tune asks at each of its steps.
        trials = tune_controller.get_trials()
        while self._seen < len(trials):
            self._seen += 1
            if trials[self._seen - 1].status == Trial.PENDING:
                return trials[self._seen - 1]
        return None

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
        """Judge an epoch; a report without one is a trial's farewell and ends by itself.

        A trial that waits is over for Ray: it is handed out anew, with its checkpoint, by `queue.TrialQueue`.
        """
        if self.asha is None or "epoch" not in result:
            return str(FIFOScheduler.CONTINUE)
        # Ray hands over nested metrics flattened.
        score, latency_ms = result.get(f"metrics/{self.asha.metric}", math.nan), result.get("metrics/latency_ms")
        verdict = self.asha.decide(trial.config["trial"], result["epoch"], score, latency_ms)
        return str(FIFOScheduler.STOP if verdict else FIFOScheduler.CONTINUE)

    def debug_string(self) -> str:
        """Describe the rungs."""
        if self.asha is None:
            return "every trial finishes"
        return f"ASHA compares after epochs {', '.join(map(str, self.asha.rungs))}"
