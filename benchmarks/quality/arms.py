"""The arms of the ruler: this project's searcher and scheduler, driven as real objects, and plain strategies.

Stock parts of Ray and Optuna are in `stock`; Syne Tune, SMAC, DEHB and NePS in `peers`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from benchmarks.quality.simulator import Verdict
from benchmarks.quality.stock import StockAsha
from benchmarks.quality.tasks import Params, Task
from search.judge.asha import Asha
from search.memory.events import Asked, CheckpointSaved, Dropped, Ended, Epoch, Event, Reopened
from search.memory.outcome import Outcome
from search.propose.proposer import Proposer
from search.settings import SearchSettings, default_grace_epochs
from search.space.draw import Draw, draw
from segcore.scoring.objective import FIRST_METRIC


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


class EpochsThenTop:
    """Trains many random configurations for some epochs, then the best of them to the end, best first.

    Args:
        task: the task.
        seed: of the draws.
        epochs: of the first round; a task of no more has no second one.
        round_seconds: what all workers together spend on the first round.
    """

    def __init__(self, task: Task, seed: int, *, epochs: int, round_seconds: float) -> None:
        self._random = Random(task, seed)
        self._epochs = epochs
        self._left_seconds = round_seconds
        self._params: dict[int, Params] = {}
        self._waiting: dict[int, float] = {}

    def ask(self) -> tuple[int, Params] | None:
        """Draw a trial in the first round, and when none waits; else take the best of those that wait."""
        if self._left_seconds > 0 or not self._waiting:
            proposal = self._random.ask()
            assert proposal is not None
            self._params[proposal[0]] = proposal[1]
            return proposal
        best = max(self._waiting, key=lambda number: self._waiting[number])
        del self._waiting[best]
        return best, self._params[best]

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Pause every trial after the epochs of the first round."""
        if math.isnan(score):
            return Verdict.STOP
        if epoch <= self._epochs:
            self._left_seconds -= seconds
        if epoch != self._epochs:
            return Verdict.GO_ON
        self._waiting[number] = score
        return Verdict.PAUSE

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Forget a trial whose last epoch was one of the first round."""
        self._waiting.pop(number, None)
