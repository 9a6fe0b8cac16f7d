"""Has trained networks predict, on the cluster, images that they never saw, a few images per task.

What is asked for and what is made of it lives in `stages.ensemble`, what a worker does in `asking`. An image whose file
is there is not asked for again, so that a polling that was interrupted goes on. A worker that dies or hangs is told,
and what it did not say is asked of another one; how long it may be silent is decided in `judge.silence`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import ray

from search.judge.silence import AttentiveClock, stretch_patience
from search.memory.events import Warned
from search.run.asking import Voter, ask
from search.run.capacity import select_others
from search.run.evicted import describe_eviction
from search.run.private import require_folder
from search.run.seated import Seat, end, pack, run_seated
from search.run.stage import Stage
from segcore.errors import ClusterError, InterruptedSearchError, StreetError
from segcore.prediction.votes import write_votes

_IMAGES_PER_TASK: Final = 16
"""Few enough that what a task returns fits a node's memory, enough that its networks are not loaded for nothing."""
_LOOK_SECONDS: Final = 1.0
_START_SECONDS: Final = 600.0
"""At least so long nobody says anything before a worker that has not said where it runs is given up: starting a process
takes a busy machine minutes, but neither data nor networks are loaded before it says so."""
_TASKS_PER_PROCESS: Final = 64
"""Ray would start a process for every task on a GPU, which takes longer than the images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Images that the same networks are asked about.

    Args:
        files: where to write what is said of each case, by its index in the cache.
        voters: the candidates.
    """

    files: Mapping[int, Path]
    voters: tuple[Voter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Images that one worker is asked about.

    Args:
        poll: which of.
        indices: those that nothing was said of yet, in order.
        losses: how many workers it has lost.
        seat: where it runs; None as long as it waits for a worker.
        heard_seconds: when its worker was last heard of, or asked, by the polling's clock.
        has_voted: whether its worker has said anything of an image; before the first it loads its networks.
    """

    poll: Poll
    indices: tuple[int, ...]
    losses: int = 0
    seat: Seat | None = None
    heard_seconds: float = 0.0
    has_voted: bool = False


def run_polls(stage: Stage, polls: Sequence[Poll]) -> None:
    """Ask about every image whose file is missing.

    Args:
        stage: whose job and place are used.
        polls: what to ask.

    Raises:
        InterruptedSearchError: when it was stopped from outside.
        ClusterError: when workers died or hung again and again, no node was left, or the folder of this process's own
            Ray was deleted.
        StreetError: what a worker could not do.
        StorageError: when a file cannot be written.
    """
    if not (waiting := _divide(polls)):
        return
    polling = Polling(stage, waiting)
    try:
        polling.run()
    except KeyboardInterrupt:
        raise InterruptedSearchError(
            f"Interrupted while the ensemble was selected; go on with '{stage.again}'."
        ) from None
    except ray.exceptions.RayTaskError as error:
        # What it says of itself is the worker's traceback.
        raise (error.cause if isinstance(error.cause, StreetError) else error) from None
    finally:
        polling.cancel()


class Polling:
    """The tasks of one polling: those that wait, and those that workers have.

    Args:
        stage: whose job and place are used; what a person is to know is written into its journal.
        waiting: what to ask.
    """

    def __init__(self, stage: Stage, waiting: list[Task]) -> None:
        self._stage, self._room = stage, stage.room
        self._waiting = waiting
        self._running: dict[Any, Task] = {}
        self._clock = AttentiveClock()
        self._slowest_seconds = 0.0
        self._heard_seconds = 0.0

    def run(self) -> None:
        """Ask until all is said."""
        self._room.expect(lambda: len(self._waiting) + len(self._running))
        while self._waiting or self._running:
            self._hand_out()
            self._hear()
            self._end_silent()
            if self._stage.is_stopped:
                self._stage.require_unstopped()
            self._stage.require_hope(self._room)
            require_folder()

    def cancel(self) -> None:
        """Ask nobody any more."""
        for answers in self._running:
            ray.cancel(answers, force=True)

    def _hand_out(self) -> None:
        # One more than fit waits at Ray, so that no worker waits for this process.
        while self._waiting and len(self._running) <= self._room.count():
            task = replace(self._waiting.pop(0), heard_seconds=self._clock.look())
            self._running[self._begin(task)] = task

    def _begin(self, task: Task) -> Any:
        place = self._stage.place
        remote = ray.remote(
            num_cpus=place.cpus_per_trial,
            num_gpus=place.gpus_per_trial,
            max_calls=_TASKS_PER_PROCESS,
            num_returns="streaming",
            # Ray would begin again from the first image, and without a word.
            max_retries=0,
        )(run_seated)
        others = select_others(self._room.left_out)
        work = partial(ask, self._stage.job, task.indices, task.poll.voters)
        return remote.options(name=ask.__name__, label_selector=others).remote(pack(work))

    def _hear(self) -> None:
        """Take what workers have said, waiting a moment for the first of them."""
        answers = list(self._running)
        ray.wait(answers, num_returns=1, timeout=_LOOK_SECONDS)
        ready, _ = ray.wait(answers, num_returns=len(answers), timeout=0)
        now_seconds = self._clock.look()
        for each in ready:
            try:
                self._take(each, ray.get(next(each)), now_seconds)
            except StopIteration:
                del self._running[each]
            except ray.exceptions.RayTaskError:
                raise
            except ray.exceptions.RayError as error:
                self._give_back(each, f"was lost: {describe_eviction(error).rstrip('.')}.", error)

    def _take(self, answers: Any, said: Any, now_seconds: float) -> None:
        task, self._heard_seconds = self._running[answers], now_seconds
        if isinstance(said, Seat):
            self._running[answers] = replace(task, seat=said, heard_seconds=now_seconds)
            return
        if task.has_voted:
            self._slowest_seconds = max(self._slowest_seconds, now_seconds - task.heard_seconds)
        first, *others = task.indices
        write_votes(said, task.poll.files[first])
        self._running[answers] = replace(task, indices=tuple(others), heard_seconds=now_seconds, has_voted=True)

    def _end_silent(self) -> None:
        """End the workers that are silent for too long."""
        now_seconds = self._clock.look()
        for answers, task in list(self._running.items()):
            silent_seconds = now_seconds - task.heard_seconds
            if task.seat is not None and silent_seconds > self._find_patience_seconds(task):
                end(task.seat)
                told = f"said nothing for {silent_seconds:.0f} s and is taken for hung: it is ended."
                self._give_up(answers, f"{told} Where predictions are only slow, give --hang-after a longer time.")
                # Others may have waited for its place.
                self._heard_seconds = now_seconds
        self._give_up_unbegun(now_seconds)

    def _give_up_unbegun(self, now_seconds: float) -> None:
        """Give up the workers that do not begin, unless others are at work, for whose place they may wait."""
        if any(task.seat is not None for task in self._running.values()) or not self._room.count():
            return
        patience_seconds = max(_START_SECONDS, self._stage.place.hang_after_seconds or math.inf)
        for answers, task in list(self._running.items()):
            silent_seconds = now_seconds - max(task.heard_seconds, self._heard_seconds)
            if silent_seconds > patience_seconds:
                self._give_up(answers, f"has not begun, and none was heard of for {silent_seconds:.0f} s.")

    def _find_patience_seconds(self, task: Task) -> float:
        least_seconds = self._stage.place.hang_after_seconds or math.inf
        return stretch_patience(
            self._slowest_seconds, hang_after_seconds=least_seconds, has_reported=task.has_voted, hangs=task.losses
        )

    def _give_up(self, answers: Any, told: str) -> None:
        ray.cancel(answers, force=True)
        self._give_back(answers, told)

    def _give_back(self, answers: Any, told: str, error: Exception | None = None) -> None:
        """Let what a lost worker did not say be asked again, unless too many were lost over it."""
        task = self._running.pop(answers)
        if not task.indices:
            return
        told = f"A worker that predicted images for the ensemble {told}"
        if task.losses >= self._stage.place.max_failures:
            raise ClusterError(
                f"{told} It is the last of {task.losses + 1} tries; look at that node, then go on with "
                f"'{self._stage.again}'."
            ) from error
        self._stage.journal.write(Warned(message=f"{told} Another is asked."))
        self._waiting.insert(0, Task(poll=task.poll, indices=task.indices, losses=task.losses + 1))


def _divide(polls: Sequence[Poll]) -> list[Task]:
    found = []
    for poll in polls:
        missing = [index for index, file in poll.files.items() if not file.is_file()]
        starts = range(0, len(missing), _IMAGES_PER_TASK)
        found += [Task(poll=poll, indices=tuple(missing[start : start + _IMAGES_PER_TASK])) for start in starts]
    return found
