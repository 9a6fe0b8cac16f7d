"""`deploy/sky.yaml`, checked without SkyPilot: the keys of its tasks that are used, and the script of its machines.

SkyPilot's own schema and parser take the file as it is (0.14.1); they are not among the requirements.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

STUBS = {
    "ray": (
        'echo "$@" >> "$TOLD/ray"; if [ "$1" = start ]; then'
        ' trap "echo ended >> $TOLD/ray; exit 0" TERM; touch "$TOLD/up"; while :; do sleep 0.05; done; fi;'
        ' if [ "$SKYPILOT_NODE_RANK" = 0 ]; then test -e "$TOLD/up"; exit; fi;'
        ' n=$(cat "$TOLD/checks" 2> /dev/null || echo 0); echo $((n + 1)) > "$TOLD/checks";'
        ' [ "$n" -lt "$HEALTHY" ] || [ ! -e "$TOLD/up" ]'
    ),
    "python": (
        'printf "%s\\n" "$@" > "$TOLD/driver"; [ "$DRIVER" = finishes ] && exit 0; [ "$DRIVER" = fails ] && exit 3;'
        ' trap "exit 2" TERM; echo trains; while :; do sleep 0.05; done'
    ),
    "sleep": "/bin/sleep 0.05",
}


@pytest.fixture
def task(root: Path) -> dict:
    return yaml.safe_load((root / "deploy" / "sky.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def run(task: dict, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that runs the task's script as the machine of a rank."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    programs, told = tmp_path / "venv" / "bin", tmp_path / "told"
    programs.mkdir(parents=True)
    told.mkdir()
    for name, body in STUBS.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (programs / name).chmod(0o755)

    def start(rank: int, driver: str = "finishes", healthy: int = 10**6) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "HOME": str(tmp_path), "TOLD": str(told), "DRIVER": driver, "HEALTHY": str(healthy),
            "SKYPILOT_NODE_RANK": str(rank), "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
            "SKYPILOT_NUM_GPUS_PER_NODE": "1",
            "STORAGE": "/shared/searches", "DATA": "/shared/data", "NAME": task["envs"]["NAME"],
        }  # fmt: skip
        return subprocess.Popen(["bash", "-c", task["run"]], env=environment, stdout=subprocess.PIPE, text=True)

    return start


def ray_calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "told" / "ray").read_text().splitlines()


def test_task_has_only_keys_that_skypilot_reads(task):
    assert set(task) == {"name", "workdir", "num_nodes", "resources", "envs", "secrets", "setup", "run"}
    assert set(task["resources"]) == {"accelerators", "cpus", "memory", "disk_size", "use_spot"}
    assert all(re.fullmatch(r"\w+:\d+", name) for name in task["resources"]["accelerators"])
    assert task["secrets"] == {"RAY_AUTH_TOKEN": None}, "given when it is launched, never in the file"


def test_versions_are_the_projects(task, pins, root):
    assert f'"ray[default]=={pins["ray"]}"' in task["setup"]
    assert "-r requirements.txt" in task["setup"]
    cluster = (root / "cluster.yaml").read_text(encoding="utf-8")
    assert f"astral.sh/uv/{task['envs']['UV']}/install.sh" in cluster, "one version of uv in all files"


def test_first_machine_runs_the_driver_and_ends_its_own_ray(run, tmp_path, understand):
    assert run(rank=0).wait(60) == 0
    told = (tmp_path / "told" / "driver").read_text().split()
    options = understand(" ".join(["python", *told]))
    assert options["address"] == "10.0.0.1:6379", "SkyPilot's own Ray may be what `auto` finds"
    assert options["or_resume"] is True
    calls = ray_calls(tmp_path)
    (start,) = (understand(f"ray {call}") for call in calls if call.startswith("start"))
    assert (start["head"], start["port"], start["num_gpus"]) == (True, 6379, 1)
    assert start["dashboard_agent_listen_port"] == 52366, "SkyPilot's agents have 52365"
    assert calls[-1] == "ended"
    assert not any(call.split()[0] == "stop" for call in calls), "that would end SkyPilot's Ray, too"


@pytest.mark.parametrize(("driver", "code"), [("fails", 3), ("trains", 2)])
def test_exit_code_is_the_searchs_also_when_it_is_told_to_end(run, tmp_path, driver, code):
    script = run(rank=0, driver=driver)
    if driver == "trains":
        assert script.stdout.readline() == "trains\n"
        os.kill(script.pid, signal.SIGTERM)
    assert script.wait(60) == code
    assert ray_calls(tmp_path)[-1] == "ended"


def test_other_machines_join_and_are_done_when_the_head_is_gone(run, tmp_path, understand):
    assert run(rank=1, healthy=3).wait(60) == 0
    calls = ray_calls(tmp_path)
    (start,) = (understand(f"ray {call}") for call in calls if call.startswith("start"))
    assert (start["address"], start["head"], start["block"]) == ("10.0.0.1:6379", False, True)
    assert not (tmp_path / "told" / "driver").exists()
    checks = [understand(f"ray {call}") for call in calls if call.startswith("health-check")]
    assert {check["address"] for check in checks} == {"10.0.0.1:6379"}
