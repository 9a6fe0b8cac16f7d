"""Plays a search: simulated workers and a simulated clock around a real searcher and scheduler."""

import heapq
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np

from benchmarks.quality.tasks import Curve, Params, Task, regret
from search.memory.outcome import Outcome

_FAILING_SHARE = 0.1
"""Of its first epoch, after which a training that does not fit into memory fails."""


class Verdict(Enum):
    """What becomes of a trial after a report."""

    GO_ON = "goes on"
    STOP = "ends"
    PAUSE = "leaves its worker and may be asked for again"


class Arm(Protocol):
    """A search algorithm under test."""

    def ask(self) -> tuple[int, Params] | None:
        """Return a trial's number and configuration, new or paused; None to be asked again later."""

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Learn a score, NaN too; `seconds` is what the epoch took. Nothing is asked after the last epoch."""

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Learn how a trial ended, and its last score if it has one."""


@dataclass(slots=True, kw_only=True)
class Training:
    """A trial in the simulator: its curve, finished epochs, and the seconds spent on it."""

    params: Params
    curve: Curve
    epoch: int = 0
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class Run:
    """What a simulated search did.

    Args:
        budget_seconds: simulated seconds.
        times: simulated seconds at which the chosen configuration changed.
        regrets: its regret from then on.
        trainings: by trial.
        busy_seconds: of all workers together.
        workers: how many.
        decision_ms: milliseconds of processor time that the arm took, per trial.
    """

    budget_seconds: float
    workers: int
    times: list[float] = field(default_factory=lambda: [0.0])
    regrets: list[float] = field(default_factory=lambda: [1.0])
    trainings: dict[int, Training] = field(default_factory=dict)
    busy_seconds: float = 0.0
    decision_ms: float = 0.0

    def regret_at(self, seconds: float) -> float:
        """Return the regret of what was chosen at a time."""
        return self.regrets[int(np.searchsorted(self.times, seconds, side="right")) - 1]

    @property
    def area(self) -> float:
        """The mean regret over the time of the search."""
        ends = [*self.times[1:], self.budget_seconds]
        spans = [end - start for start, end in zip(self.times, ends, strict=True)]
        return float(np.dot(spans, self.regrets) / self.budget_seconds)

    def reaches(self, level: float) -> float:
        """Return the first time at which the regret is at most a level for good; infinity when it never is."""
        since = float("inf")
        for start, value in zip(reversed(self.times), reversed(self.regrets), strict=True):
            if value > level:
                break
            since = start
        return since

    @property
    def idle_share(self) -> float:
        """Share of the workers' time in which they had nothing to do."""
        return 1 - self.busy_seconds / (self.workers * self.budget_seconds)

    def wasted_share(self, middle: float) -> float:
        """Return the share of the time that went into trials whose final score is below `middle`, or that have none."""
        wasted = sum(training.seconds for training in self.trainings.values() if not training.curve.final >= middle)
        return wasted / max(self.busy_seconds, 1e-12)


class Simulation:
    """One search of one task by one arm.

    Args:
        task: the task.
        arm: the algorithm.
        workers: trainings at a time.
        budget_seconds: simulated seconds after which everything stops.
        seed: decides the task's noise.
        start_seconds: that a training takes to start, each time that it is given a worker.
    """

    def __init__(
        self, task: Task, arm: Arm, *, workers: int, budget_seconds: float, seed: int, start_seconds: float = 0.0
    ) -> None:
        self._task, self._arm, self._seed = task, arm, seed
        self._start_seconds = start_seconds
        self._run = Run(budget_seconds=budget_seconds, workers=workers)
        self._events: list[tuple[float, int, int]] = []
        self._order = 0
        self._free = workers
        self._chosen: tuple[float, int] | None = None

    def run(self) -> Run:
        """Play the search to its end."""
        self._fill(0.0)
        while self._events:
            now, _, number = heapq.heappop(self._events)
            if now > self._run.budget_seconds:
                break
            self._finish_epoch(now, number)
            self._fill(now)
        asked = max(len(self._run.trainings), 1)
        self._run.decision_ms /= asked
        return self._run

    def _fill(self, now: float) -> None:
        while self._free:
            begun = time.process_time()
            proposal = self._arm.ask()
            self._run.decision_ms += 1000 * (time.process_time() - begun)
            if proposal is None:
                return
            number, params = proposal
            if number not in self._run.trainings:
                self._run.trainings[number] = Training(params=params, curve=self._task.train(params, self._seed))
            self._free -= 1
            self._run.busy_seconds += min(self._start_seconds, self._run.budget_seconds - now)
            self._start_epoch(now + self._start_seconds, number)

    def _start_epoch(self, now: float, number: int) -> None:
        training = self._run.trainings[number]
        seconds = float(training.curve.seconds[training.epoch])
        if training.curve.out_of_memory:
            seconds *= _FAILING_SHARE
        spent = max(0.0, min(seconds, self._run.budget_seconds - now))
        training.seconds += spent
        self._run.busy_seconds += spent
        self._order += 1
        heapq.heappush(self._events, (now + seconds, self._order, number))

    def _finish_epoch(self, now: float, number: int) -> None:
        training = self._run.trainings[number]
        if training.curve.out_of_memory:
            self._end(number, Outcome.OUT_OF_MEMORY, None)
            return
        training.epoch += 1
        score = float(training.curve.scores[training.epoch - 1])
        self._choose(now, number, score)
        begun = time.process_time()
        verdict = self._arm.report(number, training.epoch, score, float(training.curve.seconds[training.epoch - 1]))
        self._run.decision_ms += 1000 * (time.process_time() - begun)
        if training.epoch == len(training.curve.scores):
            self._end(number, Outcome.FINISHED, score)
        elif verdict is Verdict.GO_ON:
            self._start_epoch(now, number)
        elif verdict is Verdict.PAUSE:
            self._free += 1
        else:
            self._end(number, Outcome.DIVERGED if np.isnan(score) else Outcome.STOPPED, score)

    def _end(self, number: int, outcome: Outcome, score: float | None) -> None:
        self._free += 1
        begun = time.process_time()
        self._arm.end(number, outcome, score)
        self._run.decision_ms += 1000 * (time.process_time() - begun)

    def _choose(self, now: float, number: int, score: float) -> None:
        # As the project does: the highest score reported so far, after whatever epoch.
        if np.isnan(score) or (self._chosen is not None and score <= self._chosen[0]):
            return
        known = self._chosen is not None and self._chosen[1] == number
        self._chosen = (score, number)
        if not known:
            self._run.times.append(now)
            self._run.regrets.append(regret(self._task, self._run.trainings[number].curve.final))
