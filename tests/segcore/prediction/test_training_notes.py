import pytest

from segcore.errors import CheckpointError
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import save_ensemble
from segcore.prediction.training_notes import TrainingNotes, parse_notes, read_notes


@pytest.mark.parametrize(
    ("notes", "members", "expected"),
    [
        ({"fold": 2, "folds": 5}, 1, ((2,), 5)),
        ({"folds": [0, 1, 2]}, 3, ((0, 1, 2), 3)),
        # A training may give several members.
        ({"fold": 2, "folds": 5, "left_out": [2, 2]}, 2, ((2, 2), 5)),
        ({"folds": [0, 1], "left_out": [0, 0, 1, 1]}, 4, ((0, 0, 1, 1), 2)),
        # Whoever left out fold 3 knew four.
        ({"folds": 2, "left_out": [0, 3]}, 2, ((0, 3), 4)),
    ],
)
def test_notes_of_a_training_and_of_a_retraining_name_the_fold_that_each_member_left_out(notes, members, expected):
    found = parse_notes(notes, members)
    assert (found.left_out, found.folds) == expected


@pytest.mark.parametrize(
    "notes",
    [
        {},
        None,
        ["folds"],
        {"fold": 2, "folds": 5},
        {"folds": [0, 1]},
        {"folds": ["a"] * 3},
        {"folds": 3, "left_out": [0]},
    ],
)
def test_notes_that_do_not_fit_three_members_say_nothing_of_folds(notes):
    assert parse_notes(notes, 3) == TrainingNotes(members=3)


def test_notes_of_no_members_say_nothing_of_folds():
    assert parse_notes({"folds": 3, "left_out": []}, 0) == TrainingNotes(members=0)


def test_score_is_that_of_the_metric_that_decided():
    assert parse_notes({"ious": [0.1, 0.3]}, 1) == TrainingNotes(members=1, metric="iou", score=0.3)
    of_training = parse_notes({"metric": "iou/car", "scores": [0.1, 0.3]}, 1)
    assert (of_training.metric, of_training.score) == ("iou/car", 0.3)
    assert parse_notes({"out_of_fold": {"iou": 0.5}}, 1).score == 0.5
    assert parse_notes({"metric": "miou", "out_of_fold": {"iou": 0.5, "miou": 0.4}}, 1).score == 0.4
    assert parse_notes({"metric": "miou", "out_of_fold": {"iou": 0.5}}, 1).score is None
    assert parse_notes({"ious": []}, 1).score is None


def test_older_notes_hold_the_number_of_extra_images_alone():
    named = parse_notes({"extra": ["a", 7, "b"]}, 1)
    assert (named.extra, named.extra_is_known) == ({"a", "b"}, True)
    counted = parse_notes({"extra_cases": 4}, 1)
    assert (counted.extra, counted.extra_is_known) == (frozenset(), False)


def test_trial_is_told_with_its_search_alone():
    told = parse_notes({"search": "streets", "trial": 4, "run": "http://h/1"}, 1)
    assert (told.search, told.trial, told.run) == ("streets", 4, "http://h/1")
    for notes in ({"search": "streets"}, {"search": 3, "trial": 4}, {"trial": 4}):
        assert (parse_notes(notes, 1).search, parse_notes(notes, 1).trial) == ("", 0)


def test_notes_are_those_of_the_models_directory(make_config, classes, tmp_path):
    with pytest.raises(CheckpointError):
        read_notes(tmp_path)
    config, notes = make_config(), {"folds": 2, "left_out": [1, 1], "split": "own"}
    weights = build_architecture(config, 4).state_dict()
    save_ensemble(tmp_path / "model", iter([weights] * 2), config=config, classes=classes, notes=notes)
    assert read_notes(tmp_path / "model") == TrainingNotes(members=2, left_out=(1, 1), folds=2, split="own")
