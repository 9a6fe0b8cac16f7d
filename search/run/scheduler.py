"""ASHA's face to Ray Tune; the decision alone lives in `search.judge.asha`."""

import math
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from search.judge.asha import Asha


class AshaScheduler(FIFOScheduler):  # type: ignore[misc]
    """Hands Ray Tune's results to `Asha` and its verdicts back; trials start in the order they were proposed.

    Args:
        asha: the decision; what it decides on is told to it by the journal, through `recorder`.
    """

    def __init__(self, asha: Asha) -> None:
        super().__init__()
        self.asha = asha

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
        """Judge an epoch; a report without one is a trial's farewell and ends by itself.

        A trial that waits is over for Ray: it is handed out anew, with its checkpoint, by `queue.TrialQueue`.
        """
        if "epoch" not in result:
            return str(FIFOScheduler.CONTINUE)
        # Ray hands over nested metrics flattened.
        score, latency_ms = result.get(f"metrics/{self.asha.metric}", math.nan), result.get("metrics/latency_ms")
        verdict = self.asha.decide(trial.config["trial"], result["epoch"], score, latency_ms)
        return str(FIFOScheduler.STOP if verdict else FIFOScheduler.CONTINUE)

    def debug_string(self) -> str:
        """Describe the rungs."""
        return f"ASHA compares after epochs {', '.join(map(str, self.asha.rungs))}"
