"""Arms of Syne Tune, driven as real objects; left out where the package is not installed.

Its schedulers know flat spaces: they draw every parameter, and those that a configuration does not use are left out.
"""

import datetime
import importlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.quality.arms import FACTOR, grace_epochs
from benchmarks.quality.drawing import draw_params, find_distributions
from benchmarks.quality.simulator import Arm, Verdict
from benchmarks.quality.tasks import Params, Task
from search.journal import Outcome

_KINDS = {"syne-asha": "ASHA", "syne-asha-cqr": "ASHACQR", "syne-asha-bore": "ASHABORE", "syne-bohb": "BOHB"}


def find_peers() -> dict[str, Callable[[Task, int], Arm]]:
    """Return an arm of each of Syne Tune's multi-fidelity schedulers; none when it is not installed."""
    try:
        importlib.import_module("syne_tune.optimizer.baselines")
    except ImportError:
        return {}
    logging.getLogger("syne_tune").setLevel(logging.ERROR)
    return {name: partial(SyneTune, kind=kind) for name, kind in _KINDS.items()}


class SyneTune:
    """A scheduler of Syne Tune with the project's rungs.

    A training that diverges raises there, as a user's script would: the scheduler learns of an error.

    Args:
        task: the task.
        seed: of the scheduler.
        kind: its class's name.
    """

    def __init__(self, task: Task, seed: int, *, kind: str) -> None:
        baselines = importlib.import_module("syne_tune.optimizer.baselines")
        self._task = task
        self._random = np.random.default_rng(seed)
        self._scheduler = getattr(baselines, kind)(
            config_space={name: _translate(each) for name, each in find_distributions(task.space).items()},
            metric="iou",
            do_minimize=False,
            time_attr="epoch",
            max_t=task.epochs,
            grace_period=grace_epochs(task),
            reduction_factor=FACTOR,
            random_seed=seed,
        )
        self._trials: list[Any] = []
        self._results: dict[int, dict[str, float]] = {}

    def ask(self) -> tuple[int, Params] | None:
        """Ask for a new trial."""
        make_trial = importlib.import_module("syne_tune.backend.trial_status").Trial
        config = self._scheduler.suggest().config
        number = len(self._trials)
        self._trials.append(make_trial(trial_id=number, config=config, creation_time=datetime.datetime.now()))
        self._scheduler.on_trial_add(self._trials[number])
        return number, draw_params(self._task.space, self._random, config)

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Judge; the last report completes a trial."""
        if np.isnan(score):
            return Verdict.STOP
        self._results[number] = {"iou": score, "epoch": epoch}
        if epoch == self._task.epochs:
            return Verdict.GO_ON
        decision = self._scheduler.on_trial_result(self._trials[number], self._results[number])
        return Verdict.GO_ON if decision == "CONTINUE" else Verdict.STOP

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Remove a stopped trial, complete a finished one, and tell of errors."""
        trial = self._trials[number]
        if score is None or np.isnan(score):
            self._scheduler.on_trial_error(trial)
        elif outcome is Outcome.FINISHED:
            self._scheduler.on_trial_complete(trial, self._results[number])
        else:
            self._scheduler.on_trial_remove(trial)


def _translate(distribution: BaseDistribution) -> Any:
    config_space = importlib.import_module("syne_tune.config_space")
    if isinstance(distribution, CategoricalDistribution):
        return config_space.choice(list(distribution.choices))
    if isinstance(distribution, IntDistribution):
        draw = config_space.lograndint if distribution.log else config_space.randint
        return draw(distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    draw = config_space.loguniform if distribution.log else config_space.uniform
    return draw(distribution.low, distribution.high)
