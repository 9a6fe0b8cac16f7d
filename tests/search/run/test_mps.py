"""Whether MPS runs, from a folder of pipes and one of processes as NVIDIA's daemon and the kernel make them."""

import os
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
def pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the daemon's pipes, which the environment names."""
    folder = tmp_path / "pipes"
    folder.mkdir()
    os.mkfifo(folder / "control")
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(folder))
    return folder


def test_mps_runs_where_its_pipe_is_and_its_daemon_lives(processes):
    assert runs_mps(processes)


def test_what_a_killed_daemon_left_does_not_run(processes):
    (processes / "4711" / "comm").write_text("python\n")
    assert not runs_mps(processes)


def test_a_daemon_whose_pipe_is_elsewhere_is_not_found(processes, pipes, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(pipes.parent / "elsewhere"))
    assert not runs_mps(processes)


def test_a_plain_file_is_no_pipe(processes, pipes):
    (pipes / "control").unlink()
    (pipes / "control").touch()
    assert not runs_mps(processes)
