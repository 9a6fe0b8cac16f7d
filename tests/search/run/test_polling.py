"""Workers that are asked about images and die, stand still, or are not there; what they say is made up."""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from search.folder import StageFolder
from search.requests import Inbox, Request
from search.run.polling import Poll, Polling, Task, run_polls
from search.run.seated import Seat, run_seated
from search.run.stage import Stage
from search.run.trial_job import TrialJob
from segcore.data.dividing.split import FoldSplit
from segcore.errors import ClusterError, InterruptedSearchError
from segcore.prediction.votes import Votes, read_votes

pytestmark = pytest.mark.usefixtures("local_ray")


@pytest.fixture
def stage(script, make_settings, make_place, tmp_path) -> Stage:
    split = FoldSplit(folds=2, fold_of={}, block_of={})
    job = TrialJob(
        data="", extra=(), cache_root=tmp_path, cache_key="key", split=split, cpus=1, gpus=0, metric="iou"
    )  # fmt: skip
    folder = StageFolder(root=script.journal.file.parent)
    place = make_place(max_failures=1, hang_after_seconds=3)
    return Stage(
        settings=make_settings(folds=2), place=place, folder=folder, journal=script.journal, job=job, name="retrain"
    )  # fmt: skip


@pytest.fixture
def poll(tmp_path) -> Poll:
    return Poll(files={index: tmp_path / "v" / f"{index}.npz" for index in range(3)}, voters=())


@pytest.fixture
def strike(monkeypatch, tmp_path) -> Callable[[int, int], None]:
    """Return a function that lets the first workers be sent a signal before they say anything of the second image."""

    def prepare(number: int, times: int) -> None:
        def ask(job: TrialJob, indices: tuple[int, ...], voters: object) -> Iterator[Votes]:
            for index in indices:
                if index == 1 and len(list(tmp_path.glob("struck-*"))) < times:
                    # What was said goes to the driver by another thread, which is struck too.
                    while not (tmp_path / "v" / "0.npz").exists():
                        time.sleep(0.01)
                    (tmp_path / f"struck-{os.getpid()}").touch()
                    os.kill(os.getpid(), number)
                yield Votes(
                    name=f"{index} of {indices}",
                    condition="day",
                    agreed_CP=np.zeros((1, 2), np.int64),
                    disputed_KOP=np.zeros((1, 1, 0), np.float16),
                    truth_P=np.zeros(0, np.uint8),
                )

        monkeypatch.setattr("search.run.polling.ask", ask)

    return prepare


def is_alive(pid: int) -> bool:
    """Say whether a process runs or is stopped; whoever started it may not have asked yet how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def told(stage: Stage) -> list[str]:
    return [warning.message for warning in stage.journal.history.warnings]


def test_worker_that_stands_still_is_ended_and_another_is_asked_what_it_did_not_say(
    stage, poll, strike, tmp_path, wait_until
):
    strike(signal.SIGSTOP, 1)
    run_polls(stage, [poll])
    assert [read_votes(file).name for file in poll.files.values()] == ["0 of (0, 1, 2)", "1 of (1, 2)", "2 of (1, 2)"]
    (warning,) = told(stage)
    assert warning.startswith("A worker that predicted images for the ensemble said nothing for ")
    assert warning.endswith(
        " s and is taken for hung: it is ended. Where predictions are only slow, give --hang-after a longer time. "
        "Another is asked."
    )
    (stopped,) = (int(file.name.removeprefix("struck-")) for file in tmp_path.glob("struck-*"))
    # The order to end it goes by way of its node.
    wait_until(lambda: not is_alive(stopped), "the worker that stood still is ended")


def test_a_worker_that_stands_still_before_it_says_anything_gives_its_place_to_another(
    stage, poll, strike, tmp_path, monkeypatch
):
    """Where there is one place: Ray ends a process that does not hear that its task is cancelled."""

    def stand_still_once(packed: bytes) -> Iterator[Any]:
        if not list(tmp_path.glob("stood-*")):
            (tmp_path / f"stood-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        yield from run_seated(packed)

    strike(signal.SIGKILL, 0)
    monkeypatch.setattr("search.run.polling.run_seated", stand_still_once)
    monkeypatch.setattr("search.run.polling._START_SECONDS", 0.5)
    monkeypatch.setattr(Polling, "_find_patience_seconds", lambda polling, task: math.inf)
    # Ray takes seconds for it, in which nobody else can begin.
    one_place = replace_place(stage, cpus_per_trial=3, hang_after_seconds=0.1, max_failures=1000)
    run_polls(replace(one_place, job=replace(stage.job, cpus=3)), [poll])
    assert all(file.is_file() for file in poll.files.values())
    (stopped,) = (int(file.name.removeprefix("stood-")) for file in tmp_path.glob("stood-*"))
    assert not is_alive(stopped)


def test_workers_that_never_begin_end_the_selection_with_what_to_do(stage, poll, monkeypatch):
    """As where a process stands still while it starts: nothing says where it is."""

    def start_for_ever(packed: bytes) -> Iterator[None]:
        time.sleep(600)
        yield None

    monkeypatch.setattr("search.run.polling.run_seated", start_for_ever)
    monkeypatch.setattr("search.run.polling._START_SECONDS", 0.5)
    with pytest.raises(ClusterError, match=r"has not begun, .* It is the last of 2 tries; .* retrain "):
        run_polls(replace_place(stage, hang_after_seconds=0.1), [poll])
    (warning,) = told(stage)
    assert warning.startswith(
        "A worker that predicted images for the ensemble has not begun, and none was heard of for "
    )


@pytest.mark.parametrize(
    ("hang_after_seconds", "last_silent_seconds"), [(15, 600), (600, 600), (1200, 1200), (0, math.inf)]
)
def test_workers_that_do_not_begin_are_given_up_after_ten_minutes_or_more_if_hang_after_is_longer(
    stage, poll, monkeypatch, hang_after_seconds, last_silent_seconds
):
    monkeypatch.setattr("search.run.polling.ray.cancel", lambda answers, force: None)
    polling = Polling(replace_place(stage, hang_after_seconds=hang_after_seconds), [])
    polling._running = {number: Task(poll=poll, indices=(number,)) for number in range(2)}
    polling._give_up_unbegun(min(last_silent_seconds, 1e9))
    assert (len(polling._running), told(stage)) == (2, [])
    polling._running[0] = replace(polling._running[0], seat=Seat(node="a1", pid=7))
    polling._give_up_unbegun(last_silent_seconds + 1)
    assert told(stage) == [], "it may wait for the place of the one that works"
    polling._running[0] = replace(polling._running[0], seat=None)
    polling._give_up_unbegun(last_silent_seconds + 1)
    assert len(told(stage)) == (0 if last_silent_seconds == math.inf else 2)


def test_worker_that_dies_is_told_and_another_is_asked_what_it_did_not_say(stage, poll, strike):
    strike(signal.SIGKILL, 1)
    run_polls(stage, [poll])
    assert [read_votes(file).name for file in poll.files.values()] == ["0 of (0, 1, 2)", "1 of (1, 2)", "2 of (1, 2)"]
    (warning,) = told(stage)
    assert warning.startswith("A worker that predicted images for the ensemble was lost: ")


def test_images_over_which_worker_after_worker_is_lost_end_the_selection_with_what_to_do(stage, poll, strike):
    strike(signal.SIGKILL, 2)
    with pytest.raises(ClusterError, match=r"It is the last of 2 tries; look at that node, .* retrain "):
        run_polls(stage, [poll])
    assert len(told(stage)) == 1
    # What the first of them said is not asked again.
    assert [file.is_file() for file in poll.files.values()] == [True, False, False]


def replace_place(stage: Stage, **values: Any) -> Stage:
    return replace(stage, place=replace(stage.place, **values))


def test_a_worker_that_ray_ended_for_want_of_memory_is_told_with_how_to_go_on(stage, poll, monkeypatch):
    """Only what becomes of the task is made up: Ray's memory monitor looks at the whole machine."""

    def get(task: object) -> None:
        raise ray.exceptions.OutOfMemoryError("1 task was killed")

    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(ClusterError, match=r"ran out of memory, so Ray ended .* go on with 'python -m search retrain "):
        run_polls(stage, [poll])


def test_a_stop_that_is_asked_for_ends_the_selection(stage, poll, tmp_path, monkeypatch):
    def ask_for_long(job: object, indices: object, voters: object) -> Iterator[None]:
        time.sleep(600)
        yield None

    monkeypatch.setattr("search.run.polling.ask", ask_for_long)
    inbox = Inbox(tmp_path / "asked")
    inbox.stop = Request(kind="stop", reason="asked for by Kim")
    with pytest.raises(InterruptedSearchError, match=r"Stopped, as asked for by Kim; go on with '.* retrain "):
        run_polls(replace(stage, inbox=inbox), [poll])


def test_a_selection_for_which_there_is_no_node_ends_with_what_to_do(stage, poll):
    with pytest.raises(ClusterError, match=r"in vain for a node with 3 GPUs and 1 CPU: .* then run '.* retrain "):
        run_polls(replace_place(stage, gpus_per_trial=3, wait_seconds=1), [poll])
