"""Boundary IoU, worked by hand and compared with the erosion of one class after the other."""

import cv2
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from segcore.data.classes import VOID
from segcore.scoring.boundary import boundary_width, count_boundaries
from segcore.scoring.metrics import score_image, summarise_scores
from tests.conftest import CLASSES

# The classes of conftest: road, car, person, sky.
ROAD, CAR, PERSON, SKY = range(4)


def square(left: int) -> np.ndarray:
    """A car of 8x8 pixels on a road of 16x16, four rows from the top."""
    mask_HW = np.full((16, 16), ROAD, np.uint8)
    mask_HW[4:12, left : left + 8] = CAR
    return mask_HW


@pytest.mark.parametrize(
    ("height", "width", "pixels"),
    # 2 % of the diagonals 22.6, 500 and 2286.2.
    [(16, 16, 1), (300, 400, 10), (1216, 1936, 46)],
)
def test_band_is_as_wide_as_two_percent_of_the_diagonal(height, width, pixels):
    assert boundary_width(height, width) == pixels


def test_bands_of_a_square_by_hand():
    # Car: 8² - 6² = 28. Road: around the car 10² - 8² = 36, and along the image's edge 16² - 14² = 60.
    counts = count_boundaries(square(4), square(4), 4)
    assert counts.tolist() == [[96, 96], [28, 28], [0, 0], [0, 0]]
    assert counts.dtype == np.int64


def test_square_that_is_found_a_pixel_too_far_right_by_hand(classes):
    # Car: of the two rings the rows at the top and at the bottom agree in 7 pixels each: 14 of 28 + 28 - 14 = 42.
    # Road: the edge, 60, and 9 pixels above and 9 below: 78 of 96 + 96 - 78 = 114.
    truth_HW, prediction_HW = square(4), square(5)
    counts = count_boundaries(truth_HW, prediction_HW, 4)
    assert counts.tolist() == [[78, 114], [14, 42], [0, 0], [0, 0]]
    score = score_image("image", "day", np.eye(4, 5, dtype=np.int64), classes, counts)
    metrics = summarise_scores([score], classes, every_class=True)
    assert metrics["boundary_iou"] == pytest.approx((78 / 114 + 14 / 42) / 2)


@pytest.mark.parametrize("own", [ROAD, SKY])
@pytest.mark.parametrize("guess", [ROAD, CAR, SKY, VOID])
def test_void_pixels_count_nowhere_and_make_no_border(own, guess):
    """Only the image's edge is a border, whatever is predicted where the truth is void."""
    truth_HW = np.full((16, 16), own, np.uint8)
    prediction_HW = truth_HW.copy()
    truth_HW[4:12, 4:12], prediction_HW[4:12, 4:12] = VOID, guess
    counts = count_boundaries(truth_HW, prediction_HW, 4)
    assert counts[own].tolist() == [60, 60] and counts.sum() == 120


def test_background_is_a_border_and_no_class():
    # Background in place of the car: the road's band is the same, the car's is missed.
    prediction_HW = square(4)
    prediction_HW[prediction_HW == CAR] = VOID
    assert count_boundaries(square(4), prediction_HW, 4).tolist() == [[96, 96], [0, 28], [0, 0], [0, 0]]


def test_metric_needs_every_class_and_the_counts_of_every_image(classes):
    confusion = np.eye(4, 5, dtype=np.int64)
    counted = score_image("a", "day", confusion, classes, count_boundaries(square(4), square(4), 4))
    uncounted = score_image("b", "day", confusion, classes)
    assert summarise_scores([counted], classes, every_class=True)["boundary_iou"] == 1.0
    assert "boundary_iou" not in summarise_scores([counted], classes, every_class=False)
    assert "boundary_iou" not in summarise_scores([counted, uncounted], classes, every_class=True)


masks = hnp.arrays(np.uint8, (9, 12), elements=st.sampled_from([ROAD, CAR, PERSON, SKY]))
larger = hnp.arrays(np.uint8, (60, 80), elements=st.sampled_from([ROAD, CAR]), fill=st.just(ROAD))


@given(st.tuples(masks, masks) | st.tuples(larger, larger))
def test_counts_are_those_of_the_papers_erosion_of_each_class(pair):
    truth_HW, prediction_HW = pair
    bands = [[_band(mask_HW == index) for index in range(4)] for mask_HW in pair]
    expected = [
        [int((in_truth & in_prediction).sum()), int((in_truth | in_prediction).sum())]
        for in_truth, in_prediction in zip(*bands, strict=True)
    ]
    assert count_boundaries(truth_HW, prediction_HW, 4).tolist() == expected


def _band(is_class_HW: np.ndarray) -> np.ndarray:
    """The mask without what is left of it, eroded from the image's edge on."""
    mask_HW = is_class_HW.astype(np.uint8)
    steps = max(1, round(0.02 * float(np.hypot(*mask_HW.shape))))
    framed_HW = cv2.copyMakeBorder(mask_HW, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    for _ in range(steps):
        framed_HW = cv2.erode(framed_HW, np.ones((3, 3), np.uint8))
    return (mask_HW - framed_HW[1:-1, 1:-1]).astype(bool)


with_void = hnp.arrays(np.uint8, (9, 12), elements=st.sampled_from([ROAD, CAR, PERSON, SKY, VOID]))


@given(st.lists(st.tuples(with_void, with_void), min_size=1, max_size=4))
def test_score_of_several_images_follows_from_their_added_counts(pairs):
    counts = [count_boundaries(truth_HW, prediction_HW, 4) for truth_HW, prediction_HW in pairs]
    assert all((each[:, 0] >= 0).all() and (each[:, 0] <= each[:, 1]).all() for each in counts)
    scores = [score_image("i", "day", np.zeros((4, 5), np.int64), CLASSES, each) for each in counts]
    both_C, either_C = np.sum(counts, axis=0).T
    present = either_C > 0
    found = summarise_scores(scores, CLASSES, every_class=True).get("boundary_iou")
    expected = pytest.approx(float((both_C[present] / either_C[present]).mean())) if present.any() else None
    assert found == expected
