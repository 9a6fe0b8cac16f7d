"""The project's search after an earlier one, as `--warm-start` begins it: on each task after the next one of its space.

The earlier search is played on the same workers with the same budget, under a seed of its own. A task that no other is
like has none, and is searched as if for the first time.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import numpy as np

from benchmarks.quality.arms import Ours
from benchmarks.quality.drawing import find_distributions
from benchmarks.quality.simulator import Run, Simulation, Training
from benchmarks.quality.tasks import Params, Task

_BEST: Final = 3
_OTHER_SEED: Final = 1000


def make_warm_arm(tasks: Sequence[Task], workers: int, trainings: int) -> Callable[[Task, int], Ours]:
    """Return an arm that tries the best configurations of an earlier search first.

    Args:
        tasks: among which the earlier searches' are.
        workers: trainings at a time.
        trainings: the budget of an earlier search, in whole trainings of median length.
    """

    @cache
    def name_parameters(place: int) -> frozenset[str]:
        return frozenset(find_distributions(tasks[place].space))

    def find_next(name: str) -> Task:
        place = next(place for place, each in enumerate(tasks) if each.name == name)
        # Of the same parameters: a configuration of another space would be one that the task cannot draw.
        alike = [other for other in range(len(tasks)) if name_parameters(other) == name_parameters(place)]
        return tasks[alike[(alike.index(place) + 1) % len(alike)]]

    @cache
    def find_best(name: str, seed: int) -> list[Params]:
        other = find_next(name)
        if other.name == name:
            return []
        budget_seconds = trainings * other.whole_seconds / workers
        simulation = Simulation(other, Ours(other, seed), workers=workers, budget_seconds=budget_seconds, seed=seed)
        return list_best(simulation.run())

    return lambda task, seed: Ours(task, seed, first=find_best(task.name, seed + _OTHER_SEED))


def list_best(run: Run) -> list[Params]:
    """Return the configurations of a played search with the highest scores, at most three, each once."""
    best: list[Params] = []
    for training in sorted(run.trainings.values(), key=_highest, reverse=True):
        if np.isfinite(_highest(training)) and training.params not in best:
            best.append(training.params)
    return best[:_BEST]


def _highest(training: Training) -> float:
    """Return the highest score so far, the lowest of all for a training that has none or diverged."""
    scores = training.curve.scores[: training.epoch]
    return float(scores.max()) if len(scores) and np.isfinite(scores).all() else -np.inf
