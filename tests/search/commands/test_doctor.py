"""`search doctor`, once on a local Ray."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def looked(
    run_cli: Callable, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    root = tmp_path_factory.mktemp("doctor")
    folders = ("--storage", root / "searches", "--cache", root / "cache")
    return root, run_cli("doctor", "--data", dataset_folder, *folders, COLUMNS="200")


def test_a_sound_machine_is_shown_and_ends_with_0(looked):
    _, done = looked
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fault:" not in done.stdout
    assert "Looked at 1 node: no fault." in done.stdout
    assert "node 127.0.0.1" in done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["node"] and "GiB" in line]
    assert row[-1] == "12", "images"


def test_nothing_is_left_behind(looked):
    root, _ = looked
    assert [file.name for file in (root / "searches").iterdir() if file.name.startswith(".probe")] == []


def test_a_cluster_that_cannot_be_looked_at_ends_with_2(run_cli, find_free_port, tmp_path):
    done = run_cli("doctor", "--address", f"127.0.0.1:{find_free_port()}", "--storage", tmp_path)
    assert done.returncode == 2
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_ends_with_1(run_cli, tmp_path):
    """A folder without data, on a local Ray."""
    (tmp_path / "data").mkdir()
    done = run_cli("doctor", "--data", tmp_path / "data", "--storage", tmp_path / "searches")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the data cannot be read there" in " ".join(done.stdout.split())
    assert "Faults: 1." in done.stderr
