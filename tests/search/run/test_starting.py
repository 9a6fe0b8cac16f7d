import inspect
import socket
import subprocess
from collections.abc import Iterator
from functools import partial

import pytest
from ray._private import services

from search.run.starting import find_free_port, start_unwaited, starting_patiently, wait_for_node


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
    usual = services.get_node, services.start_raylet
    with starting_patiently([]):
        assert isinstance(services.get_node, partial)
        assert isinstance(services.start_raylet, partial)
    assert (services.get_node, services.start_raylet) == usual


def test_a_raylet_of_ones_own_waits_for_no_agent(tmp_path):
    begun: list[tuple[str, str, int]] = []

    def start(node_id: str, session_dir: str, runtime_env_agent_port: int = 0) -> None:
        begun.append((node_id, session_dir, runtime_env_agent_port))

    node = "ab" * 28
    start_unwaited(start, node, session_dir=str(tmp_path), runtime_env_agent_port=0)
    assert begun[0][:2] == (node, str(tmp_path))
    assert begun[0][2] > 0
    services_told = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert services_told == {
        f"metrics_agent_port_{node}": "-1",
        f"metrics_export_port_{node}": "-1",
        f"dashboard_agent_listen_port_{node}": "-1",
    }


def test_ray_itself_names_what_a_raylet_is_told_so():
    known = inspect.signature(services.start_raylet).parameters
    assert {"node_id", "session_dir", "runtime_env_agent_port"} <= known.keys()


def test_a_raylet_of_a_cluster_offers_what_it_always_offers():
    usual = services.start_raylet
    with starting_patiently(None):
        assert services.start_raylet is usual


def test_a_free_port_can_be_taken():
    with socket.socket() as one:
        one.bind(("", find_free_port()))
