"""What is found wrong with nodes, from answers written by hand; one node is sound, and each case spoils one thing."""

from dataclasses import replace
from typing import Any

import pytest

from search.run.findings import Finding, find_all
from search.run.health import Answer, NodeHealth
from search.run.probe import Gpu, Probe

VERSIONS = {"Python": "3.11.7", "Ray": "2.60.0", "torch": "2.14.0"}
PROBE = Probe(
    host="gpu-1", versions=VERSIONS, gpus=(Gpu(name="A10G", memory_gib=22.0),), memory_gib=32.0,
    free_disk_gib=100.0, shared_memory_gib=8.0, clock_seconds=0.0,
)  # fmt: skip
ANSWER = Answer(
    probe=PROBE, code="c0de", temp_free_gib=50.0, temp_used_share=0.5, has_token=True, open_token="", images=96,
    data_problem="", weights_problem="", shut=(), mlflow_shut="",
)  # fmt: skip
NODE = NodeHealth(name="node 10.0.0.1 (1a2b3c4d)", gpus=1.0, cpus=8.0, answer=ANSWER)


def find(*nodes: NodeHealth, pretended: bool = False, shared: bool = False) -> list[Finding]:
    return find_all(nodes, VERSIONS, "c0de", pretended, shared)


def test_nothing_is_found_on_a_sound_node():
    assert find(NODE) == []


@pytest.mark.parametrize(
    ("level", "probe", "answer", "told"),
    [
        ("fault", {"versions": {**VERSIONS, "Ray": "2.50.0"}}, {}, "Ray 2.50.0 there and 2.60.0 here: install"),
        ("fault", {"gpus": ()}, {}, "Ray counts 1 GPU and torch sees 0: mend its driver, "),
        ("fault", {"storage_problem": "/s is another folder there"}, {}, "/s is another folder there: mount one"),
        ("fault", {}, {"code": "0ld"}, "code 0ld there and c0de here: send this project's code to it again."),
        ("fault", {}, {"data_problem": "/d is no data set."}, "the data cannot be read there: /d is no data set."),
        ("fault", {}, {"shut": ("node b at b:7", "node c at c:7")}, "does not reach node b at b:7, node c at c:7"),
        ("fault", {}, {"temp_used_share": 0.96, "temp_free_gib": 2.0}, "the disk of /tmp is 96% full, on which"),
        ("warning", {}, {"temp_free_gib": 4.9}, "4.9 GiB free in /tmp for Ray's files, less than 5: make room."),
        ("warning", {"free_disk_gib": 9.0}, {}, "9.0 GiB free for decoded images, less than 10: give another"),
        ("warning", {"shared_memory_gib": 0.0625}, {}, "/dev/shm has 0.06 GiB, less than 1: start the container with"),
        ("warning", {"memory_gib": 3.5}, {}, "3.5 GiB of memory: a training takes 2 to 4; use a larger machine."),
        ("warning", {}, {"weights_problem": "No hub. Use none."}, "No hub. Use none."),
        ("warning", {}, {"mlflow_shut": "MLflow at m:5000"}, "not reach MLflow at m:5000, as a driver must: launch"),
        ("warning", {}, {"has_token": False}, "Ray asks for no token, so whoever reaches it runs code there: start it"),
        ("warning", {}, {"open_token": "/h/.ray/auth_token"}, "may read Ray's token: chmod 600 /h/.ray/auth_token."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_node_and_what_to_do(
    level: str, probe: dict[str, Any], answer: dict[str, Any], told: str
):
    spoilt = replace(NODE, answer=replace(ANSWER, probe=replace(PROBE, **probe), **answer))
    (found,) = find(spoilt)
    assert (found.level, found.where) == (level, NODE.name)
    assert told in found.told
    assert found.told.endswith(".")
    assert not found.told.endswith("..")


@pytest.mark.parametrize(("seconds", "told"), [(7.4, "is 7 s ahead of this"), (-61.0, "is 61 s behind this")])
def test_a_clock_that_is_wrong_is_told(seconds, told):
    (found,) = find(replace(NODE, skew_seconds=seconds))
    assert (found.level, told in found.told) == ("warning", True)


def test_a_clock_that_is_nearly_right_is_no_matter():
    assert find(replace(NODE, skew_seconds=4.0)) == []


def test_a_node_that_does_not_answer_is_a_fault_and_nothing_else_is_said_of_it():
    (found,) = find(replace(NODE, answer=None, problem="does not answer within 120 s: look at 'ray status'"))
    assert (found.level, found.told) == ("fault", "does not answer within 120 s: look at 'ray status'.")


def test_pretended_gpus_are_taken_on_rays_word():
    blind = replace(NODE, answer=replace(ANSWER, probe=replace(PROBE, gpus=())))
    assert find(blind, pretended=True) == []


def test_trials_that_share_a_gpu_are_advised_to_run_side_by_side():
    (found,) = find(NODE, shared=True)
    assert (found.level, found.where) == ("warning", NODE.name)
    assert found.told.endswith("'nvidia-cuda-mps-control -d' before Ray starts.")


@pytest.mark.parametrize("probe", [{"has_mps": True}, {"gpus": ()}])
def test_no_advice_where_mps_runs_or_a_node_has_no_gpu(probe):
    node = replace(NODE, gpus=0.0, answer=replace(ANSWER, probe=replace(PROBE, **probe)))
    assert find(node, shared=True) == []


def test_no_advice_on_pretended_gpus():
    assert find(NODE, pretended=True, shared=True) == []


def test_the_node_whose_data_differs_from_most_is_named():
    odd = replace(NODE, name="node 10.0.0.3 (odd)", answer=replace(ANSWER, images=95))
    (found,) = find(NODE, replace(NODE, name="node 10.0.0.2 (same)"), odd)
    assert (found.level, found.where) == ("fault", odd.name)
    assert found.told == "the data has 95 labelled images there and 96 elsewhere: give every node the same."


def test_faults_come_first():
    both = replace(NODE, answer=replace(ANSWER, has_token=False, code="0ld"))
    assert [found.level for found in find(both)] == ["fault", "warning"]
