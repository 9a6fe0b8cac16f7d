"""Stock parts of Ray and Optuna as arms: schedulers, searchers, samplers and pruners, driven as real objects."""

import logging
import math
from types import SimpleNamespace
from typing import Any

import optuna

from benchmarks.quality.simulator import Verdict
from benchmarks.quality.tasks import Params, Task
from search.memory.outcome import Outcome

FACTOR = 3


def grace_epochs(task: Task) -> int:
    """Return the first rung of the peers: a ninth of the epochs."""
    return max(1, round(task.epochs / 9))


class StockAsha:
    """Ray's `AsyncHyperBandScheduler` with the peers' rungs.

    Args:
        task: the task.
    """

    def __init__(self, task: Task) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        self._scheduler = AsyncHyperBandScheduler(
            time_attr="training_iteration",
            metric="iou",
            mode="max",
            max_t=task.epochs,
            grace_period=grace_epochs(task),
            reduction_factor=FACTOR,
        )
        self._trials: dict[int, SimpleNamespace] = {}

    def add(self, number: int) -> None:
        """Make a trial known."""
        self._trials[number] = SimpleNamespace(trial_id=str(number))
        self._scheduler.on_trial_add(None, self._trials[number])

    def goes_on(self, number: int, epoch: int, score: float) -> bool:
        """Judge a report."""
        result = {"training_iteration": epoch, "iou": score}
        return bool(self._scheduler.on_trial_result(None, self._trials[number], result) == "CONTINUE")


class StockPair:
    """Ray's `OptunaSearch` with Ray's ASHA: what `Tuner` does when it is given both.

    Args:
        task: the task.
        seed: of the sampler.
    """

    def __init__(self, task: Task, seed: int) -> None:
        from ray.tune.search.optuna import OptunaSearch

        logging.getLogger("ray.tune.search.optuna.optuna_search").setLevel(logging.ERROR)
        self._search = OptunaSearch(space=task.space, metric="iou", mode="max", seed=seed)
        self._asha = StockAsha(task)
        self._results: dict[int, dict[str, Any]] = {}
        self._count = 0

    def ask(self) -> tuple[int, Params] | None:
        """Suggest a new trial."""
        params = self._search.suggest(str(self._count))
        self._asha.add(self._count)
        self._count += 1
        return self._count - 1, params

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Judge; the searcher learns of reports on which the trial goes on, as Tune's controller does it."""
        self._results[number] = {"training_iteration": epoch, "iou": score}
        if not self._asha.goes_on(number, epoch, score):
            return Verdict.STOP
        self._search.on_trial_result(str(number), self._results[number])
        return Verdict.GO_ON

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Complete the trial with its last result; a failed one has none."""
        failed = outcome is Outcome.OUT_OF_MEMORY
        self._search.on_trial_complete(str(number), self._results.get(number), error=failed)


class OptunaAlone:
    """Optuna without Ray: by default TPE as it comes and successive halving, with the peers' rungs.

    Args:
        task: the task.
        seed: of the sampler.
        hyperband: Hyperband prunes, and TPE is given all that helps beside it: joint densities, also of conditional
            parameters, and a liar for what is running.
        gaussian: a Gaussian process proposes.
    """

    def __init__(self, task: Task, seed: int, *, hyperband: bool = False, gaussian: bool = False) -> None:
        grace = grace_epochs(task)
        sampler: optuna.samplers.BaseSampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=hyperband, group=hyperband, constant_liar=hyperband
        )
        if gaussian:
            sampler = optuna.samplers.GPSampler(seed=seed)
        pruner: optuna.pruners.BasePruner = optuna.pruners.SuccessiveHalvingPruner(
            min_resource=grace, reduction_factor=FACTOR
        )
        if hyperband:
            pruner = optuna.pruners.HyperbandPruner(
                min_resource=grace, max_resource=task.epochs, reduction_factor=FACTOR
            )
        # Hyperband's brackets hang on the study's name, which would be drawn.
        self._study = optuna.create_study(
            study_name=f"{task.name} {seed}", direction="maximize", sampler=sampler, pruner=pruner
        )
        self._task = task
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self) -> tuple[int, Params] | None:
        """Ask for a new trial."""
        trial = self._study.ask()
        self._task.space(trial)
        self._trials[trial.number] = trial
        return trial.number, dict(trial.params)

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Report, and ask the pruner."""
        self._trials[number].report(score, epoch)
        return Verdict.STOP if self._trials[number].should_prune() else Verdict.GO_ON

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Tell the state."""
        states = optuna.trial.TrialState
        if outcome is Outcome.OUT_OF_MEMORY or score is None:
            self._study.tell(self._trials[number], state=states.FAIL)
        elif outcome is Outcome.FINISHED and not math.isnan(score):
            self._study.tell(self._trials[number], score)
        else:
            self._study.tell(self._trials[number], state=states.PRUNED)
