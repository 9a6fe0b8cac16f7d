"""Nodes looked at before they are given trials, on a real Ray cluster of this machine."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version

import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from search.run import capacity, health
from search.run.capacity import Capacity
from search.run.cluster import prepare_nodes, require_usable
from search.run.findings import find_all
from search.run.health import digest_code, examine_nodes
from search.run.node_check import Check
from search.run.nodes import Nodes, advise_mps, looking_at_nodes
from search.run.probe import PRETENDED, Gpu, Meeting, find_versions, probe_machine
from search.run.starting import starting_patiently
from segcore.data.dataset import read_dataset
from segcore.errors import ClusterError, StoreAwayError
from tests.nursery import spare_rays

PYTHON = sys.executable


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that holds no trial, and a node whose GPU only Ray believes in."""
    # Nodes of this machine start as slowly as it is busy.
    with pytest.MonkeyPatch.context() as patch, starting_patiently(None):
        spare_rays(patch)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, "no_monitor": True})
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.add_node(num_cpus=2, num_gpus=1)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def look(make_place, dataset_folder, tmp_path, monkeypatch) -> Iterator[Callable[..., tuple[Capacity, Nodes]]]:
    """Return a function that prepares this machine and the nodes for a place with the given changes."""
    monkeypatch.setattr(capacity, "_COUNT_SECONDS", 0.0)
    opened = []

    def begin(**changes: object) -> tuple[Capacity, Nodes]:
        place = make_place(data=dataset_folder, cache=tmp_path / "cache", **changes)
        opened.append(looking_at_nodes(place))
        nodes = opened[-1].__enter__()
        room = Capacity(place, nodes)
        prepare_nodes(read_dataset(dataset_folder), room, lambda done, total: None)
        require_usable(room)
        return room, nodes

    yield begin
    for each in opened:
        each.__exit__(None, None, None)
    assert [*(tmp_path / "searches").iterdir()] == [], "what was left to show that the storage is shared"


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU on this machine")
def test_a_gpu_that_torch_does_not_see_is_refused_with_its_node(cluster, look):
    told = r"No node can be given a trial:\n  - node [\d.]+ \(\w{8}\): Ray counts 1 GPU and torch sees 0: mend its"
    with pytest.raises(ClusterError, match=told):
        look(gpus_per_trial=1)


def test_a_doctor_sees_every_node_and_the_gpu_that_torch_does_not_see(
    cluster, make_place, dataset_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(health, "_ANSWER_SECONDS", 3600.0)
    place = make_place(data=dataset_folder, cache=tmp_path / "cache")
    head, worker = sorted(examine_nodes(place, place.data), key=lambda node: node.gpus)
    assert ((head.cpus, head.gpus), (worker.cpus, worker.gpus)) == ((0.0, 0.0), (2.0, 1.0))
    for node in (head, worker):
        assert (node.problem, node.answer.shut, node.answer.images) == ("", (), 12)
        assert abs(node.skew_seconds) < 1.0, "one clock"
    faults = [each for each in find_all((head, worker), find_versions(), digest_code(), False) if each.level == "fault"]
    if not torch.cuda.is_available():
        (blind,) = faults
        assert blind.where == worker.name
        assert "Ray counts 1 GPU and torch sees 0" in blind.told
    assert [*place.storage.iterdir()] == []


def test_late_nodes_are_used_when_they_are_ready_and_bad_ones_left_out(cluster, look, tmp_path, monkeypatch):
    older = tmp_path / "older" / "torch-1.0.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    broken = tmp_path / "broken" / "segmentation_models_pytorch.py"
    broken.parent.mkdir()
    broken.write_text("raise ImportError('libfoo.so: cannot open shared object file')")
    monkeypatch.setenv(PRETENDED, "1")
    room, nodes = look(gpus_per_trial=1)
    assert (room.count(), nodes.left_out) == (1, {})
    late = cluster.add_node(num_cpus=2, num_gpus=1)
    bad = cluster.add_node(num_cpus=2, num_gpus=1, env_vars={"PYTHONPATH": str(older.parent)})
    # Forks would have the library already.
    monkeypatch.setattr(sys, "executable", PYTHON)
    lacking = cluster.add_node(num_cpus=2, num_gpus=1, env_vars={"PYTHONPATH": str(broken.parent)})
    assert room.count() == 1, "nobody waits for those that are not ready"
    assert nodes.describe_busy().endswith(" to prepare their caches")
    assert room.left_out == sorted([late.node_id, bad.node_id, lacking.node_id]), "Ray would give them trials at once"
    while nodes.is_busy:
        room.find_usable(wait_seconds=1)
    assert room.count() == 2
    assert sorted(nodes.left_out) == room.left_out == sorted([bad.node_id, lacking.node_id])
    assert f"torch 1.0 there and {version('torch')} here: install" in nodes.left_out[bad.node_id]
    told = (
        "cannot be imported there (ImportError: libfoo.so: cannot open shared object file): install what requirements"
    )
    assert told in nodes.left_out[lacking.node_id]
    assert [each.endswith("; it is given no trial.") for each in nodes.pop_warnings()] == [True, True]
    assert nodes.pop_warnings() == []
    for node in (late, bad, lacking):
        cluster.remove_node(node)


def test_a_node_whose_storage_does_not_answer_is_left_out_and_the_search_goes_on(cluster, look, monkeypatch):
    def has_answered(meeting, name):
        raise StoreAwayError("s3://bucket/searches cannot be read (timed out)")

    monkeypatch.setenv(PRETENDED, "1")
    _, nodes = look(gpus_per_trial=1)
    monkeypatch.setattr(Meeting, "has_answered", has_answered)
    monkeypatch.setattr(nodes, "_look_there", lambda node: ray.put(Check(cache_key="any")))
    assert nodes.find_usable([{"NodeID": "late", "NodeManagerAddress": "10.0.0.9"}], wait_seconds=60) == []
    assert "cannot be looked for (s3://bucket/searches cannot be read" in nodes.left_out["late"]


def test_a_node_of_which_nothing_is_seen_is_left_out_in_time_and_one_that_decodes_is_waited_for(
    cluster, look, monkeypatch
):
    monkeypatch.setenv(PRETENDED, "1")
    room, nodes = look(gpus_per_trial=1)
    monkeypatch.setattr(nodes, "_look_there", lambda node: ray.remote(num_cpus=0)(lambda: time.sleep(600)).remote())
    late = [{"NodeID": name, "NodeManagerAddress": "10.0.0.9"} for name in ("silent", "slow")]
    nodes._meeting.answer("slow")
    nodes.find_usable(late)
    assert nodes.left_out == {}
    monkeypatch.setattr("search.run.nodes._SILENT_SECONDS", 0.0)
    nodes.find_usable(late)
    assert nodes.left_out.keys() == {"silent"}
    assert "nothing is seen of it for 0 min: see its machine" in nodes.left_out["silent"]
    assert nodes.describe_busy() == "node 10.0.0.9 (slow) to prepare its cache"
    assert room.count() == 1
    for task in nodes._running:
        ray.cancel(task, force=True)


def test_nodes_may_be_asked_for_while_another_is_added(cluster, look, monkeypatch):
    """Whoever shows a search asks for its nodes, too, in a thread of its own."""
    monkeypatch.setenv(PRETENDED, "1")
    _, nodes = look(gpus_per_trial=1)
    find_problem = nodes._find_problem

    def add_one(check):
        nodes._checked[f"late-{len(nodes._checked)}"] = ({"NodeID": "late", "NodeManagerAddress": "here"}, Check())
        return find_problem(check)

    monkeypatch.setattr(nodes, "_find_problem", add_one)
    assert nodes.left_out == {}


def test_nodes_whose_trials_take_turns_on_a_gpu_are_named_in_one_sentence(tmp_path):
    here = probe_machine(tmp_path)
    without = replace(here, gpus=(Gpu(name="A10G", memory_gib=22.0),), has_mps=False)
    checks = {
        "11111111": Check(probe=without),
        "22222222": Check(probe=replace(without, has_mps=True)),
        "33333333": Check(probe=replace(without, gpus=())),
        "44444444": Check(probe=without),
        "55555555": Check(probe=without, problem="left out for another reason"),
        "66666666": Check(problem="cannot be asked"),
    }
    looked = [({"NodeManagerAddress": "10.0.0.1", "NodeID": name}, check) for name, check in checks.items()]
    (told,) = advise_mps(looked)
    assert told.startswith("Node 10.0.0.1 (11111111), node 10.0.0.1 (44444444): trials that share a GPU take turns")
    assert "'nvidia-cuda-mps-control -d'" in told
    assert [*advise_mps(looked[1:3])] == []
