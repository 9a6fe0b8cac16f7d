"""Runs trials on Ray Tune until there are none left, and waits for nodes; which trials is decided in `loop`."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from ray import tune

from search.folder import StageFolder
from search.judge.asha import Asha
from search.memory.events import Warned
from search.place import Place
from search.requests import Inbox
from search.run.capacity import ACCELERATOR, Capacity, select_others
from search.run.evicted import evicted_taken_for_dead
from search.run.listener import Listener
from search.run.private import find_session, require_folder
from search.run.queue import TrialQueue
from search.run.recorder import Recorder
from search.run.scheduler import AshaScheduler
from search.run.stage import Stage
from search.run.trial import STATE_FILE, run_trial
from search.run.trial_job import Assignment
from search.run.watchdog import Watchdog
from segcore.errors import StorageError, StreetError

_MOST_PENDING: Final = 100_000
"""The queue holds trials back, not Ray Tune."""
_WAIT_SECONDS: Final = 0.5


def run_trials(
    stage: Stage,
    next_trial: Callable[[], Assignment | None],
    recorder: Recorder,
    asha: Asha | None,
    budget_seconds: float | None,
    count_left: Callable[[], int],
) -> bool:
    """Run trials on Ray Tune until there are none left or the time budget is spent; wait for nodes to run them on.

    Args:
        stage: where and with what.
        next_trial: returns the next trial, or None.
        recorder: writes what happens.
        asha: lets the weak wait; None lets every trial finish.
        budget_seconds: how long the run may last, or None.
        count_left: returns how many trials are to run yet, or run now.

    Returns:
        Whether the time was spent.

    Raises:
        ClusterError: when no node could hold a trial for as long as the place allows, or the folder of this process's
            own Ray was deleted.
    """
    capacity = stage.room
    capacity.expect(count_left)
    deadline = math.inf if budget_seconds is None else time.monotonic() + budget_seconds
    # Ray Tune starts one trial at a time otherwise, and each waits some seconds for its worker process.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_MOST_PENDING)
    # Ray Tune would try again by itself, past `retries`.
    os.environ["RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE"] = "1"
    stranded = True

    def hand_out() -> Assignment | None:
        return None if stage.is_stopped else next_trial()

    def count_room() -> int:
        require_folder()
        for warning in capacity.nodes.pop_warnings() if capacity.nodes is not None else ():
            stage.journal.write(Warned(message=warning))
        return capacity.count()

    while stranded and wait_for_room(capacity, deadline, lambda: stage.is_stopped):
        queue = TrialQueue(hand_out, count_room)
        _run_tune(stage, queue, recorder, asha, RunEnd(capacity, deadline, stage.inbox))
        stranded = queue.is_stranded
    stage.require_hope(capacity)
    return time.monotonic() >= deadline


def wait_for_room(capacity: Capacity, deadline: float, is_stopped: Callable[[], bool] = lambda: False) -> bool:
    """Wait until a node can hold a trial.

    Args:
        capacity: the nodes, and how long to wait.
        deadline: when to wait no longer, seconds of the monotonic clock.
        is_stopped: whether somebody asked the search to stop.

    Returns:
        Whether there is one; False too when Ctrl-C ended the wait, as Ray Tune takes it.
    """
    try:
        while not (capacity.count() or capacity.is_given_up or is_stopped()) and time.monotonic() < deadline:
            time.sleep(_WAIT_SECONDS)
    except KeyboardInterrupt:
        return False
    return capacity.count() > 0 and time.monotonic() < deadline


def _run_tune(
    stage: Stage,
    queue: TrialQueue,
    recorder: Recorder,
    asha: Asha | None,
    end: "RunEnd",
) -> None:
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, job=stage.job), partial(_request, stage.place)),
        tune_config=tune.TuneConfig(
            search_alg=queue,
            scheduler=AshaScheduler(asha),
            # The queue says when there are no more: a trial that was stopped and goes on is one more to Ray.
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_name_trial,
            trial_dirname_creator=_name_trial,
        ),
        run_config=tune.RunConfig(
            name=_name_run(stage.folder),
            storage_path=stage.folder.address(stage.folder.ray),
            # A trial whose worker failed is handed out again by the queue, as any other that goes on.
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[
                recorder,
                Watchdog(stage.journal, recorder, stage.place.hang_after_seconds),
                Listener(stage.inbox, recorder, stage.journal),
            ],
            stop=end,
            verbose=0,
        ),
    )
    try:
        with _own_interrupt(), evicted_taken_for_dead():
            tuner.fit()
    # A bucket that does not answer as the run begins is told by Arrow itself.
    except (tune.TuneError, OSError) as error:
        raise _find_own(error) or StorageError(
            f"Ray Tune gave up ({str(error).strip().splitlines()[-1]}); if the disk of "
            f"{stage.folder.address(stage.folder.ray)}, or that of Ray's own files, {find_session()}, is full, make "
            "room; if a bucket does not answer, see that it does."
        ) from error


@contextmanager
def _own_interrupt() -> Iterator[None]:
    """Take Ctrl-C back from Ray Tune, which keeps it after a run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


class RunEnd(tune.Stopper):  # type: ignore[misc]
    """Ends a run whose time is spent, that is to stop, or whose trials have waited for a node as long as allowed.

    Ray Tune itself waits for ever, and its own time budget goes by the time of day, which may be set.

    Args:
        capacity: the nodes, and how long to wait for them.
        deadline: when the time is spent, seconds of the monotonic clock.
        inbox: says whether somebody asked the search to stop.
    """

    def __init__(self, capacity: Capacity, deadline: float, inbox: Inbox | None = None) -> None:
        self._capacity = capacity
        self._deadline = deadline
        self._inbox = inbox

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Say whether a trial that has finished an epoch, and written its checkpoint, is to stop there."""
        return self._inbox is not None and self._inbox.is_stopped

    def stop_all(self) -> bool:
        """Say whether to end the run."""
        is_stopped_now = self._inbox is not None and self._inbox.is_stopped_now
        return is_stopped_now or self._capacity.is_given_up or time.monotonic() >= self._deadline


def _request(place: Place, config: Assignment) -> tune.PlacementGroupFactory:
    """Return what a trial asks of a node: another kind of GPU than the one whose memory ran out, or another node."""
    wanted = {"CPU": place.cpus_per_trial, "GPU": place.gpus_per_trial}
    if config["accelerator"] is not None:
        wanted[f"{ACCELERATOR}{config['accelerator']}"] = 0.001
    if config["avoided"]:
        return tune.PlacementGroupFactory([wanted], bundle_label_selector=[select_others(config["avoided"])])
    return tune.PlacementGroupFactory([wanted])


def make_assignment(stage: Stage, number: int, avoided: Sequence[str] = ()) -> Assignment:
    """Return the configuration that a worker gets of a trial; without checkpoints the trial starts from scratch.

    A kind of GPU that has left the cluster is not waited for.

    Args:
        stage: whose trial it is.
        number: the trial's.
        avoided: nodes that it is not to run on beside those that no trial is, as Ray names them.
    """
    record = stage.journal.history.trials[number]
    found = {
        stage.folder.address(place): epoch
        for place, epoch in record.checkpoints.items()
        if stage.folder.has(place, STATE_FILE)
    }
    kinds = stage.room.find_accelerators() if record.accelerator is not None else ()
    return {
        "trial": record.number,
        "fold": record.fold,
        "values": record.values,
        "checkpoints": list(found),
        "after_epoch": max(found.values(), default=0),
        "accelerator": record.accelerator if record.accelerator in kinds else None,
        "avoided": sorted({*avoided, *stage.room.left_out}),
        "restarts": record.restarts,
    }


def _name_trial(trial: Any) -> str:
    # A trial that goes on has another folder than the one that holds its checkpoint.
    after, restarts = trial.config["after_epoch"], trial.config["restarts"]
    name = f"trial_{trial.config['trial']:04d}" + (f"_after_{after}" if after else "")
    return name + (f"_restarted_{restarts}" if restarts else "")


def _name_run(folder: StageFolder) -> str:
    # Ray refuses to mix a run with files of an earlier one, so every run of a stage has a folder of its own.
    return time.strftime("run-%Y%m%d-%H%M%S") + f"-{len(list(folder.ray.glob('run-*')))}"


def _find_own(error: BaseException) -> StreetError | None:
    """Return the error of ours that Ray Tune tells of by its traceback's text; None without one."""
    seen: list[BaseException] = []
    while error not in seen and not isinstance(error, StreetError):
        seen.append(error)
        error = error.__cause__ or error.__context__ or error
    return error if isinstance(error, StreetError) else None
