"""NePS: Hyperband over the epochs, and PriorBand, which also draws around usual values and around the best so far.

It knows flat spaces: it draws every parameter, and those that a configuration does not use are left out.

Its ASHA and asynchronous Hyperband are no arms: in 0.17 they promote trials that have no result yet, and sooner or
later all. PriorBand's variant with a Gaussian process is none either, nor is ifBO, which downloads its model.
"""

import importlib
from typing import Any, Final

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from benchmarks.quality.drawing import draw_params, find_distributions, restore
from benchmarks.quality.peer_jobs import Job
from benchmarks.quality.stock import FACTOR
from benchmarks.quality.tasks import Task
from benchmarks.quality.usual import list_usual

_EPOCHS: Final = "epochs"
_CONFIDENCE: Final = "medium"
"""A number has a standard deviation of half its range, a choice a probability of a half. With NePS' default, "low", the
usual one of two or three choices would be the least likely."""
_LEAST: Final = 0.99
"""Of a ninth of the epochs: a logarithm that is rounded down must not cost the lowest rung."""


class Neps:
    """NePS asked and told, with rungs at a ninth, a third and all of the epochs.

    Args:
        task: the task.
        seed: of the random generators that all of NumPy and PyTorch share, which NePS draws from.
        has_prior: whether PriorBand draws, with the task's usual values as its prior and first trial; else Hyperband
            draws evenly.
    """

    def __init__(self, task: Task, seed: int, *, has_prior: bool) -> None:
        neps = importlib.import_module("neps")
        np.random.seed(seed)
        importlib.import_module("torch").manual_seed(seed)
        self._task = task
        self._random = np.random.default_rng(seed)
        self._distributions = find_distributions(task.space)
        make = neps.algorithms.priorband if has_prior else neps.algorithms.hyperband
        space = _translate(task, self._distributions)
        self._optimizer = neps.AskAndTell(make(space, eta=FACTOR, sample_prior_first=has_prior))

    def ask(self) -> Job:
        """Ask for a configuration and its epochs."""
        trial = self._optimizer.ask()
        kept = {name: restore(trial.config[name], each) for name, each in self._distributions.items()}
        params = draw_params(self._task.space, self._random, kept)
        number, _, _ = trial.id.partition("_rung_")
        return Job(key=number, params=params, epochs=max(1, round(trial.config[_EPOCHS])), handle=trial.id)

    def tell(self, job: Job, cost: float, seconds: float, *, failed: bool) -> None:
        """Tell the cost; a failed training has one as NePS' `objective_value_on_error` would give it."""
        self._optimizer.tell(job.handle, float(cost))


def _translate(task: Task, distributions: dict[str, BaseDistribution]) -> Any:
    """Return the space as NePS knows it; a choice is its place among the choices, whatever its type."""
    neps = importlib.import_module("neps")
    usual = list_usual(task)
    parameters = {name: _parameter(each, usual[name]) for name, each in distributions.items()}
    lowest = _LEAST * task.epochs / FACTOR**2
    return neps.SearchSpace({**parameters, _EPOCHS: neps.HPOFloat(lowest, task.epochs, is_fidelity=True)})


def _parameter(distribution: Any, usual: Any) -> Any:
    neps = importlib.import_module("neps")
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return neps.HPOCategorical(range(len(choices)), prior=choices.index(usual), prior_confidence=_CONFIDENCE)
    make = neps.HPOInteger if isinstance(distribution, IntDistribution) else neps.HPOFloat
    low, high = distribution.low, distribution.high
    return make(low, high, log=distribution.log, prior=usual, prior_confidence=_CONFIDENCE)
