"""Trainings by a division that is given, and what other commands make of their models."""

import json

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.data.dividing.split import read_folds
from segcore.errors import CheckpointError

TRAINING = ("backbone=tf_efficientnet_lite0", "weights=none", "decoder_channels=16", "batch_size=2", "epochs=1")
NAMES = [*(f"train_{number}" for number in range(8)), *(f"val_{number}" for number in range(4))]


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def train(run, divided_folder, tmp_path):
    def invoke(*arguments):
        settings = [word for value in TRAINING for word in ("--set", value)]
        where = ("--out", tmp_path / "out", "--cache", tmp_path / "cache", "--cpus", 1)
        return run("train", divided_folder, *where, *settings, *arguments)

    return invoke


def test_official_val_is_held_out_from_its_training_and_known_to_be_so_later(run, train, divided_folder, tmp_path):
    done = train("--split", "official")
    assert done.exit_code == 0, done.output
    told = "the official split, which came with the data: 8 cases to train on, 4 to validate on; no image has a frame"
    assert told in done.output
    model = tmp_path / "out" / "model"
    notes = json.loads((model / "ensemble.json").read_text())["notes"]
    assert (notes["fold"], notes["folds"], notes["split"], notes["left_out"]) == (0, 1, "official", [0])
    assert {name: fold for name, fold in read_folds(model / "folds.json").fold_of.items() if fold is not None} == {
        f"val_{number}": 0 for number in range(4)
    }
    shown = run("errors", model, divided_folder, tmp_path / "page.html", "--cpus", 1)
    assert shown.exit_code == 0, shown.output
    assert "4 images were predicted out of fold" in shown.output
    assert "8 images were left out, because the model trained on them" in shown.output
    assert "The training noted the same miou on its held-out images" in shown.output
    tuned = run("tune-predict", model, divided_folder, "--cpus", 1)
    assert tuned.exit_code == 0, tuned.output
    assert "Scored on 4 images that their networks did not train on" in tuned.output
    # With other sides it is another training.
    (tmp_path / "mine.csv").write_text("name,fold\n" + "".join(f"{name},{name == 'val_0':d}\n" for name in NAMES))
    other = train("--folds-file", tmp_path / "mine.csv")
    assert "the fold must be the same" in str(other.exception)


def test_own_folds_are_trained_as_they_are(train, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({name: number % 3 for number, name in enumerate(NAMES)}))
    done = train("--folds-file", tmp_path / "mine.json", "--fold", 2)
    assert done.exit_code == 0, done.output
    assert "folds given by --folds-file: 4, 4, 4 cases in 3 folds" in done.output
    model = tmp_path / "out" / "model"
    notes = json.loads((model / "ensemble.json").read_text())["notes"]
    assert (notes["fold"], notes["folds"], notes["split"]) == (2, 3, "own")
    assert read_folds(model / "folds.json").fold_of["train_2"] == 2


def test_a_second_training_into_one_folder_is_refused_until_the_first_is_done(train, tmp_path):
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        refused = train("--folds", 2)
    assert isinstance(refused.exception, CheckpointError)
    assert f"--out {tmp_path / 'out'} is in use by another training" in str(refused.exception)
    done = train("--folds", 2)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "official", "--folds", 5), "--folds 5 contradicts --split official"),
        (("--split", "official", "--fold", 1), "fold 1 does not exist; there is fold 0 alone"),
    ],
)
def test_options_that_contradict_the_official_split_are_refused(train, arguments, message):
    assert message in str(train(*arguments).exception)


def test_data_without_an_official_split_is_refused(run, dataset_folder, tmp_path):
    done = run("train", dataset_folder, "--out", tmp_path / "out", "--split", "official", "--cpus", 1)
    assert "none of the 12 images says that it is for train or val" in str(done.exception)


def test_check_judges_the_division_that_is_given(run, divided_folder, dataset_folder):
    checked = run("check", divided_folder, "--split", "official")
    assert checked.exit_code == 0, checked.output
    assert "the official split, which came with the data: 8 cases to train on, 4 to validate on" in checked.output
    refused = run("check", dataset_folder, "--split", "official")
    assert "none of the 12 images says that it is for train or val" in str(refused.exception)
    assert "lists such as train.txt that 'splits' of a dataset.json names" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "backbone_options=foo=1"), "'foo' is nothing that backbone='tf_efficientnet_lite0' takes"),
        (("--folds", 3, "--fold", 3), "fold 3 does not exist; there are folds 0 to 2"),
    ],
)
def test_network_or_fold_that_cannot_be_is_refused_before_anything_is_decoded(train, tmp_path, arguments, message):
    assert message in str(train(*arguments).exception)
    assert not (tmp_path / "cache").exists()


def test_training_is_refused_at_once_where_its_model_would_take_the_place_of_something_else(train, tmp_path):
    own = tmp_path / "out" / "model" / "code.py"
    own.parent.mkdir(parents=True)
    own.write_text("my own")
    assert "something else is there; choose another folder" in str(train().exception)
    assert not (tmp_path / "cache").exists()
    assert own.read_text() == "my own"
