"""Nodes that join and leave, on a real Ray cluster of this machine with pretended GPUs."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.tune.search import Searcher

from search.folder import StageFolder
from search.judge.asha import Asha
from search.judge.progress import build_asha
from search.memory.events import Ended
from search.memory.outcome import Outcome
from search.propose.proposer import Proposer
from search.run import capacity
from search.run.capacity import Capacity, accelerator_of, find_accelerators
from search.run.loop import build_proposer, choose_trial
from search.run.queue import TrialQueue
from search.run.recorder import Recorder
from search.run.retries import Retries
from search.run.stage import Stage
from search.run.trial import TrialJob
from search.run.tuning import _request, ray_config, run_trials
from segcore.data.dividing.split import FoldSplit
from segcore.errors import ClusterError


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that holds no trial; tests add nodes and take them away."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0})
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
    settings, place = make_settings(space="demo", trials=3), make_place(gpus_per_trial=1)
    return Stage(settings=settings, place=place, folder=folder, journal=script.journal, job=job)


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Nodes are counted each time, and missed after a second."""
    monkeypatch.setattr(capacity, "_COUNT_SECONDS", 0.0)
    monkeypatch.setattr(capacity, "_EMPTY_SECONDS", 1.0)


def test_trials_are_handed_out_as_nodes_join_and_held_back_as_they_leave(cluster, stage, impatient):
    room = Capacity(stage.place)
    trials = iter({"trial": number} for number in range(9))
    queue = TrialQueue(lambda: next(trials), room.count)
    assert queue.suggest("a") is None
    first = cluster.add_node(num_cpus=4, num_gpus=1)
    assert queue.suggest("b") == {"trial": 0}
    assert queue.suggest("c") is None
    second = cluster.add_node(num_cpus=4, num_gpus=2)
    assert [queue.suggest(name) for name in "def"] == [{"trial": 1}, {"trial": 2}, None]
    for node in (first, second):
        cluster.remove_node(node)
    queue.on_trial_complete("b")
    assert queue.suggest("g") is None


def test_a_queue_whose_trials_wait_for_nodes_is_not_finished(cluster, stage, impatient):
    queue = TrialQueue(lambda: None, Capacity(stage.place).count)
    assert queue.suggest("a") is None
    assert TrialQueue(lambda: None, lambda: 1).suggest("a") == Searcher.FINISHED


def test_a_run_for_which_there_is_no_node_ends_with_what_to_do(cluster, stage, impatient):
    asked = []

    def next_trial() -> dict:
        asked.append(0)
        return {}

    recorder = Recorder(stage.journal, stage.folder, None, Retries(stage.journal, 0, dict))
    with pytest.raises(ClusterError, match=r"No node could hold a trial for \d+ s; add nodes, then run 'python -m"):
        run_trials(stage, next_trial, recorder, None, None)
    assert asked == []


def test_for_how_long_there_was_no_node_is_known(cluster, stage, impatient):
    room = Capacity(stage.place)
    time.sleep(0.01)
    assert room.empty_seconds > 0
    node = cluster.add_node(num_cpus=1, num_gpus=1)
    assert room.empty_seconds == 0
    cluster.remove_node(node)


@pytest.fixture
def two_kinds(cluster) -> Iterator[None]:
    """A node with a small GPU and one with a large one."""
    nodes = [
        cluster.add_node(num_cpus=1, num_gpus=1, resources={f"accelerator_type:{kind}": 1}) for kind in ("T4", "H100")
    ]
    yield
    for node in nodes:
        cluster.remove_node(node)


def follow(stage: Stage) -> tuple[Asha, Proposer]:
    """All that a search's journal is told to."""
    asha, proposer = build_asha(stage.settings), build_proposer(stage.settings, {"smallest_side": 128})
    for fold in (asha, proposer):
        stage.journal.follow(fold)
    return asha, proposer


def test_a_trial_that_ran_out_of_memory_is_tried_once_on_each_other_kind_of_gpu(two_kinds, stage):
    assert find_accelerators() == {"T4", "H100"}
    assert {accelerator_of(node["NodeID"]) for node in ray.nodes() if node["Alive"]} == {None, "T4", "H100"}
    assert accelerator_of("gone") is None
    folds = follow(stage)
    assert choose_trial(stage, *folds) == 0
    stage.journal.write(Ended(trial=0, outcome=Outcome.OUT_OF_MEMORY, accelerator="T4"))
    assert choose_trial(stage, *folds) == 0
    config = ray_config(stage, 0)
    assert _request(stage.place, config).bundles == [{"CPU": 1.0, "GPU": 1.0, "accelerator_type:H100": 0.001}]
    stage.journal.write(Ended(trial=0, outcome=Outcome.OUT_OF_MEMORY, accelerator="H100"))
    assert choose_trial(stage, *folds) == 1
    assert _request(stage.place, ray_config(stage, 1)).bundles == [{"CPU": 1.0, "GPU": 1.0}]


def test_memory_that_ran_out_on_a_gpu_without_a_name_is_not_asked_for_again(two_kinds, stage):
    stage = replace(stage, settings=replace(stage.settings, trials=1))
    folds = follow(stage)
    assert choose_trial(stage, *folds) == 0
    stage.journal.write(Ended(trial=0, outcome=Outcome.OUT_OF_MEMORY))
    assert choose_trial(stage, *folds) is None
