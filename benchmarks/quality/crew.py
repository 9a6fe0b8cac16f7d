"""Processes that do jobs at once: each imports and prepares once, and one that dies takes its own job along, no other.

The pools of the standard library are broken as soon as one of their processes is killed.
"""

import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from segcore.errors import StreetError

Job = TypeVar("Job")
Result = TypeVar("Result")

_TRIES: Final = 2
_CLOSE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 60.0
"""An endless wait takes no number."""


class CrewError(StreetError):
    """Job after job failed, and none was done."""


@dataclass(slots=True, kw_only=True)
class _Worker(Generic[Job]):
    process: BaseProcess
    connection: "Connection[Any, Any]"
    task: "_Task[Job] | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task(Generic[Job]):
    job: Job
    tries: int = 1


class Crew(Generic[Job, Result]):
    """Processes that wait for jobs; a context, at whose end they are ended, whatever they are at.

    Args:
        do: does a job; a function of a module, which each process imports at once.
        processes: how many.
        report: told of each failed try.
    """

    def __init__(self, do: Callable[[Job], Result], processes: int, report: Callable[[str], None]) -> None:
        self._do = do
        self._report = report
        self._failures = 0
        self._workers = [self._start() for _ in range(processes)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_CLOSE_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()

    def do_all(self, jobs: Iterable[Job], until: float = float("inf")) -> Iterator[tuple[Job, Result]]:
        """Yield jobs with what came of them, as they are done; one that fails twice is left out.

        Args:
            jobs: begun in this order.
            until: reading of `time.monotonic` at which the rest is given up.

        Raises:
            CrewError: when more jobs in a row fail than may be by chance.
        """
        waiting: Iterator[_Task[Job]] = (_Task(job=job) for job in jobs)
        while time.monotonic() < until:
            self._hand_out(waiting)
            busy = [worker for worker in self._workers if worker.task is not None]
            if not busy:
                return
            ended = wait([worker.connection for worker in busy], min(_LOOK_SECONDS, max(0.0, until - time.monotonic())))
            for worker in busy:
                if worker.connection not in ended or worker.task is None:
                    continue
                task, (result, problem) = worker.task, _receive(worker)
                if not problem:
                    self._failures, worker.task = 0, None
                    yield task.job, result
                    continue
                self._replace(worker, problem)
                if task.tries < _TRIES:
                    waiting = itertools.chain([_Task(job=task.job, tries=task.tries + 1)], waiting)

    def _hand_out(self, waiting: "Iterator[_Task[Job]]") -> None:
        for worker in self._workers:
            if worker.task is None and (task := next(waiting, None)) is not None:
                worker.task = task
                # One that has died is found as soon as it is asked for the result.
                with suppress(OSError):
                    worker.connection.send(task.job)

    def _start(self) -> _Worker[Job]:
        context = multiprocessing.get_context("spawn")
        connection, far_end = context.Pipe()
        process = context.Process(target=_serve, args=(self._do, far_end))
        process.start()
        # Else the worker's end never looks closed when it dies.
        far_end.close()
        return _Worker(process=process, connection=connection)

    def _replace(self, worker: _Worker[Job], problem: str) -> None:
        self._failures += 1
        self._report(problem)
        if self._failures > 2 * len(self._workers):
            raise CrewError(f"{self._failures} tries in a row failed, the last: {problem}; mend that and start again.")
        worker.connection.close()
        worker.process.join(_CLOSE_SECONDS)
        self._workers[self._workers.index(worker)] = self._start()


def _receive(worker: _Worker[Any]) -> tuple[Any, str]:
    try:
        answer: tuple[Any, str] = worker.connection.recv()
        return answer
    except (EOFError, OSError):
        worker.process.join(_CLOSE_SECONDS)
        return None, f"a process died with exit code {worker.process.exitcode}"


def _serve(do: Callable[[Any], Any], connection: "Connection[Any, Any]") -> None:
    # The end of the file: whoever asks was stopped. An interrupt reaches all processes of a terminal.
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            job = connection.recv()
            try:
                result = do(job)
            except Exception as error:
                # What broke CUDA once breaks every later job of the process, so a new one takes its place.
                connection.send((None, f"{type(error).__name__}: {error}"))
                return
            connection.send((result, ""))
