"""The project's search after an earlier one, as `--warm-start` begins it: on each task after the family's next one.

The earlier search is played on the same workers with the same budget, under a seed of its own. A task that no other is
like has none, and is searched as if for the first time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import numpy as np

from benchmarks.quality.arms import Ours
from benchmarks.quality.simulator import Run, Simulation, Training
from benchmarks.quality.tasks import Params, Task
from search.propose.advisor import EARLIER_TRIALS
from search.propose.standing import rank_standings, thin_out

_BEST: Final = 3
_OTHER_SEED: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an earlier search.

    Args:
        best: its best configurations.
        trials: configurations of its trials with their standings.
    """

    best: list[Params] = field(default_factory=list)
    trials: list[tuple[Params, float]] = field(default_factory=list)


def find_warm_arms(tasks: Sequence[Task], workers: int, trainings: int) -> dict[str, Callable[[Task, int], Ours]]:
    """Return an arm that learns from an earlier search, and one that only tries its best configurations first.

    Args:
        tasks: among which the earlier searches' are.
        workers: trainings at a time.
        trainings: the budget of an earlier search, in whole trainings of median length.
    """

    @cache
    def know(name: str, seed: int) -> Known:
        task = next(each for each in tasks if each.name == name)
        other = _find_next(task, tasks)
        if other is None:
            return Known()
        budget_seconds = trainings * other.whole_seconds / workers
        arm = Ours(other, seed + _OTHER_SEED)
        simulation = Simulation(other, arm, workers=workers, budget_seconds=budget_seconds, seed=seed + _OTHER_SEED)
        return recall(simulation.run(), other.epochs)

    def begin_with_best(task: Task, seed: int) -> Ours:
        return Ours(task, seed, first=know(task.name, seed).best)

    def learn_from_all(task: Task, seed: int) -> Ours:
        known = know(task.name, seed)
        return Ours(task, seed, first=known.best, earlier=known.trials)

    return {"ours+best": begin_with_best, "ours+earlier": learn_from_all}


def recall(run: Run, epochs: int) -> Known:
    """Return what a search after a played one would know of it.

    Args:
        run: the played search.
        epochs: of a whole training.
    """
    seen = [each for each in run.trainings.values() if each.epoch or each.curve.out_of_memory]
    curves = [_read_scores(each) for each in seen]
    standings = rank_standings(curves, epochs)
    best: list[Params] = []
    for place in sorted(range(len(seen)), key=lambda place: -max(curves[place], default=-np.inf)):
        if curves[place] and seen[place].params not in best:
            best.append(seen[place].params)
    trials = [(seen[place].params, float(standings[place])) for place in thin_out(standings, EARLIER_TRIALS)]
    return Known(best=best[:_BEST], trials=trials)


def _read_scores(training: Training) -> list[float]:
    """Return the scores so far; none of a training that diverged or did not fit."""
    scores = training.curve.scores[: training.epoch]
    return scores.tolist() if np.isfinite(scores).all() else []


def _find_next(task: Task, tasks: Sequence[Task]) -> Task | None:
    alike = [each for each in tasks if type(each) is type(task) and _family(each) == _family(task)]
    names = [each.name for each in alike]
    return alike[(names.index(task.name) + 1) % len(alike)] if len(alike) > 1 else None


def _family(task: Task) -> str:
    return task.name.partition("/")[0]
