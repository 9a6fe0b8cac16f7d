from dataclasses import replace
from pathlib import Path

import pytest

from segcore.data.case import Case
from segcore.data.dividing.given_folds import describe_division, find_unlike_sides, match_folds, split_officially
from segcore.data.dividing.own_folds import OwnFolds
from segcore.data.dividing.split import FoldSplit, read_folds, write_folds
from segcore.errors import DataError
from tests.conftest import ENCODING


def make_case(name, split="", frame=None, group="drive", **changes):
    case = Case(name=name, image=Path("i"), mask=Path("m"), encoding=ENCODING, group=group, split=split, frame=frame)
    return replace(case, **changes)


def own(**fold_of):
    return OwnFolds(file=Path("mine.json"), fold_of=fold_of)


def test_official_train_is_trained_on_and_official_val_validated(tmp_path):
    cases = [make_case("a", "val"), make_case("b", "train"), make_case("c", "train")]
    split = split_officially(cases)
    assert (split.folds, split.kind) == (1, "official")
    assert split.split(["c", "a", "b", "more"], 0, ["more"]) == ([0, 2, 3], [1])
    write_folds(split, tmp_path / "folds.json")
    assert read_folds(tmp_path / "folds.json") == split
    assert split.describe() == "the official split, which came with the data: 2 cases to train on, 1 to validate on"


def test_blocks_of_neighbours_end_where_the_sides_meet():
    # 8 frames of one drive: blocks of 4 at most, but frame 3 is already on the other side.
    sides = ["train"] * 3 + ["val"] * 5
    cases = [make_case(f"f{frame}", side, frame) for frame, side in enumerate(sides)]
    split = split_officially(cases)
    assert split.block_of == {
        "f0": "f0", "f1": "f0", "f2": "f0", "f3": "f3", "f4": "f3", "f5": "f3", "f6": "f3", "f7": "f7",
    }  # fmt: skip
    assert describe_division(cases, split).endswith(
        "; 1 of 7 pairs of neighbouring frames stand on two sides of it, 0 blocks are divided"
    )


def test_same_frame_of_two_cameras_on_two_sides_is_two_blocks():
    cases = [make_case("left", "train", 0), make_case("right", "val", 0)]
    assert split_officially(cases).block_of == {"left": "left", "right": "right"}


def test_images_without_frames_stand_alone_and_leakage_cannot_be_told():
    cases = [make_case("a", "val"), make_case("b", "train"), make_case("c", "val")]
    split = split_officially(cases)
    assert split.block_of == {"a": "a", "b": "b", "c": "c"}
    assert "no image has a frame number" in describe_division(cases, split)


def test_data_without_an_official_split_is_refused_with_what_would_give_one():
    with pytest.raises(DataError, match=r"none of the 2 images says.*column split of cases\.csv.*--folds-file"):
        split_officially([make_case("a"), make_case("b")])


def test_cases_on_no_side_are_refused_by_their_number():
    cases = [make_case("t", "train"), *(make_case(f"n{number}") for number in range(7))]
    with pytest.raises(DataError) as caught:
        split_officially(cases)
    assert caught.value.problems == (
        "7 images are on no side of it: n0, n1, n2, n3, n4 and 2 more",
        "no image is for val",
    )
    with pytest.raises(DataError) as caught:
        split_officially([make_case("v", "val")])
    assert caught.value.problems == ("no image is for train",)


def test_pseudo_labels_may_be_trained_on_and_not_validated():
    cases = [make_case("a", "val", pseudo=True), make_case("b", "train", pseudo=True), make_case("c", "val")]
    with pytest.raises(DataError, match=r"1 pseudo label is to be validated, .*: a"):
        split_officially(cases)
    assert split_officially(cases[1:]).fold_of == {"b": None, "c": 0}
    assert match_folds(own(b=None, c=0), cases[1:]).fold_of == {"b": None, "c": 0}


def test_own_folds_are_those_of_the_file():
    cases = [make_case("a", frame=0), make_case("b", frame=1), make_case("c", frame=2)]
    split = match_folds(own(a=0, b=0, c=1), cases)
    assert (split.folds, split.kind, split.fold_of) == (2, "own", {"a": 0, "b": 0, "c": 1})
    assert split.block_of == {"a": "a", "b": "a", "c": "c"}
    assert "1 of 2 pairs" in describe_division(cases, split)
    assert split.describe() == "folds given by --folds-file: 2, 1 cases in 2 folds"


def test_blocks_of_the_file_come_before_those_that_are_made():
    cases = [make_case("a", frame=0), make_case("b", frame=1), make_case("c", frame=2)]
    split = match_folds(replace(own(a=0, b=0, c=None), block_of={"b": "own/x"}), cases)
    assert split.block_of == {"a": "a", "b": "own/x", "c": "c"}
    assert split.split(["a", "b", "c"], 0) == ([2], [0, 1])


def test_everything_in_which_file_and_data_differ_is_told_at_once():
    cases = [make_case("a"), make_case("b", pseudo=True), make_case("new")]
    with pytest.raises(DataError, match=r"mine\.json does not fit the data") as caught:
        match_folds(own(a=0, b=1, old=1, older=0), cases)
    assert caught.value.problems == (
        "2 names that no image has (an image is called 'a'): old, older",
        "1 image has no fold: new",
        "1 pseudo label is to be validated, which would only measure agreement with the model that made them: b",
    )


def test_class_that_only_one_side_has_is_said():
    split = split_officially([make_case("a", "val"), make_case("b", "train"), make_case("c", "train")])
    classes_of = {"a": frozenset({"car", "rider"}), "b": frozenset({"car"}), "c": frozenset({"bus"})}
    assert list(find_unlike_sides(split, classes_of)) == [
        "rider: no image to train on has it, so it is never learnt, and counts in the score",
        "bus: no image to validate on has it, so it is not scored",
    ]
    folds = match_folds(own(a=0, b=1, c=1), [make_case("a"), make_case("b"), make_case("c")])
    assert list(find_unlike_sides(folds, classes_of)) == []


def test_made_folds_are_told_without_what_they_part():
    split = FoldSplit(folds=2, fold_of={"a": 0, "b": 1}, block_of={"a": "a", "b": "b"})
    assert describe_division([make_case("a"), make_case("b")], split) == "folds made of the data: 1, 1 cases in 2 folds"
