"""`search doctor`, once on a local Ray."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from search.__main__ import main
from search.run import cluster, health
from search.run.health import NodeHealth


@pytest.fixture(scope="module")
def looked(
    run_cli: Callable, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    root = tmp_path_factory.mktemp("doctor")
    folders = ("--storage", root / "searches", "--cache", root / "cache")
    return root, run_cli("doctor", "--data", dataset_folder, *folders)


def test_a_sound_machine_is_shown_and_ends_with_0(looked):
    _, done = looked
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fault:" not in done.stdout
    assert "Looked at 1 node: no fault." in done.stdout
    assert "127.0.0.1" in done.stdout


def test_nothing_is_left_behind(looked):
    root, _ = looked
    assert [*(root / "searches").iterdir()] == []
    assert not (root / "cache").exists()


def test_a_cluster_that_cannot_be_looked_at_ends_with_2(run_cli, find_free_port, tmp_path):
    done = run_cli("doctor", "--address", f"127.0.0.1:{find_free_port()}", "--storage", tmp_path)
    assert done.returncode == 2
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_is_told_with_what_to_do_and_ends_with_1(monkeypatch, capsys, tmp_path):
    """Of a node that does not answer; the cluster is pretended."""
    silent = NodeHealth(name="node 10.0.0.2 (1a2b3c4d)", gpus=1.0, cpus=8.0, answer=None, problem="is silent: start it")
    monkeypatch.setattr(cluster, "attached", lambda place: nullcontext())
    monkeypatch.setattr(health, "examine_nodes", lambda place, data: [silent])
    monkeypatch.setattr(sys, "argv", ["search", "doctor", "--storage", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 1
    assert "fault: node 10.0.0.2 (1a2b3c4d): is silent: start it." in told.out
    assert "Faults: 1. A search would fail, or do without these nodes." in told.err


def test_what_is_told_of_several_nodes_is_told_once(monkeypatch, capsys, tmp_path):
    silent = [
        NodeHealth(name=name, gpus=0.0, cpus=8.0, answer=None, problem=problem)
        for name, problem in (
            ("node a", "is silent: start it"),
            ("node b", "is odd"),
            ("node c", "is silent: start it"),
        )
    ]
    monkeypatch.setattr(cluster, "attached", lambda place: nullcontext())
    monkeypatch.setattr(health, "examine_nodes", lambda place, data: silent)
    monkeypatch.setattr(sys, "argv", ["search", "doctor", "--storage", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr()
    assert [line for line in told.out.splitlines() if line.startswith("fault: ")] == [
        "fault: node a, node c: is silent: start it.",
        "fault: node b: is odd.",
    ]
    assert "Faults: 3." in told.err
