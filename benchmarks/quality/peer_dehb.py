"""DEHB: differential evolution within Hyperband over the epochs, on the flat space's unit cube."""

import importlib
import tempfile

import numpy as np

from benchmarks.quality.drawing import decode, draw_params, find_distributions
from benchmarks.quality.peer_jobs import Job
from benchmarks.quality.stock import FACTOR
from benchmarks.quality.tasks import Task


class Dehb:
    """DEHB asked and told, with rungs at a ninth, a third and all of the epochs.

    Args:
        task: the task.
        seed: of the evolution.
    """

    def __init__(self, task: Task, seed: int) -> None:
        dehb = importlib.import_module("dehb")
        self._task = task
        self._random = np.random.default_rng(seed)
        self._distributions = find_distributions(task.space)
        # DEHB opens a log, whatever it is told.
        self._folder = tempfile.TemporaryDirectory()
        self._optimizer = dehb.DEHB(
            dimensions=len(self._distributions),
            min_fidelity=task.epochs / FACTOR**2,
            max_fidelity=task.epochs,
            eta=FACTOR,
            n_workers=1,
            seed=seed,
            save_freq=None,
            output_path=self._folder.name,
        )
        importlib.import_module("loguru").logger.remove()

    def ask(self) -> Job:
        """Ask for a configuration and its fidelity."""
        info = self._optimizer.ask()
        params = draw_params(self._task.space, self._random, decode(info["config"], self._distributions))
        epochs = max(1, round(float(info["fidelity"])))
        return Job(key=int(info["config_id"]), params=params, epochs=epochs, handle=info)

    def tell(self, job: Job, cost: float, seconds: float, *, failed: bool) -> None:
        """Tell the cost; that the training failed is nothing DEHB knows."""
        self._optimizer.tell(job.handle, {"fitness": cost, "cost": seconds})
