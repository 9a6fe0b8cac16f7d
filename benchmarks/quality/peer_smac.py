"""SMAC's multi-fidelity facade: Hyperband over the epochs, a random forest proposes; conditions are kept."""

import importlib
import logging
import tempfile
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from benchmarks.quality.drawing import draw_params, find_conditions, find_distributions, restore
from benchmarks.quality.peer_jobs import Job
from benchmarks.quality.stock import FACTOR
from benchmarks.quality.tasks import Task

_TRIALS_PER_TRAINING = 3
"""Hyperband of three rungs, with configurations that go on: 22 trials in the time of 7.7 whole trainings."""


class Smac:
    """SMAC asked and told, with rungs at a ninth, a third and all of the epochs.

    From one process to the next it repeats itself only under the same `PYTHONHASHSEED`.

    Args:
        task: the task.
        seed: of the facade.
        trainings: the budget in whole trainings, from which SMAC derives the size of its initial design.
    """

    def __init__(self, task: Task, seed: int, *, trainings: int) -> None:
        logging.getLogger("smac").setLevel(logging.ERROR)
        smac = importlib.import_module("smac")
        self._task = task
        self._random = np.random.default_rng(seed)
        self._distributions = find_distributions(task.space)
        # SMAC writes its scenario down, whatever it is told.
        self._folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            _translate(task, self._distributions),
            output_directory=self._folder.name,
            deterministic=True,
            min_budget=task.epochs / FACTOR**2,
            max_budget=task.epochs,
            n_trials=_TRIALS_PER_TRAINING * trainings,
            seed=seed,
        )
        self._facade = smac.MultiFidelityFacade(scenario, logging_level=False, overwrite=True)
        self._run_history = importlib.import_module("smac.runhistory")

    def ask(self) -> Job:
        """Ask for a configuration and its budget."""
        info = self._facade.ask()
        kept = {name: restore(value, self._distributions[name]) for name, value in dict(info.config).items()}
        params = draw_params(self._task.space, self._random, kept)
        return Job(key=info.config, params=params, epochs=max(1, round(info.budget)), handle=info)

    def tell(self, job: Job, cost: float, seconds: float, *, failed: bool) -> None:
        """Tell the cost."""
        states = self._run_history.StatusType
        value = self._run_history.TrialValue(
            cost=cost, time=seconds, status=states.CRASHED if failed else states.SUCCESS
        )
        self._facade.tell(job.handle, value, save=False)


def _translate(task: Task, distributions: dict[str, BaseDistribution]) -> Any:
    """Return the space as SMAC knows it; a choice is its place among the choices, whatever its type."""
    config_space = importlib.import_module("ConfigSpace")
    space = config_space.ConfigurationSpace()
    parameters = {name: _parameter(name, each) for name, each in distributions.items()}
    space.add(*parameters.values())
    for name, condition in find_conditions(task.space).items():
        parent = distributions[condition.parent]
        assert isinstance(parent, CategoricalDistribution)
        places = [parent.choices.index(value) for value in condition.values]
        space.add(config_space.InCondition(parameters[name], parameters[condition.parent], places))
    return space


def _parameter(name: str, distribution: Any) -> Any:
    config_space = importlib.import_module("ConfigSpace")
    if isinstance(distribution, CategoricalDistribution):
        return config_space.Categorical(name, list(range(len(distribution.choices))))
    make = config_space.Integer if isinstance(distribution, IntDistribution) else config_space.Float
    return make(name, (distribution.low, distribution.high), log=distribution.log)
