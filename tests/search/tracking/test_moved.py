import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils
from PIL import Image

from search.memory.journal import read_events
from search.tracking.moved import bring_home
from search.tracking.pictures import SMALL_ENDING
from search.tracking.runs import StageRuns


def report_picture(script, stage, trial: int) -> None:
    picture = stage.trial(trial) / "epoch_0001.jpg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(picture)
    script.write("epoch", trial=trial, epoch=1, metrics={"iou": 0.5}, picture=str(picture.relative_to(stage.root)))


def pictures_below(folder: Path) -> int:
    return sum(not file.name.endswith(SMALL_ENDING) for file in folder.rglob("*.webp"))


@pytest.mark.parametrize("move", [shutil.copytree, shutil.move])
def test_pictures_of_a_copied_or_moved_storage_go_into_it_alone(
    move, settings, place, script, stage, tmp_path, make_place, find_runs
):
    script.ask(0)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    move(place.storage, tmp_path / "there")
    # As in another process, which knows nothing of where files were.
    utils._artifact_repos_cache.clear()
    there = make_place(storage=tmp_path / "there")
    script.ask(1)
    for trial in (0, 1):
        report_picture(script, stage, trial)
    StageRuns(settings, there, "search", stage).write(list(read_events(stage.journal)))
    assert pictures_below(place.storage) == 0
    assert pictures_below(there.storage) == 4, "of each trial that of its epoch, and the latest"
    experiment = MlflowClient(there.tracking_uri).get_experiment_by_name("streets")
    assert experiment.artifact_location == (tmp_path / "there" / "mlartifacts" / "streets").as_uri()
    for run in find_runs(there)[1]:
        assert run.info.artifact_uri.startswith(experiment.artifact_location)


def test_pictures_of_a_search_that_was_renamed_and_moved_go_into_its_storage_alone(
    settings, place, script, stage, tmp_path, make_place, find_runs
):
    script.ask(0)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    shutil.copytree(place.storage, tmp_path / "there")
    utils._artifact_repos_cache.clear()
    there = make_place(storage=tmp_path / "there")
    report_picture(script, stage, 0)
    StageRuns(replace(settings, name="roads"), there, "search", stage).write(list(read_events(stage.journal)))
    assert (pictures_below(place.storage), pictures_below(there.storage)) == (0, 2)


@pytest.mark.parametrize(
    "location", ["file:///elsewhere/artifacts/streets", "mlflow-artifacts:/1", "s3://bucket/mlartifacts/other", ""]
)
def test_files_that_are_kept_elsewhere_stay_there(location, tmp_path):
    assert bring_home(tmp_path / "mlflow.db", tmp_path, location) == location


def test_database_outside_of_the_storage_names_files_as_it_did(tmp_path):
    location = "file:///a/mlartifacts/streets"
    assert bring_home(tmp_path / "mlflow.db", tmp_path / "searches", location) == location
    assert bring_home(None, tmp_path / "searches", location) == location
