"""Nodes that join and leave, on a real Ray cluster of this machine with pretended GPUs."""

import json
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray import cloudpickle, tune
from ray._private.state import actors
from ray.cluster_utils import Cluster
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

from search.folder import StageFolder
from search.judge.asha import Asha
from search.judge.progress import build_asha
from search.memory.events import Ended, Epoch, Event, Reopened, Started, Warned
from search.memory.journal import read_events
from search.memory.outcome import Outcome
from search.propose.proposer import Proposer
from search.run import capacity, measuring, tuning
from search.run import demand as demand_of_trials
from search.run.capacity import Capacity, accelerator_of
from search.run.demand import Demand, demanding
from search.run.loop import build_proposer, choose_trial, run_search
from search.run.measuring import measure_epochs
from search.run.queue import TrialQueue
from search.run.recorder import Recorder
from search.run.retries import Retries
from search.run.stage import Stage
from search.run.starting import starting_patiently
from search.run.trial import STATE_FILE
from search.run.trial_job import TrialJob
from search.run.tuning import _own_interrupt, _request, make_assignment, run_trials, wait_for_room
from search.space.load import load_space
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit
from segcore.errors import ClusterError
from tests.nursery import spare_rays


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that holds no trial, without an autoscaler; tests add nodes and take them away."""
    # Nodes of this machine start as slowly as it is busy.
    with pytest.MonkeyPatch.context() as patch, starting_patiently(None):
        spare_rays(patch)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, "no_monitor": True})
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def stage(make_settings, make_place, script, tmp_path) -> Stage:
    job = TrialJob(
        data=tmp_path, extra=(), cache_root=tmp_path, cache_key="key",
        split=FoldSplit(folds=2, fold_of={}, block_of={}), cpus=1, gpus=1, metric="iou",
    )  # fmt: skip
    folder = StageFolder(root=script.journal.file.parent)
    settings, place = make_settings(space="demo", trials=3), make_place(gpus_per_trial=1, wait_seconds=1)
    return Stage(settings=settings, place=place, folder=folder, journal=script.journal, job=job)


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Nodes are counted each time."""
    monkeypatch.setattr(capacity, "_COUNT_SECONDS", 0.0)


def test_trials_are_handed_out_as_nodes_join_and_held_back_as_they_leave(cluster, stage, impatient):
    room = Capacity(stage.place)
    trials = iter({"trial": number} for number in range(9))
    queue = TrialQueue(lambda: next(trials), room.count)
    first = cluster.add_node(num_cpus=4, num_gpus=1)
    assert queue.suggest("b") == {"trial": 0}
    assert queue.suggest("c") is None
    second = cluster.add_node(num_cpus=4, num_gpus=2)
    assert [queue.suggest(name) for name in "def"] == [{"trial": 1}, {"trial": 2}, None]
    for node in (first, second):
        cluster.remove_node(node)
    queue.on_trial_complete("b")
    assert queue.suggest("g") is None


def test_a_run_for_which_there_is_no_node_ends_with_what_to_do(cluster, stage, impatient):
    asked = []

    def next_trial() -> dict:
        asked.append(0)
        return {}

    recorder = Recorder(stage.journal, stage.folder, None, Retries(stage.journal, 0, dict, set().add, set().add))
    waited = r"Waited 1 s in vain for a node with 1 GPU and 1 CPU: 1 node is here, the largest with 0 GPUs and 0 CPUs"
    with pytest.raises(ClusterError, match=rf"{waited}\. Add nodes, .* then run 'python -m search confirm"):
        run_trials(replace(stage, name="confirm"), next_trial, recorder, None, None, lambda: 1)
    assert asked == []


def test_a_node_that_had_no_memory_for_a_worker_is_given_no_trial_for_a_while(cluster, stage, impatient, monkeypatch):
    resting, other = (cluster.add_node(num_cpus=1, num_gpus=1) for _ in range(2))
    room = Capacity(stage.place)
    assert room.count() == 2
    # A slow machine takes longer over this test than a node rests.
    monkeypatch.setattr(capacity, "_REST_SECONDS", math.inf)
    room.rest(resting.node_id)
    assert (room.count(), room.left_out, room.lack) == (1, [resting.node_id], None)
    assert resting.node_id in room.find_addresses(), "what fails there meanwhile is judged as ever"
    monkeypatch.setattr(measuring, "_measure_each", lambda *_: [ray.get_runtime_context().get_node_id()])
    assert {node for _ in range(4) for node in measure_epochs([{}], stage.job, room, 0)} == {other.node_id}
    cluster.remove_node(other)
    told = f"waiting a while for node {resting.node_ip_address} ({resting.node_id[:8]}), where a worker was lost by"
    assert (room.count(), str(room.lack)[: len(told)]) == (0, told)
    monkeypatch.setattr(capacity, "_REST_SECONDS", 0.0)
    room.rest(resting.node_id)
    assert (room.count(), room.lack) == (1, None)
    cluster.remove_node(resting)


def test_ctrl_c_ends_the_wait_for_a_node_as_it_ends_a_run(cluster, stage, impatient, monkeypatch):
    def press(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning.time, "sleep", press)
    room = Capacity(replace(stage.place, wait_seconds=1800))
    assert not wait_for_room(room, math.inf)
    assert not room.is_given_up


def test_the_time_budget_ends_the_wait_for_a_node(cluster, stage, impatient):
    assert not wait_for_room(Capacity(replace(stage.place, wait_seconds=1800)), time.monotonic())


def test_ctrl_c_is_taken_back_from_ray_tune_after_a_run():
    """Ray Tune leaves its own handler behind, which only notes that it was called."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _own_interrupt():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_is_waited_for_is_told_until_a_node_joins(cluster, stage, impatient):
    room = Capacity(replace(stage.place, wait_seconds=1800), demand=Demand(stage.place))
    assert room.lack == (
        "waiting for a node with 1 GPU and 1 CPU: 1 node is here, the largest with 0 GPUs and 0 CPUs; "
        "no autoscaler runs, so add a node or end with Ctrl-C; ends after 30 min (--wait)"
    )
    node = cluster.add_node(num_cpus=1, num_gpus=1)
    assert room.lack is None
    cluster.remove_node(node)


def test_for_how_long_there_was_no_node_is_known(cluster, stage, impatient):
    room = Capacity(stage.place)
    time.sleep(0.01)
    assert room.empty_seconds > 0
    node = cluster.add_node(num_cpus=1, num_gpus=1)
    assert room.empty_seconds == 0
    cluster.remove_node(node)


def read_demand() -> list[dict[str, float]]:
    """What Ray's autoscaler reads."""
    return json.loads(_internal_kv_get("autoscaler_resource_request") or b"[]")


def test_demand_is_no_more_than_is_wished_and_is_released_however_a_run_ends(cluster, make_place, monkeypatch):
    place = make_place(gpus_per_trial=0.5, cpus_per_trial=2, max_concurrent=3)
    with pytest.raises(KeyboardInterrupt), demanding(place, 9) as demand:
        assert read_demand() == [{"CPU": 2.0, "GPU": 0.5}] * 3
        demand.wish(2)
        assert read_demand() == [{"CPU": 2.0, "GPU": 0.5}] * 2
        demand.wish(9)
        assert len(read_demand()) == 3
        raise KeyboardInterrupt
    assert read_demand() == []
    with demanding(make_place(), 9) as demand:
        assert read_demand() == [{"CPU": 1.0}]
        demand.wish(9)
        assert len(read_demand()) == 9
        _internal_kv_put("autoscaler_resource_request", "[]", overwrite=True)
        demand.wish(9)
        assert read_demand() == []
        monkeypatch.setattr(demand_of_trials, "_AGAIN_SECONDS", 0.0)
        demand.wish(9)
        assert len(read_demand()) == 9, "another search has released its own demand meanwhile"
    assert read_demand() == []


def report_as_autoscaler(**report: dict[str, int]) -> None:
    """Say what an autoscaler would, beside a head that it has started."""
    report = {"active_nodes": {"head": 1}, **report}
    _internal_kv_put("__autoscaling_status", json.dumps({"autoscaler_report": report}), overwrite=True)


def test_a_search_on_a_cluster_without_nodes_starts_them_uses_them_and_gives_them_back(
    cluster, dataset_folder, start_preloaded, wait_until, tmp_path
):
    (tmp_path / "small_space.py").write_text(
        "def small(trial):\n"
        "    trial.suggest_float('learning_rate', 1e-3, 1e-2)\n"
        "    return {'backbone': 'tf_efficientnet_lite0', 'weights': 'none', 'decoder_channels': 16}\n"
    )
    arguments = ["launch", "--address", cluster.address, "--data", dataset_folder, "--storage", tmp_path / "searches"]
    arguments += ["--cache", tmp_path / "cache", "--space", "small_space:small", "--name", "from-zero", "--trials", 2]
    arguments += ["--epochs", 1, "--folds", 2, "--max-concurrent", 2, "--confirm", 0, "--wait", "2m"]
    process = start_preloaded(*arguments, PYTHONPATH=str(tmp_path))
    wait_until(lambda: len(read_demand()) == 2 or process.poll() is not None, "the search asks for nodes", 300)
    report_as_autoscaler(pending_launches={"cpu.worker": 1})
    told = "waiting for a node with 1 CPU: 1 node is here, the largest with 0 GPUs and 0 CPUs; the autoscaler is start"
    wait_until(lambda: told in process.printed.read_text() or process.poll() is not None, "it tells what it waits for")
    node = cluster.add_node(num_cpus=2)
    demands = [2]
    while process.poll() is None:
        if (demand := len(read_demand())) != demands[-1]:
            demands.append(demand)
        time.sleep(0.1)
    cluster.remove_node(node)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert out.count(told) == 1 and "there is a node for trials" in out.partition(told)[2]
    assert "2 finished" in out
    # Two trials at a time, then the last alone, unless both ended between two looks.
    assert demands in ([2, 1, 0], [2, 0])


def count_epochs(config: dict, job: object) -> None:
    """In place of a training, whose worker would need long to start: a checkpoint is the number of finished epochs."""
    done = int((Path(config["checkpoints"][0]) / STATE_FILE).read_text()) if config["checkpoints"] else 0
    for epoch in range(done + 1, 4):
        time.sleep(0.2)
        result = {"epoch": epoch, "outcome": "finished" if epoch == 3 else "", "message": "", "metrics": {"iou": 0.5}}
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / STATE_FILE).write_text(str(epoch))
            tune.report(result, checkpoint=tune.Checkpoint.from_directory(folder))


class Stopper:
    """Follows a journal and stops the worker that is the first to report from a node.

    Args:
        node: its name in Ray.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.stopped: int | None = None
        self._nodes: dict[int, str | None] = {}

    def apply(self, event: Event) -> None:
        if isinstance(event, Started):
            self._nodes[event.trial] = event.node
        elif isinstance(event, Epoch) and self._nodes[event.trial] == self.node and self.stopped is None:
            self.stopped = event.trial
            for actor in actors().values():
                if actor["Address"]["NodeID"] == self.node and actor["State"] == "ALIVE":
                    os.kill(actor["Pid"], signal.SIGSTOP)


def test_a_worker_that_stands_still_is_ended_and_a_node_on_which_trial_after_trial_fails_is_left_out(
    cluster, stage, script, make_place, monkeypatch
):
    """Trials 0 to 2 went well on the one node, workers of 3 to 5 died on the other; one more is stopped there."""
    fine, bad = (cluster.add_node(num_cpus=1) for _ in range(2))
    script.write("opened", cache_key="key")
    for trial in range(6):
        values = TrainConfig().values()
        script.write("asked", trial=trial, fold=0, values=values, params={}, drawable=False)
        script.write("started", trial=trial, node=(fine if trial < 3 else bad).node_id)
        if trial < 3:
            script.epochs(trial, 0.5)
        else:
            script.write("restarted", trial=trial, node=bad.node_id)
    settings = replace(stage.settings, trials=6, epochs=3, grace_epochs=3)
    stage = replace(stage, settings=settings, place=make_place(hang_after_seconds=4, max_failures=9))
    stopper = Stopper(bad.node_id)
    before = len(list(read_events(stage.journal.file)))
    monkeypatch.setattr(tuning, "run_trial", count_epochs)
    # Workers cannot import this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    stage.journal.follow(stopper)
    run_search(stage, SimpleNamespace(usual_side=128, cases=()))
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    for node in (fine, bad):
        cluster.remove_node(node)

    history, events = stage.journal.history, list(read_events(stage.journal.file))[before:]
    assert [(trial.outcome, trial.last_epoch) for trial in history.in_order] == 6 * [(Outcome.FINISHED, 3)]
    warnings = [event.message if isinstance(event, Warned) else "" for event in events]
    assert any(each.startswith(f"Trial {stopper.stopped} said nothing for") for each in warnings)
    left_out = f"Trial after trial failed on node {bad.node_ip_address} ({bad.node_id[:8]})"
    (warned,) = [place for place, each in enumerate(warnings) if each.startswith(left_out)]
    assert {event.node for event in events[warned:] if isinstance(event, Started)} == {fine.node_id}
    trained = [event.epoch for event in events if isinstance(event, Epoch) and event.trial == stopper.stopped]
    assert trained in ([1, 2, 3], [1, 1, 2, 3]), "at most the epoch is trained again whose checkpoint was not saved yet"


@pytest.fixture(scope="module")
def two_kinds(cluster) -> None:
    """A node with a small GPU and one with a large one, for the last tests of this file."""
    for kind in ("T4", "H100"):
        cluster.add_node(num_cpus=1, num_gpus=1, resources={f"accelerator_type:{kind}": 1})


def follow(stage: Stage) -> tuple[Asha, Proposer]:
    """All that a search's journal is told to."""
    asha, proposer = (
        build_asha(stage.settings),
        build_proposer(stage.settings, {"smallest_side": 128}, load_space(stage.settings.space)),
    )
    for fold in (asha, proposer):
        stage.journal.follow(fold)
    return asha, proposer


def test_a_trial_that_ran_out_of_memory_is_tried_once_on_each_other_kind_of_gpu(two_kinds, stage):
    assert stage.room.find_accelerators() == {"T4", "H100"}
    assert {accelerator_of(node["NodeID"]) for node in ray.nodes() if node["Alive"]} == {None, "T4", "H100"}
    assert accelerator_of("gone") is None
    folds = follow(stage)
    assert choose_trial(stage, *folds) == 0
    stage.journal.write(Ended(trial=0, outcome=Outcome.OUT_OF_MEMORY, accelerator="T4"))
    assert choose_trial(stage, *folds) == 0
    config = make_assignment(stage, 0)
    assert _request(stage.place, config).bundles == [{"CPU": 1.0, "GPU": 1.0, "accelerator_type:H100": 0.001}]
    stage.journal.write(Ended(trial=0, outcome=Outcome.OUT_OF_MEMORY, accelerator="H100"))
    assert choose_trial(stage, *folds) == 1
    assert _request(stage.place, make_assignment(stage, 1)).bundles == [{"CPU": 1.0, "GPU": 1.0}]
    stage.journal.write(Reopened(trial=1, accelerator="A100"))
    assert make_assignment(stage, 1)["accelerator"] is None, "a kind that has left the cluster is not waited for"


def test_memory_that_ran_out_on_a_gpu_without_a_name_is_not_asked_for_again(two_kinds, stage):
    stage = replace(stage, settings=replace(stage.settings, trials=1))
    folds = follow(stage)
    assert choose_trial(stage, *folds) == 0
    stage.journal.write(Ended(trial=0, outcome=Outcome.OUT_OF_MEMORY))
    assert choose_trial(stage, *folds) is None
