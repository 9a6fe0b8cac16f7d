"""What a task of the ruler is: a space that Optuna draws from, and the learning curve of each of its configurations.

Recorded tasks are built by `tables`, made-up ones by `synthetic`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import optuna

Floats = npt.NDArray[np.float64]
Params = dict[str, Any]
Sampler = Callable[[optuna.Trial], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a training of one configuration would report.

    Args:
        scores: by epoch, higher is better; NaN from the epoch at which it diverged. Fewer than the task's epochs where
            the training ends by itself.
        seconds: how long each epoch takes.
        final: what the configuration is worth: the score after the last epoch, without noise where that is known; NaN
            when it cannot be trained.
        out_of_memory: whether it ends within its first epoch, without a report.
    """

    scores: Floats
    seconds: Floats
    final: float
    out_of_memory: bool = False


class Task(Protocol):
    """A search problem whose answers are known.

    `best`, `middle` and `worst` are the highest, median and lowest final score of its configurations; `whole_seconds`
    is what a whole training takes in the median.
    """

    name: str
    epochs: int
    best: float
    middle: float
    worst: float
    whole_seconds: float

    def space(self, trial: optuna.Trial) -> None:
        """Draw a configuration, by Optuna's `trial.suggest_*`."""

    def train(self, params: Params, seed: int) -> Curve:
        """Return the curve of a configuration; the seed decides the noise."""


def regret(task: Task, final: float) -> float:
    """Return how far a final score is from the task's best: 0 is the best, 1 the median configuration or worse.

    Args:
        task: the task.
        final: score after the last epoch; NaN counts as 1.
    """
    span = max(task.best - task.middle, 1e-12)
    return 1.0 if np.isnan(final) else float(np.clip((task.best - final) / span, 0.0, 1.0))
