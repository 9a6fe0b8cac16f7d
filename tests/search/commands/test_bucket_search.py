"""A search in a bucket on data in it, end to end: interrupted, its machine gone, gone on with from another."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from search.finding import find_folder, is_taken
from search.folder import SearchFolder
from search.memory.events import Asked, CheckpointSaved, Epoch, Event
from search.memory.journal import read_events
from search.settings import read_settings
from search.storage import locate_storage
from segcore.bucket import Bucket, parse_bucket

SPACES = """
def tiny(trial):
    trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True)
    return {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "batch_size": 4}
"""
EPOCHS = 5


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bucket")
    (root / "my_spaces.py").write_text(SPACES)
    return root


@pytest.fixture(scope="module")
def address(make_bucket: Callable[..., str]) -> str:
    return f"{make_bucket()}/teams/ours"


@pytest.fixture(scope="module")
def bucket(address: str) -> Bucket:
    return parse_bucket("storage", f"{address}/streets")


def mirror(root: Path, machine: str, address: str) -> Path:
    """Folder of the search on a machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(root / machine))
        return locate_storage(address) / "streets"


def events(folder: Path) -> list[Event]:
    return list(read_events(folder / "journal.jsonl"))


@pytest.fixture(scope="module")
def launched(
    root: Path, address: str, dataset_folder: Path, start_cli: Callable, wait_until: Callable
) -> tuple[str, list[Event], str]:
    """What a launch said that was interrupted after its first checkpoint, its events, and the search's identity."""
    here, data = mirror(root, "first", address), parse_bucket("data", f"{address}-data/streets.tar.gz")
    data.upload(Path(shutil.make_archive(str(root / "streets"), "gztar", dataset_folder)), "")
    process = start_cli(
        "launch", "--data", data.address, "--storage", address, "--cache", root / "cache", "--name", "streets",
        "--space", "my_spaces:tiny", "--trials", 1, "--epochs", EPOCHS, "--folds", 2, "--confirm", 0,
        PYTHONPATH=str(root), XDG_STATE_HOME=str(root / "first"),
    )  # fmt: skip
    has_begun = lambda: any(isinstance(each, CheckpointSaved) for each in events(here))  # noqa: E731
    wait_until(lambda: process.poll() is not None or has_begun(), "a first checkpoint", 300)
    os.killpg(process.pid, signal.SIGINT) if process.poll() is None else None
    out, err = process.communicate(timeout=600)
    assert process.returncode == 3, out + err
    said, known, identity = out + err, events(here), read_settings(here / "settings.json").search_id
    shutil.rmtree(root / "first")
    return said, known, identity


@pytest.fixture(scope="module")
def run(root: Path, start_cli: Callable) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command on another machine, which must succeed."""

    def succeed(*arguments: object, machine: str = "second") -> subprocess.CompletedProcess[str]:
        process = start_cli(*arguments, PYTHONPATH=str(root), XDG_STATE_HOME=str(root / machine))
        out, err = process.communicate(timeout=480)
        assert process.returncode == 0, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return succeed


@pytest.fixture(scope="module")
def resumed(launched: object, run: Callable, address: str) -> str:
    return run("resume", "streets", "--trials", "+1", "--storage", address).stdout


@pytest.fixture(scope="module")
def retrained(resumed: str, run: Callable, address: str) -> str:
    return run("retrain", "streets", "--storage", address).stdout


def test_data_is_fetched_and_unpacked_once(launched, resumed, root, address):
    told = f"fetching .*{address}-data/streets.tar.gz into {root / 'cache' / 'fetched'}"
    assert (len(re.findall(told, launched[0])), len(re.findall(told, resumed))) == (1, 0)


def test_an_interrupted_launch_says_how_to_go_on_from_anywhere(launched, address):
    assert f"python -m search resume streets --storage {address}" in launched[0]
    assert "MLflow's database stays on this machine" in launched[0]


def test_another_machine_goes_on_from_the_checkpoint_in_the_bucket(resumed, launched, root, address):
    _, before, identity = launched
    here = mirror(root, "second", address)
    assert events(here)[: len(before)] == before
    assert read_settings(here / "settings.json").search_id == identity
    (saved,) = [each.epoch for each in before if isinstance(each, CheckpointSaved)][-1:]
    again = [each.epoch for each in events(here)[len(before) :] if isinstance(each, Epoch) and each.trial == 0]
    assert again == list(range(saved + 1, EPOCHS + 1))
    assert len([each for each in events(here) if isinstance(each, Asked)]) == 2
    assert "is a copy of" not in resumed


def test_everything_of_the_search_is_in_the_bucket_and_nothing_is_left_over(retrained, bucket, root, address):
    files = {each.path: each.size for each in bucket.list_files()}
    here = mirror(root, "second", address)
    for name in ("settings.json", "place.json", "folds.json", "best.json", "journal.jsonl", "retrain/journal.jsonl"):
        assert bucket.read(name) == (here / name).read_bytes(), name
    model = {name for name in files if name.startswith("retrain/model/")}
    assert {Path(name).name for name in model} >= {"ensemble.json", "member_0.safetensors", "member_1.safetensors"}
    assert all((here / name).stat().st_size == files[name] for name in model)
    assert {name for name in files if name.startswith("drivers/") or ".part/" in name} == set()
    # Both trials of the search may end with one, the best; each fold keeps its own.
    assert len([name for name in files if name.startswith("retrain/ray/") and name.endswith("state.pt")]) == 2


def test_a_third_machine_sees_the_same(retrained, run, address):
    done = run("status", "streets", "--storage", address, machine="third").stdout
    assert "2 of 2 trials" in done
    assert f"confirm streets --top 3 --storage {address}" in done


def test_the_credentials_are_kept_nowhere(retrained, launched, resumed, bucket, root):
    secret = b"planted-secret"
    # What is larger are weights and pixels.
    small = [each.path for each in bucket.list_files() if each.size < 1 << 20]
    assert len(small) > 10
    assert not any(secret in (bucket.read(path) or b"") for path in small)
    kept = [file for file in root.rglob("*") if file.is_file() and file.stat().st_size < 1 << 21]
    assert not any(secret in file.read_bytes() for file in kept)
    assert secret.decode() not in launched[0] + resumed + retrained


def test_a_launch_that_may_resume_finds_the_search_of_another_machine(launched, root, address):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(root / "fourth"))
        folder = SearchFolder(root=locate_storage(address) / "streets")
        assert not folder.settings.exists()
        assert is_taken(folder)
        assert find_folder(folder.root.parent, "streets").settings.exists()
        assert not is_taken(SearchFolder(root=folder.root.parent / "other"))
