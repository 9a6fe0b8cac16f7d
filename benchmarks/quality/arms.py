"""The arms of the ruler: this project's searcher and scheduler, plain strategies, and stock parts of Ray, Optuna.

Every arm here drives the real objects: the project's `Proposer` and `Asha`, Ray's `OptunaSearch`
and `AsyncHyperBandScheduler`, Optuna's samplers and pruners. Syne Tune and SMAC are in `peers`.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import optuna

from benchmarks.quality.simulator import Verdict
from benchmarks.quality.tasks import Params, Task
from search.judge.asha import Asha
from search.memory.events import Asked, CheckpointSaved, Dropped, Ended, Epoch, Event, Reopened
from search.memory.outcome import Outcome
from search.propose.proposer import Proposer
from search.settings import SearchSettings, default_grace_epochs
from search.space.draw import Draw, draw
from segcore.scoring.objective import FIRST_METRIC

FACTOR = 3


def grace_epochs(task: Task) -> int:
    """Return the first rung of the peers: a ninth of the epochs."""
    return max(1, round(task.epochs / 9))


def make_asha(task: Task, first_rung_times: int = 1) -> Asha:
    """Return the project's ASHA with its defaults, but for a first rung that may be so many times as late."""
    grace, settings = first_rung_times * default_grace_epochs(task.epochs), SearchSettings(name="any")
    return Asha(grace_epochs=grace, reduction_factor=settings.reduction_factor, epochs=task.epochs, metric=FIRST_METRIC)


class Judged:
    """Trials that the project's ASHA judges; what happens is told as the journal of a search tells it.

    Args:
        asha: the decision.
        proposer: what proposes the trials, if it is to learn of them.
    """

    def __init__(self, asha: Asha, proposer: Proposer | None = None) -> None:
        self.asha = asha
        self._folds = (asha,) if proposer is None else (asha, proposer)

    def tell(self, event: Event) -> None:
        """Let all that follow from events learn one."""
        for fold in self._folds:
            fold.apply(event)

    def take_up(self) -> int | None:
        """Return a trial that waited and goes on; None without one."""
        number = self.asha.find_promoted()
        if number is not None:
            self.tell(Reopened(trial=number))
        return number

    def report(self, number: int, epoch: int, score: float) -> Verdict:
        """Judge an epoch."""
        verdict = self.asha.decide(number, epoch, score)
        metrics = {} if math.isnan(score) else {FIRST_METRIC: score}
        self.tell(Epoch(trial=number, epoch=epoch, metrics=metrics, verdict=verdict))
        if not verdict or math.isnan(score):
            return Verdict.STOP if verdict else Verdict.GO_ON
        self.tell(CheckpointSaved(trial=number, epoch=epoch, path="checkpoint"))
        self.tell(Ended(trial=number, outcome=Outcome.STOPPED))
        for hopeless in self.asha.find_hopeless():
            self.tell(Dropped(trial=hopeless))
        return Verdict.PAUSE


class Ours:
    """The project's proposer and ASHA, wired as `search.run.loop` and `search.run.recorder` wire them.

    Args:
        task: the task.
        seed: of the proposals.
        first: configurations to try first.
        first_rung_times: how many times as late trials are judged first.
    """

    def __init__(self, task: Task, seed: int, first: Sequence[Params] = (), first_rung_times: int = 1) -> None:
        def fill(trial: optuna.Trial) -> Params:
            task.space(trial)
            return dict(trial.params)

        def draw_anew(given: Mapping[str, Any], seed: int) -> Draw:
            return draw(fill, {}, seed=seed, given=given)

        self.draw = draw_anew
        self._first = first
        self.proposer = Proposer(draw_anew, seed=seed, epochs=task.epochs, metric=FIRST_METRIC)
        self.asha = make_asha(task, first_rung_times)
        self.judged = Judged(self.asha, self.proposer)
        self._params: list[Params] = []

    def ask(self) -> tuple[int, Params] | None:
        """Take up a trial that waits, or propose a new one."""
        number = self.judged.take_up()
        if number is not None:
            return number, self._params[number]
        number = len(self._params)
        if number < len(self._first):
            asked = Asked(trial=number, fold=0, values={}, params=self._first[number])
        else:
            found = self.proposer.ask(number)
            asked = Asked(
                trial=number, fold=0, values={}, params=found.params, ahead=found.ahead, first_rung=found.first_rung
            )
        self.judged.tell(asked)
        self._params.append(asked.params)
        return number, asked.params

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Judge and learn."""
        return self.judged.report(number, epoch, score)

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Tell the proposer."""
        self.judged.tell(Ended(trial=number, outcome=outcome))


class Random:
    """Draws evenly; with a scheduler of Ray's or without.

    Args:
        task: the task.
        seed: of the draws.
        stops: whether the stock ASHA stops trials.
    """

    def __init__(self, task: Task, seed: int, *, stops: bool = False) -> None:
        self._task = task
        self._study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        self._asha = StockAsha(task) if stops else None
        self._count = 0

    def ask(self) -> tuple[int, Params] | None:
        """Draw a new trial."""
        trial = self._study.ask()
        self._task.space(trial)
        if self._asha is not None:
            self._asha.add(self._count)
        self._count += 1
        return self._count - 1, dict(trial.params)

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Ask the scheduler."""
        if self._asha is None or self._asha.goes_on(number, epoch, score):
            return Verdict.GO_ON
        return Verdict.STOP

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Nothing is learnt."""


class OneEpochThenTop:
    """Trains many random configurations for one epoch, then the best of them to the end, best first.

    Args:
        task: the task.
        seed: of the draws.
        round_seconds: what all workers together spend on the first round.
    """

    def __init__(self, task: Task, seed: int, *, round_seconds: float) -> None:
        self._random = Random(task, seed)
        self._left_seconds = round_seconds
        self._params: dict[int, Params] = {}
        self._waiting: dict[int, float] = {}

    def ask(self) -> tuple[int, Params] | None:
        """Draw a trial in the first round; the best of those that wait in the second."""
        if self._left_seconds > 0:
            proposal = self._random.ask()
            assert proposal is not None
            self._params[proposal[0]] = proposal[1]
            return proposal
        if not self._waiting:
            return None
        best = max(self._waiting, key=lambda number: self._waiting[number])
        del self._waiting[best]
        return best, self._params[best]

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Pause every trial after its first epoch."""
        if math.isnan(score):
            return Verdict.STOP
        if epoch > 1:
            return Verdict.GO_ON
        self._left_seconds -= seconds
        self._waiting[number] = score
        return Verdict.PAUSE

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Nothing is learnt."""


class StockAsha:
    """Ray's `AsyncHyperBandScheduler`, with this project's rungs or with its own defaults.

    Args:
        task: the task.
        defaults: whether grace period and reduction factor are Ray's.
    """

    def __init__(self, task: Task, *, defaults: bool = False) -> None:
        from ray.tune.schedulers import AsyncHyperBandScheduler

        rungs: dict[str, Any] = {} if defaults else {"grace_period": grace_epochs(task), "reduction_factor": FACTOR}
        self._scheduler = AsyncHyperBandScheduler(
            time_attr="training_iteration", metric="iou", mode="max", max_t=task.epochs, **rungs
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
        defaults: whether ASHA's rungs are Ray's.
    """

    def __init__(self, task: Task, seed: int, *, defaults: bool = False) -> None:
        from ray.tune.search.optuna import OptunaSearch

        logging.getLogger("ray.tune.search.optuna.optuna_search").setLevel(logging.ERROR)
        self._search = OptunaSearch(space=task.space, metric="iou", mode="max", seed=seed)
        self._asha = StockAsha(task, defaults=defaults)
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
    """Optuna without Ray: by default TPE as it comes and successive halving, both with the project's rungs.

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


class RandomOurAsha:
    """Draws evenly, with the project's ASHA: what remains of the project's search without its model.

    Args:
        task: the task.
        seed: of the draws.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self._random = Random(task, seed)
        self._judged = Judged(make_asha(task))
        self._params: dict[int, Params] = {}

    def ask(self) -> tuple[int, Params] | None:
        """Take up a trial that waits, or draw a new one."""
        number = self._judged.take_up()
        if number is not None:
            return number, self._params[number]
        proposal = self._random.ask()
        assert proposal is not None
        self._params[proposal[0]] = proposal[1]
        self._judged.tell(Asked(trial=proposal[0], fold=0, values={}, params=proposal[1]))
        return proposal

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Judge."""
        return self._judged.report(number, epoch, score)

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Nothing is learnt."""
