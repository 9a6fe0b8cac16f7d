import shlex

import pytest

from search.folder import SearchFolder
from segcore.errors import CheckpointError


def test_every_file_has_its_place(tmp_path):
    folder = SearchFolder(root=tmp_path / "streets")
    places = {
        folder.settings: "settings.json",
        folder.place: "place.json",
        folder.folds: "folds.json",
        folder.best: "best.json",
        folder.model: "retrain/model",
        folder.search_stage.journal: "journal.jsonl",
        folder.search_stage.ray: "ray",
        folder.search_stage.trial(3): "trials/0003",
        folder.retrain_stage.journal: "retrain/journal.jsonl",
        folder.retrain_stage.trial(12): "retrain/trials/0012",
    }
    for file, place in places.items():
        assert file == tmp_path / "streets" / place


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        ("searches", "python -m search resume streets --retry-failed"),
        ("my searches", "python -m search resume streets --retry-failed --storage '{root}/my searches'"),
        ("$(rm -r x)", "python -m search resume streets --retry-failed --storage '{root}/$(rm -r x)'"),
    ],
)
def test_commands_can_be_pasted(tmp_path, monkeypatch, storage, told):
    monkeypatch.chdir(tmp_path)
    folder = SearchFolder(root=tmp_path / storage / "streets")
    told = told.format(root=tmp_path)
    assert folder.command("resume", "--retry-failed") == told
    for stage in folder.stages.values():
        assert stage.command("resume", "--retry-failed") == told
    monkeypatch.chdir("/")
    assert f"--storage {shlex.quote(str(tmp_path / storage))}" in folder.command("resume")


@pytest.fixture
def search(tmp_path):
    """A search with a checkpoint in each stage, and something of a user's beside it."""
    folder = SearchFolder(root=tmp_path / "searches" / "streets")
    for stage in folder.stages.values():
        (stage.ray / "run-1" / "checkpoint").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("mine")
    return folder


def test_command_names_its_storage_where_the_working_directory_is_gone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    told = f"python -m search resume streets --storage {tmp_path}"
    assert SearchFolder(root=tmp_path / "streets").command("resume") == told


def test_path_is_stored_from_the_stage_on_and_found_again_after_a_move(search, tmp_path):
    stored = search.confirm_stage.relative(search.confirm_stage.ray / "run-1" / "checkpoint")
    assert stored == "ray/run-1/checkpoint"
    moved = SearchFolder(root=search.root.rename(tmp_path / "moved"))
    assert moved.confirm_stage.resolve(stored) == tmp_path / "moved" / "confirm" / "ray" / "run-1" / "checkpoint"


def test_retraining_may_name_what_the_confirmation_trained(search):
    theirs = search.confirm_stage.ray / "run-1" / "checkpoint"
    stored = search.retrain_stage.relative(theirs)
    assert stored == "../confirm/ray/run-1/checkpoint"
    assert search.retrain_stage.resolve(stored) == theirs


@pytest.mark.parametrize(
    "stored",
    ["{outside}", "../../../precious", "ray/../../../../precious", "link", "link/file", ".", "", "..", "../streets"],
)
def test_nothing_outside_of_the_search_is_read_or_deleted(search, tmp_path, stored):
    outside = tmp_path / "precious"
    (search.root / "link").symlink_to(outside)
    for act in (search.search_stage.resolve, search.search_stage.delete, search.search_stage.relative):
        with pytest.raises(CheckpointError, match="nothing there is read or deleted"):
            act(stored.format(outside=outside))
    assert (outside / "file").read_text() == "mine"
    assert search.root.is_dir()


@pytest.mark.parametrize("stored", ["../confirm/ray/run-1/checkpoint", "ray", "trials", "../folds.json", "link/run-1"])
def test_a_stage_deletes_only_what_ray_made_for_it(search, stored):
    stage = search.retrain_stage
    (stage.root / "link").symlink_to(search.confirm_stage.ray)
    stage.trial(0).mkdir(parents=True)
    with pytest.raises(CheckpointError, match="it is not deleted"):
        stage.delete(stored)
    assert stage.trial(0).is_dir()
    assert (search.confirm_stage.ray / "run-1" / "checkpoint").is_dir()


def test_stage_deletes_its_own_checkpoint_once_and_again(search):
    for _ in range(2):
        search.confirm_stage.delete("ray/run-1/checkpoint")
        assert not (search.confirm_stage.ray / "run-1" / "checkpoint").exists()
    assert (search.search_stage.ray / "run-1" / "checkpoint").is_dir()


def test_what_is_no_path_is_refused(search):
    with pytest.raises(CheckpointError, match="is no path"):
        search.search_stage.resolve("ray/\0")
