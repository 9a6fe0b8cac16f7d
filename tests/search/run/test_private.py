"""A local Ray of a real driver, looked at from beside it: who reaches it, who reads its files, what they hold."""

import json
import os
import socket
import stat
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from search.run import private
from search.run.private import find_session, kept_private, require_folder
from segcore.errors import ClusterError

ROOT = Path(__file__).parents[3]
SECRETS = {
    "AWS_ACCESS_KEY_ID": "PLANTED-id",
    "AWS_SECRET_ACCESS_KEY": "PLANTED-key",
    "AWS_SESSION_TOKEN": "PLANTED-token",
    "AWS_ENDPOINT_URL": "http://user:PLANTED-word@127.0.0.1:9",
}

DRIVER = """
import json, sys
from pathlib import Path
from search.place import build_place
from search.run.cluster import connected
import ray
from ray import tune

def train(config):
    import os
    tune.report({name: len(os.environ[name]) for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")})

with connected(build_place({"data": Path("."), "storage": Path(".")})):
    results = tune.Tuner(train, run_config=tune.RunConfig(storage_path=sys.argv[1], verbose=0)).fit()
    address = ray.get_runtime_context().gcs_address
    session = ray._private.worker._global_node.get_session_dir_path()
    letters = [results[0].metrics[name] for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")]
    jobs = [each["Entrypoint"] for each in ray._private.state.jobs()]
    print(json.dumps({"address": address, "session": session, "letters": letters, "jobs": jobs}), flush=True)
    input()
"""

STRANGER = """
import sys
import ray
from ray._raylet import GcsClient

# `ray.init` asks the same, again and again.
try:
    print("let in:", GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, 5))
except ray.exceptions.AuthenticationError as error:
    print("refused:", error)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a driver with keys in its environment told of its Ray, which is there as long as the tests are."""
    folder = tmp_path_factory.mktemp("private")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment |= {**SECRETS, "HOME": str(folder)}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder / "results"), "--notify", "https://host/PLANTED-hook"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdin and driver.stdout
    yield {**json.loads(driver.stdout.readline()), "home": folder}
    driver.communicate("\n", timeout=600)


def listening_addresses() -> dict[int, str]:
    """Where this machine listens, by port."""
    found = {}
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            place, state = line.split()[1], line.split()[3]
            address, port = place.split(":")
            words = [struct.pack("<I", int(address[start : start + 8], 16)) for start in range(0, len(address), 8)]
            if state == "0A":
                found[int(port, 16)] = socket.inet_ntop(family, b"".join(words))
    return found


def test_trials_have_the_users_keys_and_no_file_has_them(told):
    assert told["letters"] == [len("PLANTED-key"), len("http://user:PLANTED-word@127.0.0.1:9")]
    files = [file for root in (told["session"], told["home"]) for file in Path(root).rglob("*") if file.is_file()]
    assert any(file.name == "runtime_env_agent.log" for file in files)
    assert [file for file in files if b"PLANTED" in file.read_bytes()] == []


def test_no_worker_is_started_that_could_be_given_no_trial(told):
    workers = [file.name for file in (Path(told["session"]) / "logs").glob("worker-*.out")]
    assert workers
    # Of no job: started without the environment of one.
    assert [name for name in workers if "-ffffffff-" in name] == []


def test_ray_shows_nobody_the_arguments_of_a_driver(told):
    assert told["jobs"] == ["python -m search"]


def test_nobody_else_looks_into_rays_folder_or_finds_a_token(told):
    session = Path(told["session"])
    assert stat.S_IMODE(session.parents[1].stat().st_mode) == 0o700
    assert not (told["home"] / ".ray" / "auth_token").exists()


def test_ray_listens_on_loopback_alone(told):
    port = int(told["address"].rpartition(":")[2])
    assert listening_addresses()[port] in ("127.0.0.1", "::ffff:127.0.0.1", "::1")
    ports = {int(file.read_text()) for file in Path(told["session"]).glob("*_port_*")}
    assert {listening_addresses().get(each, "127.0.0.1").removeprefix("::ffff:") for each in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("token", [{}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}], ids=["none", "another"])
def test_process_without_the_token_is_refused(told, token, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, told["address"]],
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path), **token},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.startswith("refused:"), done.stdout + done.stderr


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        # Once set, it is put back as it was, whatever the code sets meanwhile.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def test_users_own_token_is_kept_and_closed_to_others(home):
    file = home / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("its own")
    file.chmod(0o644)
    with kept_private(""):
        assert "RAY_AUTH_TOKEN" not in os.environ
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("its own", 0o600)


def test_rays_folder_is_gone_at_the_end_and_fits_a_socket_of_a_long_folder_too(home, monkeypatch, tmp_path):
    (tmp_path / ("long" * 20)).mkdir()
    monkeypatch.setattr(private.tempfile, "tempdir", str(tmp_path / ("long" * 20)))
    with kept_private("") as options:
        folder = Path(options["_temp_dir"])
        assert folder.parent.is_dir()
        # The longest that Ray lays into it: a process number of seven digits.
        socket_path = folder / "session_2026-11-26_02-42-31_358606_4194304" / "sockets" / "plasma_store"
        assert len(os.fsencode(socket_path)) <= 107
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert not folder.parent.exists()


def test_a_cluster_has_its_own_folder_and_token(home):
    with kept_private("auto") as options:
        assert options == {}
        assert "RAY_AUTH_TOKEN" not in os.environ


def test_ray_tune_writes_no_key_into_a_trials_environment():
    from ray.tune.execution.class_cache import ENV_VARS_TO_PROPAGATE

    with kept_private("auto"):
        assert [name for name in ENV_VARS_TO_PROPAGATE if name.startswith("AWS")] == []


LEFT = """
import os, signal, subprocess, sys
from pathlib import Path
from contextlib import nullcontext
from search.run import private
from search.run.private import kept_private

private._LONGEST_PARENT = 1000
private.tempfile.tempdir = sys.argv[1]
if sys.argv[2] == "alone":
    private.guarded = nullcontext
with kept_private("") as options:
    folder = Path(options["_temp_dir"])
    folder.mkdir()
    with (folder / "agent.log").open("w") as log:
        for title in ("ray::DashboardAgent", "tail"):
            files = {"stdout": log, "stderr": log}
            agent = subprocess.Popen([title, "600"], executable="/bin/sleep", **files, start_new_session=True)
            print(agent.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended may wait for its parent yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="processes are looked up as Linux shows them"
)


@pytest.fixture
def parent(home, monkeypatch) -> Path:
    """The folder of the local Rays' folders."""
    folder = home / "t"
    folder.mkdir()
    monkeypatch.setattr(private, "_LONGEST_PARENT", 1000)
    monkeypatch.setattr(private.tempfile, "tempdir", str(folder))
    return folder


def leave(parent: Path, guard: str) -> tuple[int, int, str]:
    """Let a driver be killed, and return what it leaves: an agent of Ray, who reads its log, and what was told."""
    program = [sys.executable, "-c", LEFT, parent, guard]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    agent, reader = map(int, done.stdout.split())
    return agent, reader, done.stderr


@needs_proc
def test_what_a_killed_driver_left_of_its_ray_is_ended_at_once_and_nothing_else(parent, wait_until):
    agent, reader, told = leave(parent, "guarded")
    try:
        assert told.startswith("This command was ended by force:") and "go on by 'resume'" in told
        wait_until(lambda: not is_alive(agent) and not list(parent.iterdir()), "the agent ends and the folder is gone")
        assert is_alive(reader), "a person may read a log"
    finally:
        os.kill(reader, 9)


@needs_proc
def test_the_next_ray_ends_what_is_left_where_all_of_a_driver_was_killed(parent, wait_until):
    agent, reader, told = leave(parent, "alone")
    try:
        assert told == ""
        assert is_alive(agent) and is_alive(reader)
        (left,) = parent.iterdir()
        with kept_private("") as options:
            live = Path(options["_temp_dir"]).parent
            assert list(parent.iterdir()) == [live] and live != left
            wait_until(lambda: not is_alive(agent), "the agent ends")
            assert is_alive(reader), "a person may read a log"
            with kept_private("") as others:
                assert live.is_dir() and not live.samefile(Path(others["_temp_dir"]).parent), "its driver lives"
    finally:
        os.kill(reader, 9)
    assert list(parent.iterdir()) == []


@needs_proc
def test_no_guard_is_left_of_a_ray_that_ended(parent, wait_until):
    with kept_private(""):
        # A process that was begun just now has no command line yet.
        wait_until(lambda: bool(find_guards(parent)), "the guard is there")
        (guard,) = find_guards(parent)
        assert is_alive(guard)
    assert find_guards(parent) == []


def find_guards(parent: Path) -> list[int]:
    """List the processes that guard what lies in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cmdline").read_bytes().split(b"\0")[2:4] == [b"search.run.guard", os.fsencode(parent)]:
                found.append(int(process.name))
    return found


def test_a_ray_whose_folder_is_cleaned_away_is_told_before_its_workers_fail(local_ray):
    from ray._private import worker

    require_folder()
    logs = Path(worker._global_node.get_logs_dir_path())
    moved = logs.rename(logs.with_name("cleaned"))
    try:
        with pytest.raises(ClusterError, match=rf"^{logs} is gone, without which Ray starts no worker"):
            require_folder()
    finally:
        moved.rename(logs)
    require_folder()


def test_the_folder_of_a_rays_own_files_is_found(local_ray):
    from ray._private import worker

    assert find_session().is_dir()
    assert Path(worker._global_node.get_logs_dir_path()).parent == find_session()
