"""Whether MPS runs, from a socket and a folder of processes as NVIDIA's daemon and the kernel make them."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.run.mps import runs_mps


@pytest.fixture
def processes(tmp_path: Path) -> Path:
    """Of a machine on which the daemon lives, beside another process and one that has just ended."""
    for number, name in {"1": "systemd", "4711": "nvidia-cuda-mps"}.items():
        folder = tmp_path / "proc" / number
        folder.mkdir(parents=True)
        (folder / "comm").write_text(f"{name}\n")
    (tmp_path / "proc" / "99").mkdir()
    (tmp_path / "proc" / "self").mkdir()
    return tmp_path / "proc"


@pytest.fixture(autouse=True)
def pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of the daemon's socket, which the environment names."""
    folder = tmp_path / "pipes"
    folder.mkdir()
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(folder))
    with socket.socket(socket.AF_UNIX) as control:
        # A socket's address holds a hundred letters, which a test's folder may exceed.
        monkeypatch.chdir(folder)
        control.bind("control")
        yield folder


def test_mps_runs_where_its_socket_is_and_its_daemon_lives(processes):
    assert runs_mps(processes)


def test_what_a_killed_daemon_left_does_not_run(processes):
    (processes / "4711" / "comm").write_text("python\n")
    assert not runs_mps(processes)


def test_a_daemon_whose_socket_is_elsewhere_is_not_found(processes, pipes, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(pipes.parent / "elsewhere"))
    assert not runs_mps(processes)


@pytest.mark.parametrize("make", [Path.touch, os.mkfifo])
def test_what_is_no_socket_is_nobodys(processes: Path, pipes: Path, make: Callable[[Path], None]):
    (pipes / "control").unlink()
    make(pipes / "control")
    assert not runs_mps(processes)
