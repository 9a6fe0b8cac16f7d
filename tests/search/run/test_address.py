"""Which cluster an address means, and that a dead one is told at once."""

import socket
from collections.abc import Iterator

import pytest
from ray._private import services

from search.run.address import find_address
from segcore.errors import ClusterError


@pytest.fixture
def alive() -> Iterator[str]:
    """Address of something that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def dead(find_free_port) -> str:
    """Address where nothing answers."""
    return f"127.0.0.1:{find_free_port()}"


@pytest.fixture
def machine(monkeypatch):
    """Return a function that says which Ray `ray start` wrote down, and which run, on this machine."""

    def say(started: str | None, *running: str) -> None:
        monkeypatch.setattr(services, "find_bootstrap_address", lambda _: started)
        monkeypatch.setattr(services, "find_gcs_addresses", lambda: set(running))

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    say(None)
    return say


def test_a_ray_of_ones_own_needs_no_address_whatever_the_environment_names(monkeypatch, dead):
    monkeypatch.setenv("RAY_ADDRESS", dead)
    assert find_address("") == ""


def test_address_that_answers_is_taken(alive):
    assert find_address(alive) == alive


@pytest.mark.parametrize(
    "address", ["garbage", "local", "http://127.0.0.1:8265", "ray://127.0.0.1:10001", "u:PW@127.0.0.1:6379"]
)
def test_address_that_is_no_heads_is_refused_with_what_to_give(address):
    with pytest.raises(ClusterError, match=rf"--address {address} is no address of a head; give its HOST:PORT"):
        find_address(address)


def test_auto_means_what_the_environment_names(machine, monkeypatch, alive, dead):
    machine(dead)
    monkeypatch.setenv("RAY_ADDRESS", alive)
    assert find_address("auto") == alive
    monkeypatch.setenv("RAY_ADDRESS", dead)
    with pytest.raises(ClusterError, match=rf"--address auto means RAY_ADDRESS={dead}, which does not answer"):
        find_address("auto")
    monkeypatch.setenv("RAY_ADDRESS", "garbage")
    with pytest.raises(ClusterError, match="RAY_ADDRESS=garbage, which is no address of a head"):
        find_address("auto")


@pytest.mark.parametrize("named", ["", "auto"])
def test_auto_means_the_ray_that_was_started_last_and_no_searchs_own(machine, monkeypatch, alive, dead, named):
    monkeypatch.setenv("RAY_ADDRESS", named)
    machine(alive, dead)
    assert find_address("auto") == alive
    machine(dead, alive)
    with pytest.raises(ClusterError, match=f"means {dead}, where Ray was started last, which does not answer"):
        find_address("auto")


def test_auto_finds_a_ray_that_was_started_in_another_folder(machine, alive, dead):
    machine(None, dead, alive)
    assert find_address("auto") == alive


def test_auto_without_any_ray_says_so_at_once(machine, dead):
    for running in ((), (dead,)):
        machine(None, *running)
        with pytest.raises(ClusterError, match="no Ray was started on this machine by 'ray start'"):
            find_address("auto")
