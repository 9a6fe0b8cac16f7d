"""Syne Tune's asynchronous multi-fidelity schedulers, driven as its `Tuner` drives them.

They know flat spaces: they draw every parameter, and those that a configuration does not use are left out. All pause
trials at the rungs and promote the best of those that wait ("promotion"): checkpoints exist in this project too.
"""

import contextlib
import datetime
import importlib
import io
import logging
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.quality.drawing import draw_params, find_distributions
from benchmarks.quality.simulator import Verdict
from benchmarks.quality.stock import FACTOR, grace_epochs
from benchmarks.quality.tasks import Params, Task
from search.memory.outcome import Outcome

BASELINES = "syne_tune.optimizer.legacy_baselines"
_MAX_EPOCHS = "max_epochs"
_BRACKETS = 3
_REFITTED = ("ASHACQR", "MOBSTER", "HyperTune", "DyHPO")
_VERDICTS = {"CONTINUE": Verdict.GO_ON, "PAUSE": Verdict.PAUSE, "STOP": Verdict.STOP}


class SyneTune:
    """A scheduler of Syne Tune with the project's rungs.

    A training that diverges raises there, as a user's script would: the scheduler learns of an error.

    Args:
        task: the task.
        seed: of the scheduler, and of the random generator that all of NumPy shares: some of its models draw from it.
        kind: its class's name in `legacy_baselines`.
        refit_every: Gaussian processes and quantile models are fitted anew after so many results; 1 is what Syne Tune
            does, but for DyHPO (3), and more is faster.
    """

    def __init__(self, task: Task, seed: int, *, kind: str, refit_every: int = 1) -> None:
        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        np.random.seed(seed)
        baselines = importlib.import_module(BASELINES)
        if kind == "ASHACQR":
            _mark_as_fitted()
        space = {name: _translate(each) for name, each in find_distributions(task.space).items()}
        self._task = task
        self._random = np.random.default_rng(seed)
        self._scheduler = getattr(baselines, kind)(
            space | {_MAX_EPOCHS: task.epochs},
            metric="iou",
            mode="max",
            resource_attr="epoch",
            max_resource_attr=_MAX_EPOCHS,
            random_seed=seed,
            search_options=_search_options(kind, len(space), refit_every),
            **_rungs(task, kind),
        )
        self._trials: list[Any] = []
        self._params: list[Params] = []

    def ask(self) -> tuple[int, Params] | None:
        """Ask for a new trial, or for a paused one that is promoted."""
        number = len(self._trials)
        # Some searchers print how long they took.
        with contextlib.redirect_stdout(io.StringIO()):
            suggestion = self._scheduler.suggest(number)
        if suggestion is None:
            return None
        if not suggestion.spawn_new_trial_id:
            number = int(suggestion.checkpoint_trial_id)
            self._trials[number] = _make_trial(number, suggestion.config)
            return number, self._params[number]
        self._trials.append(_make_trial(number, suggestion.config))
        self._params.append(draw_params(self._task.space, self._random, suggestion.config))
        self._scheduler.on_trial_add(self._trials[number])
        return number, self._params[number]

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Judge; a trial that leaves its worker is removed."""
        if np.isnan(score):
            return Verdict.STOP
        verdict = _VERDICTS[self._scheduler.on_trial_result(self._trials[number], {"iou": score, "epoch": epoch})]
        if verdict is not Verdict.GO_ON:
            self._scheduler.on_trial_remove(self._trials[number])
        return verdict

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Tell of errors; whatever else ends a trial is known from its last report."""
        if score is None or np.isnan(score):
            self._scheduler.on_trial_error(self._trials[number])


def _rungs(task: Task, kind: str) -> dict[str, Any]:
    grace = grace_epochs(task)
    if kind == "DyHPO":
        return {"grace_period": grace, "rung_increment": grace}
    rungs = {"type": "promotion", "grace_period": grace, "reduction_factor": FACTOR}
    return rungs | {"brackets": _BRACKETS} if kind == "HyperTune" else rungs


def _search_options(kind: str, parameters: int, refit_every: int) -> dict[str, Any]:
    if kind == "BOHB":
        # As in the paper. Its default, one fewer, is never enough for a density: it would stay random until one rung
        # has seven times as many trials as there are parameters.
        return {"num_min_data_points": parameters + 1}
    if refit_every == 1 or kind not in _REFITTED:
        return {}
    if kind == "ASHACQR":
        return {"update_frequency": refit_every}
    return {"opt_skip_period": refit_every, "opt_skip_init_length": 0}


def _mark_as_fitted() -> None:
    """Tell scikit-learn, which has asked since 1.6, that the quantile model is fitted when it is used."""
    folder = "syne_tune.optimizer.schedulers.searchers.conformal.surrogate"
    models = importlib.import_module(f"{folder}.quantile_regression_model")
    models.GradientBoostingQuantileRegressor.__sklearn_is_fitted__ = lambda model: True


def _make_trial(number: int, config: Params) -> Any:
    status = importlib.import_module("syne_tune.backend.trial_status")
    return status.Trial(trial_id=number, config=config, creation_time=datetime.datetime.now())


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
