"""A search that is copied and moved, with real Ray and MLflow: the copy stands alone, its original stays as it is."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from mlflow import MlflowClient

from search.folder import SearchFolder
from search.memory.journal import read_history
from search.memory.outcome import Outcome
from search.opening import read_search

SPACE = """
def tiny(trial):
    trial.suggest_float("learning_rate", 1e-3, 1e-2, log=True)
    small = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": 16, "batch_size": 4}
    return {**small, "input_mode": "crop", "crop_size": 32}
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("moving")
    (root / "own_space.py").write_text(SPACE)
    return root


@pytest.fixture(scope="module")
def run(run_cli: Callable, root: Path) -> Callable[..., str]:
    """Return a function that runs a command which must succeed, and returns what it printed in one line."""

    def succeed(*arguments: object) -> str:
        done: subprocess.CompletedProcess[str] = run_cli(*arguments, python_path=root)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return " ".join(done.stdout.split())

    return succeed


@pytest.fixture(scope="module")
def original(run: Callable, root: Path, dataset_folder: Path) -> SearchFolder:
    """A search of two trials, both of which were confirmed, with its data and its storage in folders of its own."""
    shutil.copytree(dataset_folder, root / "data")
    arguments = ("--data", root / "data", "--cache", root / "cache", "--space", "own_space:tiny", "--folds", 2)
    arguments += ("--trials", 2, "--epochs", 1, "--confirm", 2, "--name", "streets", "--max-concurrent", 1)
    run("launch", *arguments, "--storage", root / "my searches")
    return SearchFolder(root=root / "my searches" / "streets")


def hash_files(folder: Path) -> dict[str, str]:
    """What every file under a folder holds."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def runs_of(folder: SearchFolder) -> dict[str, list]:
    """MLflow's runs of a search by stage, of the store and the experiment that it logs into."""
    settings, place = read_search(folder)
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name(settings.name)
    runs = client.search_runs([experiment.experiment_id], f"tags.`search.id` = '{settings.search_id}'")
    found: dict[str, list] = {}
    for each in runs:
        found.setdefault(each.data.tags["search.stage"], []).append(each)
        artifacts = Path(unquote(each.info.artifact_uri.removeprefix("file://")))
        assert artifacts.is_relative_to(place.storage), "pictures and models lie in the search's own storage"
    return found


def test_nothing_of_a_search_names_the_place_where_it_lies(original, root):
    """But for what says where it was last, and for Ray's and MLflow's own files."""
    texts = [original.settings, original.folds, original.best, *original.root.rglob("journal.jsonl")]
    for file in texts:
        assert str(root) not in file.read_text(), file
    assert json.loads(original.place.read_text())["home"] == str(original.root)


@pytest.fixture(scope="module")
def copied(original: SearchFolder, run: Callable, root: Path) -> tuple[SearchFolder, dict, str]:
    """The whole storage copied by `cp -r`, and one trial more in the copy; with the original's files before."""
    before = hash_files(original.root.parent)
    storage = root / "copy"
    subprocess.run(["cp", "-r", original.root.parent, storage], check=True)
    return (
        SearchFolder(root=storage / "streets"),
        before,
        run("resume", "streets", "--trials", "+1", "--storage", storage),
    )


def test_copy_goes_on_and_its_original_stays_as_it_is(copied, original):
    folder, before, told = copied
    assert hash_files(original.root.parent) == before
    assert len(read_history(folder.search_stage.journal, "iou").trials) == 3
    assert len(read_history(original.search_stage.journal, "iou").trials) == 2
    assert f"{folder.root} is a copy of {original.root}: it takes MLflow runs of its own." in told


def test_commands_that_the_copy_prints_lead_to_the_copy(copied):
    folder, _, told = copied
    assert f"python -m search retrain streets --storage {folder.root.parent}" in told
    assert f"python -m search ui --storage {folder.root.parent}" in told


def test_storage_with_a_blank_is_quoted(original, run):
    told = run("status", "streets", "--storage", original.root.parent)
    assert f"logs: {original.search_stage.root}" in told
    assert original.command("resume").endswith(f"--storage '{original.root.parent}'")


def test_copy_has_runs_of_its_own_with_all_that_happened_before(copied, original):
    folder, _, _ = copied
    own, theirs = runs_of(folder), runs_of(original)
    assert read_search(folder)[0].search_id != read_search(original)[0].search_id
    assert (len(own["search"]), len(theirs["search"])) == (4, 3)
    assert not {each.info.run_id for each in own["search"]} & {each.info.run_id for each in theirs["search"]}


@pytest.fixture(scope="module")
def moved(copied: tuple, run: Callable, root: Path) -> tuple[SearchFolder, str]:
    """The copy retrained, then moved together with the data, and retrained with the data's new path."""
    folder, _, _ = copied
    run("retrain", "streets", "--storage", folder.root.parent)
    (root / "elsewhere").mkdir()
    folder.root.parent.rename(root / "elsewhere" / "searches")
    (root / "data").rename(root / "elsewhere" / "data")
    there = SearchFolder(root=root / "elsewhere" / "searches" / "streets")
    shutil.rmtree(there.model)
    where = ("--storage", there.root.parent, "--data", root / "elsewhere" / "data", "--max-concurrent", 2)
    return there, run("retrain", "streets", *where)


def test_search_that_was_moved_takes_over_what_was_trained(moved):
    """The retraining's networks and those of the confirmation lie where the search lies now."""
    folder, told = moved
    assert any(folder.model.iterdir())
    trials = read_history(folder.retrain_stage.journal, "iou").in_order
    assert {trial.outcome for trial in trials} == {Outcome.FINISHED}
    assert all(folder.retrain_stage.resolve(trial.checkpoint).is_dir() for trial in trials)
    assert f"ensemble: {folder.model}" in told
    assert "is a copy" not in told


def test_where_it_runs_now_is_remembered(moved, root):
    _, place = read_search(moved[0])
    assert place.data == str(root / "elsewhere" / "data")
    assert place.max_concurrent == 2
    assert place.home == moved[0].root


def test_moved_search_logs_beside_itself(moved, root):
    runs = runs_of(moved[0])
    assert len(runs["retrain"]) == 3


def test_crafted_journal_deletes_nothing(moved, run_cli, root):
    folder, _ = moved
    precious = root / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    event = {"event": "checkpoint", "time": 1.0, "trial": 0, "epoch": 1, "path": os.path.relpath(precious, folder.root)}
    with folder.search_stage.journal.open("a") as stream:
        stream.write(json.dumps(event) + "\n")
    done = run_cli("resume", "streets", "--trials", "+1", "--storage", folder.root.parent, python_path=root)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "is not inside of" in done.stderr
    assert (precious / "file").read_text() == "mine"
