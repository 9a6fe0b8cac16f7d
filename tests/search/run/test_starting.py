import subprocess
from collections.abc import Iterator
from functools import partial

import pytest
from ray._private import services

from search.run.starting import starting_patiently, wait_for_node


class _Head:
    """Knows a node after some questions."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def get_node(self, address: str, node: str) -> dict[str, str]:
        self.left -= 1
        if self.left >= 0:
            raise RuntimeError("not known yet")
        return {"address": address, "node": node}


@pytest.fixture
def living() -> Iterator[list[subprocess.Popen[bytes]]]:
    """A process of Ray."""
    process = subprocess.Popen(["sleep", "600"])
    yield [process]
    process.kill()
    process.wait()


def test_a_node_is_asked_for_until_it_is_known(living):
    head = _Head(3)
    assert wait_for_node(head.get_node, living, 600, "127.0.0.1:1", "a") == {"address": "127.0.0.1:1", "node": "a"}
    assert head.left == -1


def test_a_node_that_never_comes_is_told_as_ray_tells_it(living):
    with pytest.raises(RuntimeError, match="not known yet"):
        wait_for_node(_Head(1_000_000).get_node, living, 0.0, "127.0.0.1:1", "a")


def test_nobody_waits_for_a_node_of_which_a_process_has_ended_or_that_none_starts(living):
    ended = subprocess.Popen(["true"])
    ended.wait()
    for processes in ([*living, ended], []):
        with pytest.raises(RuntimeError, match="not known yet"):
            wait_for_node(_Head(1_000_000).get_node, processes, 600, "127.0.0.1:1", "a")


def test_a_node_is_waited_for_whatever_becomes_of_processes_that_are_not_looked_at():
    head = _Head(3)
    assert wait_for_node(head.get_node, None, 600, "127.0.0.1:1", "a") == {"address": "127.0.0.1:1", "node": "a"}


def test_ray_is_patient_while_it_starts_alone():
    usual = services.get_node
    with starting_patiently([]):
        assert isinstance(services.get_node, partial)
    assert services.get_node is usual
