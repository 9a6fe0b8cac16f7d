"""`deploy/slurm.sbatch`, run in a pretended Slurm whose `srun`, `ray` and `python` say what they were asked for.

Ray itself is pretended too: `ray symmetric-run` ends every Ray of its machine.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ray.scripts.scripts import start as ray_start
from ray.scripts.symmetric_run import curate_and_validate_ray_start_args

STUBS = {
    "hostname": 'echo "10.0.0.1 192.168.0.1"',
    # One task of the step, that of the first node unless PROCID is another.
    "srun": (
        'while [ "${1#--}" != "$1" ]; do echo "$1" >> "$TOLD/srun"; shift; done; export SLURM_PROCID=$PROCID; exec "$@"'
    ),
    "scontrol": 'echo "$@" >> "$TOLD/scontrol"',
    "ray": (
        'env > "$TOLD/environment"; while [ "$1" != -- ]; do echo "$1" >> "$TOLD/ray"; shift; done; shift;'
        ' [ "$DRIVER" = never ] && exit 0; "$@"; c=$?;'
        ' echo stop >> "$TOLD/ray"; exit $c'
    ),
    "python": (
        'printf "%s\\n" "$@" > "$TOLD/driver"; [ "$DRIVER" = finishes ] && exit 0; [ "$DRIVER" = fails ] && exit 1;'
        ' trap "echo halted >> $TOLD/halted; exit 2" TERM; echo trains; while :; do sleep 0.05; done'
    ),
}


@pytest.fixture
def submit(root: Path, tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Return a function that runs the script as Slurm does; the driver finishes, fails, trains or never starts."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    project, told = tmp_path / "project", tmp_path / "told"
    programs = project / ".venv" / "bin"
    programs.mkdir(parents=True)
    told.mkdir()
    for name, body in STUBS.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (programs / name).chmod(0o755)
    slurm = {
        "SLURM_SUBMIT_DIR": str(project), "SLURM_JOB_ID": f"test-{os.getpid()}", "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_ON_NODE": "8", "SLURM_GPUS_ON_NODE": "4",
    }  # fmt: skip
    script = root / "deploy" / "slurm.sbatch"

    def run(driver: str, task: int = 0) -> subprocess.Popen[str]:
        environment = {**os.environ, **slurm, "TOLD": str(told), "HOME": str(tmp_path), "DRIVER": driver}
        environment["PROCID"] = str(task)
        command = ["bash", str(script), "--data", "/shared/my data", "--name", "streets"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return run


def test_search_is_launched_or_resumed_on_the_first_node(submit, tmp_path, understand):
    driver = submit("finishes")
    assert driver.wait(60) == 0
    told = (tmp_path / "told" / "driver").read_text().splitlines()
    assert told == [
        *("-m", "search", "launch", "--address", "10.0.0.1:6379", "--or-resume"),
        *("--data", "/shared/my data", "--name", "streets"),
    ]
    words = ["python", *told[:7], f"'{told[7]}'", *told[8:]]
    assert understand(" ".join(words))["or_resume"] is True
    assert not (tmp_path / "told" / "scontrol").exists()


def test_ray_is_started_on_all_nodes_with_all_that_they_have(submit, tmp_path):
    assert submit("finishes").wait(60) == 0
    assert (tmp_path / "told" / "srun").read_text().split() == ["--nodes=2", "--ntasks=2", "--cpus-per-task=8"]
    command, *arguments, stop = (tmp_path / "told" / "ray").read_text().split()
    assert (command, stop) == ("symmetric-run", "stop")
    assert arguments[:4] == ["--address", "10.0.0.1:6379", "--min-nodes", "2"]
    # What `ray symmetric-run` leaves of them it hands to `ray start`.
    kept = curate_and_validate_ray_start_args([*arguments, "--", "driver"])
    options = ray_start.make_context("start", kept[: kept.index("--")] if "--" in kept else kept[:-1]).params
    assert (options["num_cpus"], options["num_gpus"]) == (8, 4)


def test_nodes_wait_for_each_other_and_know_the_token(submit, tmp_path):
    assert submit("finishes").wait(60) == 0
    lines = (tmp_path / "told" / "environment").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if "=" in line)
    assert int(environment["RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT"]) >= 600
    assert environment["RAY_AUTH_MODE"] == "token"
    token = Path(environment["RAY_AUTH_TOKEN_PATH"])
    assert token == tmp_path / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text().strip()) >= 40
    assert not Path(environment["RAY_TMPDIR"]).exists(), "nothing is left on the node"
    before = token.read_text()
    assert submit("finishes").wait(60) == 0
    assert token.read_text() == before


def test_a_search_whose_time_is_up_ends_and_is_queued_again(submit, tmp_path):
    script = submit("trains")
    assert script.stdout.readline() == "trains\n"
    os.kill(script.pid, signal.SIGUSR1)
    out, _ = script.communicate(timeout=600)
    assert script.returncode == 0
    assert "The time is up" in out
    assert (tmp_path / "told" / "halted").read_text() == "halted\n"
    assert (tmp_path / "told" / "ray").read_text().endswith("stop\n"), "Ray outlives the search"
    assert (tmp_path / "told" / "scontrol").read_text() == f"requeue test-{os.getpid()}\n"


def test_a_search_that_fails_is_not_queued_again(submit, tmp_path):
    assert submit("fails").wait(60) == 1
    assert not (tmp_path / "told" / "scontrol").exists()


@pytest.mark.parametrize(("task", "patience"), [(0, None), (1, "20")])
def test_other_nodes_do_not_wait_long_for_a_head_that_has_ended(submit, tmp_path, task, patience):
    assert submit("finishes", task=task).wait(60) == 0
    lines = (tmp_path / "told" / "environment").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if "=" in line)
    assert environment.get("RAY_gcs_rpc_server_reconnect_timeout_s") == patience


def test_a_search_that_has_not_begun_for_want_of_ray_has_failed(submit):
    # `ray symmetric-run` ends with 0 where `ray start` failed.
    former = Path(f"/tmp/ray-test-{os.getpid()}")
    former.mkdir()
    (former / "driver.pid").write_text("1\n")  # left by a run of the same job whose node failed
    out, _ = (script := submit("never")).communicate(timeout=60)
    assert script.returncode == 1
    assert "Ray did not start" in out


def test_slurm_is_asked_for_what_the_script_needs(root):
    text = (root / "deploy" / "slurm.sbatch").read_text(encoding="utf-8")
    asked = [line.split("#")[1].split()[1] for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert {"--exclusive", "--requeue", "--open-mode=append", "--signal=B:USR1@120", "--ntasks-per-node=1"} <= set(
        asked
    )
    assert {word.partition("=")[0] for word in asked} <= {
        *("--job-name", "--nodes", "--ntasks-per-node", "--gpus-per-node", "--time"),
        *("--exclusive", "--requeue", "--open-mode", "--signal"),
    }


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("name", ["slurm.sbatch", "mlflow_server.sh"])
def test_shell_scripts_have_no_known_fault(root, name):
    done = subprocess.run(["shellcheck", root / "deploy" / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
