"""Optimizers that ask for jobs, each a configuration and an epoch to train it to, as arms of the ruler.

SMAC (`peer_smac`), DEHB (`peer_dehb`) and NePS (`peer_neps`) are such. A configuration that comes again with more
epochs goes on where it was, as from a checkpoint; no epoch is trained twice.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.quality.simulator import Verdict
from benchmarks.quality.tasks import Params, Task
from search.memory.outcome import Outcome

_ANSWERED = 1000
"""So many jobs that need no training are answered at a time, before the arm is asked again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What an optimizer wants to know.

    Args:
        key: stands for the configuration, whatever the epochs.
        params: the configuration.
        epochs: after which its score is wanted.
        handle: what the optimizer needs to know the job again.
    """

    key: Hashable
    params: Params
    epochs: int
    handle: Any


class Optimizer(Protocol):
    """An optimizer that is asked and told."""

    def ask(self) -> Job:
        """Return the next job."""

    def tell(self, job: Job, cost: float, seconds: float, *, failed: bool) -> None:
        """Learn a job's cost, lower is better, and the seconds that all its epochs took."""


class JobArm:
    """Plays an optimizer's jobs as trials that pause.

    A training that fails costs as much as the worst that was seen, at least what the task's worst configuration costs:
    neither optimizer takes an infinite or missing cost.

    Args:
        task: the task.
        optimizer: asks for jobs.
    """

    def __init__(self, task: Task, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._worst_cost = -task.worst
        self._numbers: dict[Hashable, int] = {}
        self._jobs: list[list[Job]] = []
        self._costs: list[list[float]] = []
        self._seconds: list[float] = []
        self._failed: set[int] = set()

    def ask(self) -> tuple[int, Params] | None:
        """Return the next trial that must be trained; jobs whose answer is known or under way take no worker."""
        for _ in range(_ANSWERED):
            job = self._optimizer.ask()
            number = self._find(job)
            if number in self._failed:
                self._tell(number, job, self._worst_cost, failed=True)
            elif job.epochs <= len(self._costs[number]):
                self._tell(number, job, self._costs[number][job.epochs - 1])
            else:
                self._jobs[number].append(job)
                if len(self._jobs[number]) == 1:
                    return number, job.params
        return None

    def report(self, number: int, epoch: int, score: float, seconds: float) -> Verdict:
        """Answer the jobs that wanted this epoch; pause when none wants more."""
        if math.isnan(score):
            return Verdict.STOP
        self._costs[number].append(-score)
        self._seconds[number] += seconds
        self._worst_cost = max(self._worst_cost, -score)
        for job in self._jobs[number]:
            if job.epochs == epoch:
                self._tell(number, job, -score)
        self._jobs[number] = [job for job in self._jobs[number] if job.epochs > epoch]
        return Verdict.GO_ON if self._jobs[number] else Verdict.PAUSE

    def end(self, number: int, outcome: Outcome, score: float | None) -> None:
        """Answer all jobs of a training that failed."""
        if score is None or math.isnan(score):
            self._failed.add(number)
            for job in self._jobs[number]:
                self._tell(number, job, self._worst_cost, failed=True)
            self._jobs[number] = []

    def _find(self, job: Job) -> int:
        if job.key not in self._numbers:
            self._numbers[job.key] = len(self._numbers)
            self._jobs.append([])
            self._costs.append([])
            self._seconds.append(0.0)
        return self._numbers[job.key]

    def _tell(self, number: int, job: Job, cost: float, *, failed: bool = False) -> None:
        self._optimizer.tell(job, cost, self._seconds[number], failed=failed)
