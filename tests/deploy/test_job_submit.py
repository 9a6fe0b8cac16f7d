"""`ray job submit` of a search, from the project's folder to a real cluster of a head and a worker on this machine."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray._private.runtime_env.packaging import create_package

from search.folder import SearchFolder
from search.memory.journal import read_history
from search.memory.outcome import Outcome

BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef" * 4
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

from search.run.starting import starting_patiently

port, folder = int(sys.argv[1]), sys.argv[2]
head = {"num_cpus": 0, "include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port}
with starting_patiently(None):
    cluster = Cluster(initialize_head=True, head_node_args=head)
    # Nodes of one machine would unpack the job's code into one folder, each anew under the feet of the other.
    cluster.add_node(num_cpus=2, temp_dir=folder)
print("up", flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of every side: Ray's files in a folder of their own, and a token."""
    # Unlike pytest's folders its path is short enough for Ray's sockets.
    folder = Path("/tmp") / f"street-job-{os.getpid()}"
    return {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_TMPDIR": str(folder)}


@pytest.fixture(scope="module")
def dashboard(environment: dict[str, str]) -> Iterator[str]:
    """The address that jobs are submitted to."""
    if importlib.util.find_spec("aiohttp_cors") is None:
        pytest.skip("jobs need ray[default], which clusters install: pip install 'ray[default]==2.60.0'")
    port = 8300 + os.getpid() % 1000
    folder = Path(environment["RAY_TMPDIR"])
    (folder / "worker").mkdir(parents=True)
    command = [sys.executable, "-c", CLUSTER, str(port), str(folder / "worker")]
    cluster = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert cluster.stdout.readline() == "up\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        cluster.communicate(timeout=600)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def submit(
    dashboard: str, environment: dict[str, str], root: Path, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that submits a command from the project's folder and waits for its end."""

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        # A variable that the driver's own environment for its workers has too.
        settings = '{"env_vars": {"NO_ALBUMENTATIONS_UPDATE": "1"}}'
        options = ["--address", dashboard, "--working-dir", ".", "--runtime-env-json", settings]
        line = [BIN / "ray", "job", "submit", *options, "--", sys.executable, "-m", *command]
        return subprocess.run(
            list(map(str, line)), cwd=root, env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    return run


def test_a_submitted_search_runs_to_its_end_on_the_cluster(submit, dataset_folder, tmp_path):
    small = ("backbone=tf_efficientnet_lite0", "weights=none", "decoder_channels=16", "input_mode=full", "batch_size=4")
    command = [
        *("search", "launch", "--data", dataset_folder, "--name", "job", "--space", "demo", "--trials", 1),
        *(
            "--epochs",
            1,
            "--folds",
            2,
            "--confirm",
            0,
            "--address",
            "auto",
            "--or-resume",
            "--cache",
            tmp_path / "cache",
        ),
        *(word for each in small for word in ("--set", each)),
    ]
    done = submit(*command, "--storage", "searches")
    assert done.returncode != 0
    assert "lies in the copy of the code that Ray made for this job" in done.stdout + done.stderr
    done = submit(*command, "--storage", tmp_path / "searches")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = SearchFolder(root=tmp_path / "searches" / "job")
    (trial,) = read_history(folder.search_stage.journal, "iou").in_order
    assert (trial.outcome, sorted(trial.epochs)) == (Outcome.FINISHED, [1])


def test_what_is_sent_is_the_code_without_large_folders(root, tmp_path):
    """Ray takes no more than 100 MiB; it leaves out .git and .venv by itself, and what git ignores."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("search", "segcore", "spaces"):
        shutil.copytree(root / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / ".gitignore", project)
    for name in ("demo/streets/a.jpg", "searches/first/ray/state.pt", ".venv/lib/torch.so", ".mypy_cache/a.json"):
        file = project / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"large")
    package = tmp_path / "package.zip"
    create_package(str(project), package, include_gitignore=True, excludes=[".git", ".venv"])
    shutil.unpack_archive(package, tmp_path / "sent")
    (sent,) = [tmp_path / "sent"] if (tmp_path / "sent" / "search").exists() else (tmp_path / "sent").iterdir()
    assert {file.name for file in sent.iterdir()} - {".gitignore"} == {"search", "segcore", "spaces"}
    assert package.stat().st_size < 5 << 20
