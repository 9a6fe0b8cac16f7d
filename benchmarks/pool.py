"""Processes that work through a list of jobs, each through many of them; a job that fails takes no other along."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_LONGEST_WAIT_SECONDS: Final = 3600.0
"""The system's clocks overflow at no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Generic[Job, Result]):
    """A job that ended.

    Args:
        job: what was to be done.
        result: what the function returned; None where it failed.
        error: why it failed; empty where it did not.
    """

    job: Job
    result: Result | None = None
    error: str = ""


def run_jobs(
    function: Callable[[Job], Result], jobs: Iterable[Job], *, at_once: int, seconds: float
) -> Generator[Ended[Job, Result], None, None]:
    """Yield jobs as they end; after the time those under way are cut off, and neither they nor later ones are yielded.

    Args:
        function: does a job; of a module, or a `partial` of one. It may start processes of its own.
        jobs: in the order in which they are begun; each is made when a process is free for it.
        at_once: processes; one whose job failed makes way for a fresh one.
        seconds: after which everything is at its end; may be infinite.
    """
    until = time.monotonic() + seconds
    waiting = iter(jobs)
    busy: dict[Connection[Any, Any], _Worker[Job, Result]] = {}
    try:
        while (left := until - time.monotonic()) > 0:
            while len(busy) < at_once and (job := next(waiting, None)) is not None:
                worker = _Worker(function)
                busy[worker.connection] = worker
                worker.begin(job)
            if not busy:
                return
            for connection in wait(list(busy), min(left, _LONGEST_WAIT_SECONDS)):
                worker = busy[connection]  # type: ignore[index]
                ended = worker.receive()
                following = None if ended.error else next(waiting, None)
                if following is None:
                    busy.pop(worker.connection).stop()
                else:
                    worker.begin(following)
                yield ended
    finally:
        for worker in busy.values():
            worker.stop()


class _Worker(Generic[Job, Result]):
    def __init__(self, function: Callable[[Job], Result]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(function, far_end))
        self._process.start()
        # Else the connection never looks closed when the process dies.
        far_end.close()

    def begin(self, job: Job) -> None:
        self._job = job
        # Of a process that died meanwhile, `receive` tells.
        with suppress(OSError):
            self.connection.send(job)

    def receive(self) -> Ended[Job, Result]:
        try:
            result, error = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            result, error = None, f"its process ended with {self._process.exitcode}"
        return Ended(job=self._job, result=result, error=error)

    def stop(self) -> None:
        """Kill the process and those that it started."""
        try:
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        except ProcessLookupError:
            # It has no group of its own yet, or is gone.
            self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(function: Callable[[Job], Result], connection: "Connection[Any, Any]") -> None:
    os.setsid()
    # The end of the file: whoever gives the jobs is gone.
    with suppress(EOFError, OSError):
        while True:
            job = connection.recv()
            try:
                answer: tuple[Result | None, str] = (function(job), "")
            # One job that fails, in whatever way, must not take the others along.
            except Exception as error:
                answer = (None, f"{type(error).__name__}: {error}")
            connection.send(answer)
