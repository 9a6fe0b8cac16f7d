"""What a smaller size costs at most, on masks small enough to work out by hand."""

import numpy as np
import pytest

from segcore.data.classes import VOID
from segcore.data.dataset import read_dataset
from segcore.insight.ceiling import measure_ceilings, shrink_and_enlarge


def test_a_mask_of_even_blocks_comes_back_whole():
    blocks_HW = np.kron(np.array([[0, 1], [2, 3]], np.uint8), np.ones((8, 8), np.uint8))
    np.testing.assert_array_equal(shrink_and_enlarge(blocks_HW, 0.5, 4), blocks_HW)


def test_what_is_thinner_than_a_small_pixel_is_lost():
    # A pole one pixel wide of four: each small pixel of 4 x 4 is mostly road.
    mask_HW = np.zeros((8, 8), np.uint8)
    mask_HW[:, 2] = 1
    np.testing.assert_array_equal(shrink_and_enlarge(mask_HW, 0.25, 2), np.zeros((8, 8), np.uint8))


def test_void_is_no_class_that_is_predicted():
    mask_HW = np.full((4, 4), VOID, np.uint8)
    mask_HW[:, :2] = 1
    assert set(np.unique(shrink_and_enlarge(mask_HW, 0.5, 2)).tolist()) <= {0, 1}
    assert (shrink_and_enlarge(mask_HW, 0.5, 2)[:, :2] == 1).all()


def test_ceilings_rise_with_the_scale_and_end_at_one(make_dataset):
    dataset = read_dataset(make_dataset())
    small, half, full = measure_ceilings(dataset.cases, dataset.classes, (0.1, 0.5, 1.0))
    assert small.metrics["iou"] < half.metrics["iou"] < full.metrics["iou"] == pytest.approx(1.0)
    assert small.images == len(dataset.cases)


def test_an_image_that_cannot_be_decoded_is_passed_over(make_dataset):
    dataset = read_dataset(make_dataset())
    dataset.cases[0].image.write_bytes(b"no image")
    (ceiling,) = measure_ceilings(dataset.cases, dataset.classes, (0.5,))
    assert ceiling.images == len(dataset.cases) - 1
