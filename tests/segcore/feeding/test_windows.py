import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.config import TrainConfig
from segcore.data.classes import VOID
from segcore.feeding.windows import Window, draw_window, largest_share


def test_void_has_no_part_in_the_largest_share():
    # Three pixels of class 0, one of class 254, two void: 3 / 4.
    assert largest_share(np.array([[0, 0, 254], [VOID, VOID, 0]], np.uint8)) == 0.75
    assert largest_share(np.full((2, 2), VOID, np.uint8)) == 1


def test_window_cuts_only_what_the_image_has():
    mask_HW = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert Window(top=0, left=2, height=2, width=9).cut(mask_HW).tolist() == [[2, 3], [6, 7]]
    window = Window(top=4, left=5, height=6, width=7)
    assert window.widened(2, 3) == Window(top=2, left=2, height=10, width=13)


def test_scales_are_even_from_one_over_the_jitter_to_the_jitter():
    config = TrainConfig(input_mode="crop", crop_size=120, scale_jitter=2.0)
    random = np.random.default_rng(0)
    mask_HW = np.zeros((500, 500), np.uint8)
    sides = [draw_window(mask_HW, config, random, None).height for _ in range(600)]
    # 120 / 2 to 120 / 0.5; a third of the scales is below 1, and shows more than 120 pixels.
    assert 60 <= min(sides) < 63 and 225 < max(sides) <= 240
    # Standard deviation sqrt(600 * 1/3 * 2/3) = 11.5.
    assert abs(sum(side > 120 for side in sides) - 200) < 50


@given(
    seed=st.integers(0, 999),
    row=st.integers(0, 59),
    column=st.integers(0, 79),
    share=st.sampled_from([0.5, 1.0]),
)
def test_wanted_pixel_is_inside_at_every_scale_and_share(seed, row, column, share):
    mask_HW = np.zeros((60, 80), np.uint8)
    mask_HW[row, column] = 9
    config = TrainConfig(input_mode="crop", crop_size=48, scale_jitter=3.0, max_class_share=share)
    window = draw_window(mask_HW, config, np.random.default_rng(seed), 9)
    assert window.height == window.width and 16 <= window.height <= 144
    assert (window.cut(mask_HW) == 9).sum() == 1
    # Where the image has room for it, it stays inside.
    assert window.top >= 0 and window.top + window.height <= max(60, window.height)
    assert window.left >= 0 and window.left + window.width <= max(80, window.width)


def test_wanted_pixel_may_be_anywhere_inside_its_crop():
    mask_HW = np.zeros((64, 64), np.uint8)
    mask_HW[40, 20] = 9
    config, random = TrainConfig(input_mode="crop", crop_size=32), np.random.default_rng(0)
    windows = [draw_window(mask_HW, config, random, 9) for _ in range(500)]
    # Rows 9 to 40 hold it, and the image has room from 32 on for no more; columns 0 to 20.
    assert {window.top for window in windows} == set(range(9, 33))
    assert {window.left for window in windows} == set(range(21))


@pytest.mark.parametrize("void_rows", [0, 16])
def test_crops_of_one_class_are_drawn_anew(void_rows):
    # Left 0, right 1: of 33 places 17 have at most 3/4 of one, so ten draws miss them once in 1,400.
    mask_HW = np.repeat(np.array([[0, 1]], np.uint8), 32, axis=1).repeat(32, axis=0)
    mask_HW[:void_rows] = VOID
    values = {"input_mode": "crop", "crop_size": 32}

    def lefts(**more):
        config, random = TrainConfig.from_values({**values, **more}), np.random.default_rng(0)
        return {draw_window(mask_HW, config, random, None).left for _ in range(300)}

    assert lefts() == set(range(33))
    assert lefts(max_class_share=0.75) == set(range(8, 25))


def test_tenth_crop_is_taken_as_it_is():
    config = TrainConfig(input_mode="crop", crop_size=32, max_class_share=0.5)
    random = np.random.default_rng(0)
    window = draw_window(np.zeros((64, 64), np.uint8), config, random, None)
    expected = np.random.default_rng(0).integers(33, size=20)
    assert (window.top, window.left) == tuple(expected[-2:])


def test_whole_images_are_shown_larger_or_smaller_with_jitter():
    mask_HW = np.zeros((40, 60), np.uint8)
    unscaled = draw_window(mask_HW, TrainConfig(max_class_share=0.5), np.random.default_rng(0), None)
    assert unscaled == Window(top=0, left=0, height=40, width=60)
    for seed in range(30):
        random = np.random.default_rng(seed)
        scale = np.random.default_rng(seed).uniform(0.5, 2)
        window = draw_window(mask_HW, TrainConfig(scale_jitter=2.0), random, None)
        assert (window.height, window.width) == (round(40 / scale), round(60 / scale))
