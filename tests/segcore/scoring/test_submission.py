import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from segcore.data.classes import CONTEST_CLASSES, VOID
from segcore.errors import DataError, StorageError
from segcore.scoring.submission import list_runs, paint_runs, read_submission, write_submission

CAR, PEDESTRIAN, LANE, BUS, SIGNAL = 0, 1, 2, 3, 8
SKY = 10

SMALL_MASK = np.array(
    [
        [SKY, CAR, CAR, SKY, CAR],
        [SKY, SKY, SKY, SKY, SKY],
        [CAR, CAR, CAR, CAR, CAR],
        [LANE, SKY, SIGNAL, SIGNAL, VOID],
    ],
    np.uint8,
)
SMALL_DOCUMENT = {
    "car": {"0": [[1, 2], [4, 4]], "2": [[0, 4]]},
    "lane": {"3": [[0, 0]]},
    "signal": {"3": [[2, 3]]},
}


def test_runs_are_inclusive_and_absent_classes_and_rows_are_left_out():
    assert list_runs(SMALL_MASK) == SMALL_DOCUMENT
    assert list(list_runs(SMALL_MASK)) == ["car", "lane", "signal"]
    # Pedestrians stand before lanes in the table.
    assert list(list_runs(np.array([[PEDESTRIAN, LANE]], np.uint8))) == ["lane", "pedestrian"]


def test_a_run_ends_at_the_edge_of_the_image_even_if_the_next_row_goes_on():
    mask_HW = np.array([[SKY, CAR], [CAR, SKY]], np.uint8)
    assert list_runs(mask_HW) == {"car": {"0": [[1, 1]], "1": [[0, 0]]}}


def test_pixels_of_no_scored_class_decode_to_void():
    expected_HW = np.where(np.isin(SMALL_MASK, [CAR, PEDESTRIAN, LANE, SIGNAL]), SMALL_MASK, VOID)
    np.testing.assert_array_equal(paint_runs(SMALL_DOCUMENT, height=4, width=5), expected_HW)


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.uint8,
        array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
        elements=st.sampled_from([CAR, PEDESTRIAN, LANE, BUS, SIGNAL, SKY, VOID]),
    )
)
def test_painted_runs_give_back_the_mask_that_they_were_listed_from(mask_HW):
    height, width = mask_HW.shape
    painted_HW = paint_runs(list_runs(mask_HW), height=height, width=width)
    scored_HW = np.isin(mask_HW, CONTEST_CLASSES.scored_indices)
    np.testing.assert_array_equal(painted_HW, np.where(scored_HW, mask_HW, VOID))


@pytest.mark.parametrize(
    "mask", [np.zeros((4, 4), np.int64), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_an_array_that_is_no_mask_is_refused(mask):
    with pytest.raises(DataError, match="take the argmax"):
        list_runs(mask)


def test_the_file_has_sorted_keys_and_no_spaces(tmp_path: Path):
    file = tmp_path / "submission.json"
    masks = [("b.jpg", np.array([[PEDESTRIAN, CAR]], np.uint8)), ("a.jpg", np.array([[SKY]], np.uint8))]
    write_submission(iter(masks), file)
    assert file.read_text() == '{"a.jpg":{},"b.jpg":{"car":{"0":[[1,1]]},"pedestrian":{"0":[[0,0]]}}}'
    assert list(tmp_path.iterdir()) == [file]


def test_a_written_submission_reads_back(tmp_path: Path):
    file = tmp_path / "submission.json"
    write_submission([("x.jpg", SMALL_MASK)], file)
    assert read_submission(file) == {"x.jpg": SMALL_DOCUMENT}


def test_a_submission_without_images_is_an_empty_object(tmp_path: Path):
    write_submission([], tmp_path / "empty.json")
    assert read_submission(tmp_path / "empty.json") == {}


def test_an_image_that_occurs_twice_leaves_the_old_file(tmp_path: Path):
    file = tmp_path / "submission.json"
    file.write_text("{}")
    with pytest.raises(DataError, match=r"'x\.jpg' occurs twice"):
        write_submission([("x.jpg", SMALL_MASK), ("x.jpg", SMALL_MASK)], file)
    assert file.read_text() == "{}"
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_folder_is_a_storage_error(tmp_path: Path):
    with pytest.raises(StorageError, match="make its folder first"):
        write_submission([], tmp_path / "nowhere" / "submission.json")


OUTSIDE = [
    ({"car": {"1": [[3, 5]]}}, r"x.jpg: car, row 1: run \[3, 5\] is outside the image"),
    ({"car": {"4": [[0, 1]]}}, "x.jpg: car, row 4: outside the image; rows go from 0 to 3"),
]
MALFORMED = [
    ({"car": {"1": [[-1, 2]]}}, r"x.jpg: car, row 1: run \[-1, 2\] is outside the image"),
    ({"lane": {"2": [[2, 1]]}}, r"x.jpg: lane, row 2: run \[2, 1\] goes backwards"),
    ({"lane": {"2": [[2, 4], [0, 2]]}}, "x.jpg: lane, row 2: runs overlap"),
    ({"dog": {"0": [[0, 0]]}}, "x.jpg: class 'dog' is not scored"),
    ({"bus": {"0": [[0, 0]]}}, "x.jpg: class 'bus' is not scored"),
    ({"car": {"01": [[0, 0]]}}, "x.jpg: car, row 01: the row is not a whole number"),
    ({"car": {"-1": [[0, 0]]}}, "x.jpg: car, row -1: the row is not a whole number"),
    ({"car": {"0": [[0, 1, 2]]}}, "x.jpg: car, row 0: run .* is not a pair"),
    ({"car": {"0": [[0, 1.5]]}}, "x.jpg: car, row 0: run .* is not a pair"),
    ({"car": {"0": [[False, True]]}}, "x.jpg: car, row 0: run .* is not a pair"),
    ({"car": {"0": []}}, "x.jpg: car, row 0: .* is not a list of runs"),
    ({"car": [[0, 1]]}, "x.jpg: car: .* must be an object of row numbers"),
    ([], "x.jpg: .* must be an object of class names"),
]


@pytest.mark.parametrize(("runs", "message"), MALFORMED)
def test_malformed_content_is_refused_naming_image_class_and_row(runs, message, tmp_path: Path):
    file = tmp_path / "submission.json"
    file.write_text(json.dumps({"x.jpg": runs}))
    with pytest.raises(DataError, match=message):
        read_submission(file)
    with pytest.raises(DataError, match=message):
        paint_runs(runs, height=4, width=5, image="x.jpg")


@pytest.mark.parametrize(("runs", "message"), OUTSIDE)
def test_runs_beyond_an_image_are_refused_where_its_size_is_known(runs, message, tmp_path: Path):
    file = tmp_path / "submission.json"
    file.write_text(json.dumps({"x.jpg": runs}))
    assert read_submission(file) == {"x.jpg": runs}
    with pytest.raises(DataError, match=message):
        paint_runs(runs, height=4, width=5, image="x.jpg")


def test_runs_that_touch_do_not_overlap():
    painted_HW = paint_runs({"car": {"0": [[0, 1], [2, 3]]}}, height=1, width=4)
    np.testing.assert_array_equal(painted_HW, [[CAR, CAR, CAR, CAR]])


def test_a_pixel_of_two_classes_cannot_be_painted():
    document = {"car": {"0": [[0, 2]]}, "signal": {"0": [[2, 3]]}}
    with pytest.raises(DataError, match="signal, row 0: overlaps 'car'"):
        paint_runs(document, height=1, width=4)


def test_every_problem_is_reported_at_once_but_a_flood_is_shortened(tmp_path: Path):
    file = tmp_path / "submission.json"
    file.write_text(json.dumps({"x.jpg": {"car": {str(row): [[1, 0]] for row in range(60)}}}))
    with pytest.raises(DataError) as caught:
        read_submission(file)
    assert len(caught.value.problems) == 51
    assert caught.value.problems[-1] == "and 10 more problems"


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "[" * 100_000, '{"a.jpg": {}, "a.jpg": {}}'], ids=range(6))
def test_a_file_that_is_no_json_object_is_refused(text, tmp_path: Path):
    file = tmp_path / "submission.json"
    file.write_text(text)
    with pytest.raises(DataError, match=r"submission\.json"):
        read_submission(file)
