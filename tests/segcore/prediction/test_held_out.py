from dataclasses import replace
from pathlib import Path

import pytest

from segcore.data.case import Case
from segcore.data.dividing.folds import make_folds
from segcore.data.dividing.given_folds import split_officially
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.errors import CheckpointError
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import save_ensemble
from segcore.prediction.held_out import (
    Assignment,
    Origin,
    describe_known_images,
    plan_held_out,
    read_stored_folds,
    spread,
)
from segcore.prediction.training_notes import parse_notes
from tests.conftest import ENCODING

CASES = [
    Case(
        name=f"c{i}",
        image=Path(f"c{i}.jpg"),
        mask=Path(f"c{i}.png"),
        encoding=ENCODING,
        group="r",
        condition="day",
        frame=10 * i,
    )
    for i in range(12)
]


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "search" / "retrain" / "model"
    folder.mkdir(parents=True)
    return folder


def save_split(file, fold_of, folds=3):
    write_folds(FoldSplit(folds=folds, fold_of=fold_of, block_of={name: name for name in fold_of}), file)


def test_each_image_is_predicted_by_the_member_that_left_it_out(model):
    plan = plan_held_out(parse_notes({"folds": [0, 1, 2]}, 3), CASES, model)
    fold_of = make_folds(CASES, 3).fold_of
    assert {name: assignment.members for name, assignment in plan.of_case.items()} == {
        name: (fold,) for name, fold in fold_of.items()
    }
    assert plan.count(Origin.HELD_OUT) == 12
    assert plan.source == "made again from the data, 3 in number"


def test_network_of_one_fold_has_trained_on_the_others(model):
    plan = plan_held_out(parse_notes({"fold": 1, "folds": 3}, 1), CASES, model)
    held_out = [name for name, fold in make_folds(CASES, 3).fold_of.items() if fold == 1]
    assert {name for name, a in plan.of_case.items() if a.origin is Origin.HELD_OUT} == set(held_out)
    assert plan.count(Origin.TRAINED_ON) == 12 - len(held_out)


def test_folds_of_the_search_come_before_those_made_again(model):
    save_split(model.parent.parent / "folds.json", {"c0": 2, "c1": 2, "c2": 0, "c3": 1})
    plan = plan_held_out(parse_notes({"folds": [0, 1, 2]}, 3), CASES, model)
    assert plan.of_case["c0"] == Assignment(members=(2,), origin=Origin.HELD_OUT)
    assert plan.of_case["c3"] == Assignment(members=(1,), origin=Origin.HELD_OUT)
    # Not among the folds: the image came later, so that no member has seen it.
    assert plan.of_case["c9"] == Assignment(members=(0, 1, 2), origin=Origin.HELD_OUT)
    assert plan.source == "read from the search's folds.json"
    assert plan.fold_of == {"c0": 2, "c1": 2, "c2": 0, "c3": 1}


def test_folds_of_the_model_come_before_those_of_the_search(model):
    save_split(model.parent.parent / "folds.json", {"c0": 2, "c1": 2, "c2": 0, "c3": 1})
    save_split(model / "folds.json", {"c0": 0, "c1": 2, "c2": 0, "c3": 1})
    plan = plan_held_out(parse_notes({"folds": [0, 1, 2]}, 3), CASES, model)
    assert plan.of_case["c0"] == Assignment(members=(0,), origin=Origin.HELD_OUT)
    assert plan.source == "read from the model's folds.json"


def test_pseudo_label_without_a_fold_was_trained_on_by_every_member(model):
    save_split(model / "folds.json", {"c0": 2, "c1": 1, "c2": 0})
    pseudo = replace(CASES[5], pseudo=True)
    plan = plan_held_out(parse_notes({"folds": [0, 1, 2]}, 3), [CASES[0], pseudo], model)
    assert plan.of_case["c5"] == Assignment(members=(0, 1, 2), origin=Origin.TRAINED_ON)


@pytest.mark.parametrize("stored", [True, False])
def test_labelled_image_beside_the_folds_was_trained_on_by_every_member(model, stored):
    if stored:
        save_split(model / "folds.json", {"c0": 2, "c1": 1, "c2": 0})
    plan = plan_held_out(parse_notes({"folds": [0, 1, 2], "extra": ["c5"]}, 3), CASES, model)
    assert plan.of_case["c5"] == Assignment(members=(0, 1, 2), origin=Origin.TRAINED_ON)
    assert plan.count(Origin.HELD_OUT) == 11
    if not stored:
        # It has no part in the folds, which would be others with it.
        assert plan.fold_of == make_folds([case for case in CASES if case.name != "c5"], 3).fold_of
    # Nothing else is known of the data set that was trained on beside the folds.
    alone = plan_held_out(parse_notes({"folds": [0, 1, 2], "extra": ["c5"]}, 3), [CASES[5]], model)
    assert alone.of_case["c5"].origin is Origin.TRAINED_ON


def test_older_notes_hold_only_the_number_of_such_images(model):
    save_split(model / "folds.json", {"c0": 2, "c1": 1, "c2": 0})
    notes = {"folds": [0, 1, 2], "extra_cases": 4}
    plan = plan_held_out(parse_notes(notes, 3), [CASES[0], CASES[5], replace(CASES[6], pseudo=True)], model)
    assert plan.of_case["c0"] == Assignment(members=(2,), origin=Origin.HELD_OUT)
    assert plan.of_case["c5"] == Assignment(members=(0, 1, 2), origin=Origin.UNKNOWN)
    assert plan.of_case["c6"].origin is Origin.TRAINED_ON


def test_stored_folds_are_the_models_or_the_searchs_but_never_made_again(model):
    notes = {"folds": [0, 1, 2]}
    assert read_stored_folds(parse_notes(notes, 3).folds, model) is None
    save_split(model.parent.parent / "folds.json", {"c0": 2, "c1": 2, "c2": 0})
    split, source = read_stored_folds(parse_notes(notes, 3).folds, model)
    assert split.fold_of["c1"] == 2 and source == "read from the search's folds.json"
    assert read_stored_folds(parse_notes({}, 3).folds, model) is None


def test_damaged_folds_of_a_model_are_refused_with_where_to_have_them_from(model):
    (model / "folds.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"folds\.json cannot be read .*; restore it from a copy of the model"):
        read_stored_folds(3, model)


def test_a_file_that_holds_no_folds_is_named_with_whose_to_give(model, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(
        CheckpointError, match=r"other\.json cannot be read .*; give the one that the training of .* used"
    ):
        plan_held_out(parse_notes({"folds": [0, 1, 2]}, 3), CASES, model, tmp_path / "other.json")


def test_folds_of_another_number_beside_the_model_are_not_its_own(model):
    save_split(model.parent.parent / "folds.json", {"c0": 0, "c1": 1}, folds=2)
    assert plan_held_out(parse_notes({"folds": [0, 1, 2]}, 3), CASES, model).source.startswith("made again")


def test_given_folds_must_be_those_of_the_training(model, tmp_path):
    save_split(tmp_path / "mine.json", {"c0": 0, "c1": 1}, folds=2)
    with pytest.raises(CheckpointError, match=r"has 2 folds, but .* was trained on 3"):
        plan_held_out(parse_notes({"folds": [0, 1, 2]}, 3), CASES, model, tmp_path / "mine.json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        plan_held_out(parse_notes({"folds": [0, 1, 2]}, 3), CASES, model, tmp_path / "missing.json")


@pytest.mark.parametrize("notes", [{}, {"folds": list(range(50))}])
def test_nothing_is_claimed_where_nothing_is_known(model, notes):
    plan = plan_held_out(parse_notes(notes, len(notes.get("folds", [0, 1]))), CASES, model)
    assert plan.count(Origin.UNKNOWN) == 12
    assert plan.source == ""


def test_images_that_a_networks_start_was_trained_on_are_counted(make_config, classes, tmp_path):
    config, model = make_config(), tmp_path / "model"
    weights = build_architecture(config, 4).state_dict()
    split = FoldSplit(folds=2, fold_of={"a": 0, "b": 1, "c": 1}, block_of={name: name for name in "abc"})
    notes = {"folds": [0, 1], "left_out": [0, 1]}
    save_ensemble(model, iter([weights] * 2), config=config, classes=classes, notes=notes, split=split)
    # Fold 0 was left out of the first network and fold 1 of the second; nobody knows of d.
    assert describe_known_images(str(model), ["a", "d"]) == ""
    said = describe_known_images(str(model), ["a", "b", "c", "d"])
    assert said.startswith(f"{model} was trained on 2 of the 4 images to validate on") and "b first" in said
    assert describe_known_images(str(model / "member_1.safetensors"), ["b", "c"]) == ""
    assert "1 of the 2 images" in describe_known_images(str(model / "member_1.safetensors"), ["a", "b"])
    for weights_of_others in ("imagenet", "none", "nowhere", str(tmp_path)):
        assert describe_known_images(weights_of_others, ["a"]) == ""


OFFICIAL = [replace(case, split="val" if number < 3 else "train") for number, case in enumerate(CASES)]


def origins_of(plan, origin):
    return {name for name, assignment in plan.of_case.items() if assignment.origin is origin}


def test_official_val_is_held_out_and_train_was_trained_on_by_every_member(model):
    write_folds(split_officially(OFFICIAL), model / "folds.json")
    plan = plan_held_out(parse_notes({"folds": [0, 0], "left_out": [0, 0], "split": "official"}, 2), OFFICIAL, model)
    assert origins_of(plan, Origin.HELD_OUT) == {"c0", "c1", "c2"}
    assert origins_of(plan, Origin.TRAINED_ON) == {f"c{number}" for number in range(3, 12)}
    assert {assignment.members for assignment in plan.of_case.values()} == {(0, 1)}
    assert plan.source == "read from the model's folds.json"


def test_official_split_is_found_again_in_the_data(model):
    notes = {"fold": 0, "folds": 1, "left_out": [0], "split": "official"}
    plan = plan_held_out(parse_notes(notes, 1), OFFICIAL, model)
    assert origins_of(plan, Origin.HELD_OUT) == {"c0", "c1", "c2"}
    assert plan.source == "of the split that came with the data"
    assert plan_held_out(parse_notes(notes, 1), CASES, model).count(Origin.UNKNOWN) == 12


def test_own_folds_are_never_made_again(model):
    plan = plan_held_out(parse_notes({"fold": 1, "folds": 3, "split": "own"}, 1), CASES, model)
    assert plan.count(Origin.UNKNOWN) == 12


def test_folds_that_followed_from_pixels_are_not_made_again_without_them(model):
    notes = {"fold": 1, "folds": 3, "left_out": [1], "split": "folds"}
    assert plan_held_out(parse_notes(notes, 1), CASES, model).count(Origin.UNKNOWN) == 12


def test_cases_that_are_taken_stand_in_the_middle_of_equal_parts():
    """Two of ten are the third and the eighth: those behind the middle of five each."""
    numbers = list(range(10))
    assert [spread(numbers, most) for most in (1, 2, 5)] == [[5], [2, 7], [1, 3, 5, 7, 9]]
    assert spread(numbers, None) == spread(numbers, 10) == spread(numbers, 11) == numbers
