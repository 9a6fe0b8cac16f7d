import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data.case import Case
from segcore.data.classes import ClassTable, class_table_to_json
from segcore.data.dividing.division import Division
from segcore.errors import DataError
from segcore.insight.explore import (
    bin_by_doubling,
    choose_rare_examples,
    choose_stratum_examples,
    class_shares_by_fold,
    count_frame_gaps,
    explore_dataset,
    objects_by_class,
)
from tests.conftest import ENCODING

TABLE = ClassTable(
    names=("road", "car", "sky"),
    colours=((128, 64, 128), (0, 0, 255), (0, 152, 225)),
    scored=("car",),
    void=((0, 0, 0),),
)


def make_case(name="a", group="r", condition="day", frame=0):
    return Case(
        name=name, image=Path(name), mask=Path(name), encoding=ENCODING, group=group, condition=condition, frame=frame
    )


def save(folder, name, mask_HW, *, group="r", condition="day", frame=0):
    for part in ("seg_train_images", "seg_train_annotations"):
        (folder / part).mkdir(exist_ok=True)
    mask_HW = np.array(mask_HW, np.uint8)
    # Frame numbers as grey, so that no two images are the same.
    Image.fromarray(np.full((*mask_HW.shape, 3), frame, np.uint8)).save(folder / "seg_train_images" / f"{name}.png")
    Image.fromarray(TABLE.palette_N3[mask_HW]).save(folder / "seg_train_annotations" / f"{name}.png")
    document = {"attributes": {"route": group, "timeofday": condition}, "frameIndex": frame}
    (folder / "seg_train_annotations" / f"{name}.json").write_text(json.dumps(document))


@pytest.fixture
def folder(tmp_path):
    """Four images of 4 x 4 pixels in two folds: two near frames by day, two by night."""
    (tmp_path / "classes.json").write_text(json.dumps(class_table_to_json(TABLE)))
    empty = np.zeros((4, 4))
    save(tmp_path, "a", [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]], frame=0)
    save(tmp_path, "b", empty, frame=100)
    save(tmp_path, "c", [[2] * 4, [2] * 4, [255] * 4, [0] * 4], condition="night", frame=7)
    save(tmp_path, "d", empty, condition="night", frame=200)
    return tmp_path


def explore(folder, folds=2):
    steps = []
    exploration = explore_dataset(
        folder, Division(kind="folds", folds=folds), lambda done, total: steps.append((done, total))
    )
    assert steps == [(done, 8) for done in range(1, 9)]
    return exploration


def test_gaps_are_counted_within_a_route_at_one_time_of_day():
    cases = [make_case(frame=frame) for frame in (40, 10, 12)]
    cases += [make_case(frame=11, condition="night"), make_case(frame=13, group="s"), make_case(frame=13, group="s")]
    assert count_frame_gaps(cases) == {("r", "day"): [2, 28], ("r", "night"): [], ("s", "day"): [0]}


def test_bins_double():
    assert bin_by_doubling([1, 2, 3, 3, 9.5]) == [(1, 1, 1), (2, 3, 3), (4, 7, 0), (8, 15, 1)]
    assert bin_by_doubling([0, 0, 1]) == [(0, 0, 2), (1, 1, 1)]
    assert bin_by_doubling([30, 31, 32]) == [(16, 31, 2), (32, 63, 1)]
    assert bin_by_doubling([]) == []


def test_objects_of_the_scored_classes_are_counted(folder):
    assert {name: sorted(objects.areas_N.tolist()) for name, objects in objects_by_class(explore(folder)).items()} == {
        "car": [1, 3]
    }


def test_class_shares_of_each_fold_and_of_all_leave_void_out(folder):
    exploration = explore(folder)
    shares_CF = class_shares_by_fold(exploration)
    # All: 64 pixels less 4 of void; car 4, sky 8, road the rest.
    assert shares_CF[:, -1].tolist() == pytest.approx([48 / 60, 4 / 60, 8 / 60])
    for name, index, pixels in (("a", 1, 4), ("c", 2, 8)):
        fold = exploration.report.findings.split.fold_of[name]
        mates = [other for other, of_fold in exploration.report.findings.split.fold_of.items() if of_fold == fold]
        total = 16 * len(mates) - 4 * ("c" in mates)
        assert shares_CF[index, fold] == pytest.approx(pixels / total)


def test_examples_are_spread_over_every_route_and_time_of_day(folder):
    examples = choose_stratum_examples(explore(folder))
    assert [(example.case.name, example.reason) for example in examples] == [
        ("a", "r, day"), ("b", "r, day"), ("c", "r, night"), ("d", "r, night"),
    ]  # fmt: skip


def test_rare_classes_are_shown_where_they_are_largest_rarest_first(folder):
    examples = choose_rare_examples(explore(folder), each=1)
    assert [(example.case.name, example.reason) for example in examples] == [
        ("a", "car: 25.0% of this image"), ("c", "sky: 66.7% of this image"), ("b", "road: 100.0% of this image"),
    ]  # fmt: skip


def test_broken_images_are_left_out_and_named_as_check_does(folder):
    (folder / "seg_train_annotations" / "d.png").unlink()
    (folder / "seg_train_images" / "b.png").write_bytes(b"nothing")
    exploration = explore_dataset(folder, Division(kind="folds", folds=2), lambda done, total: None)
    assert [counts.case.name for counts in exploration.cases] == ["a", "c"]
    assert len(exploration.report.cases) == 2
    # Of the images that are left one alone has a car, so one of two folds has none.
    assert [problem.split(":")[0] for problem in exploration.report.problems] == ["b.png", "d.png", "fold 1"]


def test_data_without_a_usable_image_is_said_in_one_line(folder):
    for mask in (folder / "seg_train_annotations").glob("*.png"):
        mask.unlink()
    with pytest.raises(DataError, match=r"no usable image \(a.png: missing in .*away; and 4 more problems\)") as caught:
        explore_dataset(folder, Division(kind="folds", folds=2), lambda done, total: None)
    assert "\n" not in str(caught.value)


def test_data_without_masks_folder_is_said_in_one_line(folder):
    (folder / "seg_train_annotations").rename(folder / "elsewhere")
    with pytest.raises(DataError, match="seg_train_annotations/ is missing") as caught:
        explore_dataset(folder, Division(kind="folds", folds=2), lambda done, total: None)
    assert "\n" not in str(caught.value)


def test_layout_that_is_named_is_explored(two_layouts):
    exploration = explore_dataset(two_layouts, Division(kind="folds", folds=2), lambda done, total: None, "pairs")
    assert [counts.case.name for counts in exploration.cases] == ["pair_0", "pair_1", "pair_2", "pair_3"]
