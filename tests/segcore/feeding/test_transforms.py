import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.config import TrainConfig
from segcore.data.classes import PADDING_GREY, VOID
from segcore.errors import ConfigError, DataError
from segcore.feeding.augmentation import change
from segcore.feeding.transforms import (
    augment,
    count_crops,
    cut_sample,
    cut_size,
    read_window,
    require_crop_fits,
    scaled_size,
)
from segcore.feeding.windows import Window


def _coordinates(height, width):
    """An image whose red is the row and green the column, and a mask that is the row plus the column."""
    rows_HW, columns_HW = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows_HW, columns_HW, rows_HW], axis=2), rows_HW + columns_HW


def _assert_aligned(image_HW3, mask_HW):
    np.testing.assert_array_equal(image_HW3[..., 0] + image_HW3[..., 1], mask_HW)


@pytest.mark.parametrize(
    ("values", "samples"),
    [
        ({"input_mode": "crop", "crop_size": 32}, 6),  # 64 x 96 / 32^2 = 6
        ({"input_mode": "crop", "crop_size": 50}, 2),  # 6144 / 2500 = 2.46
        ({"input_mode": "crop", "crop_size": 128}, 1),  # 6144 / 16384 = 0.375, at least 1
        ({"input_mode": "crop", "crop_size": 32, "crops_per_image": 4}, 4),
        ({"input_mode": "resize", "crops_per_image": 4}, 1),
        ({"input_mode": "full", "crops_per_image": 4}, 1),
    ],
)
def test_epoch_takes_as_many_crops_as_cover_the_image_once(make_config, values, samples):
    assert count_crops(64, 96, make_config(**values)) == samples


def test_crop_larger_than_the_images_is_refused_with_one_that_fits(make_config):
    with pytest.raises(ConfigError, match=r"crop_size=96 is larger .* 70 pixels; use crop_size=64 "):
        require_crop_fits(70, make_config(input_mode="crop", crop_size=96))


def test_crop_as_large_as_the_image_and_other_modes_are_allowed(make_config):
    require_crop_fits(96, make_config(input_mode="crop", crop_size=96))
    require_crop_fits(70, make_config(input_mode="full", crop_size=96))
    require_crop_fits(70, make_config(input_mode="resize", crop_size=96))


def test_crop_cuts_image_and_mask_at_one_place_and_reaches_every_place(make_config):
    image_HW3, mask_HW = _coordinates(34, 33)
    config = make_config(input_mode="crop", crop_size=32)
    random = np.random.default_rng(0)
    places = set()
    for _ in range(100):
        crop_HW3, crop_HW = cut_sample(image_HW3, mask_HW, config, random)
        assert crop_HW.shape == (32, 32)
        _assert_aligned(crop_HW3, crop_HW)
        places.add((int(crop_HW3[0, 0, 0]), int(crop_HW3[0, 0, 1])))
    # 34 - 32 + 1 = 3 rows and 33 - 32 + 1 = 2 columns.
    assert places == {(top, left) for top in range(3) for left in range(2)}


@pytest.mark.parametrize("wanted_class", [None, 9])
def test_crop_of_a_smaller_image_is_filled_up_with_grey_and_void(make_config, wanted_class):
    image_HW3, mask_HW = _coordinates(20, 40)
    mask_HW[:] = 3
    mask_HW[19, 39] = 9
    config = make_config(input_mode="crop", crop_size=32)
    crop_HW3, crop_HW = cut_sample(image_HW3, mask_HW, config, np.random.default_rng(0), wanted_class)
    assert crop_HW3.shape == (32, 32, 3) and crop_HW.shape == (32, 32)
    # All 20 rows are there, and 32 of 40 columns; below there is nothing.
    np.testing.assert_array_equal(crop_HW3[:20, 0, 0], np.arange(20))
    assert (crop_HW[:20] != VOID).all() and (crop_HW[20:] == VOID).all() and (crop_HW3[20:] == PADDING_GREY).all()
    assert wanted_class is None or (crop_HW == 9).sum() == 1


def test_resize_scales_image_and_mask_alike(make_config):
    image_HW3 = np.zeros((64, 96, 3), np.uint8)
    image_HW3[:, 48:] = 200
    mask_HW = np.zeros((64, 96), np.uint8)
    mask_HW[:, 48:] = 200
    small_HW3, small_HW = cut_sample(
        image_HW3, mask_HW, make_config(input_mode="resize", scale=0.25), np.random.default_rng(0)
    )
    assert small_HW3.shape == (16, 24, 3)
    np.testing.assert_array_equal(small_HW, small_HW3[..., 0])


def test_enlarged_image_and_mask_show_the_same_place(make_config):
    image_HW3 = np.zeros((6, 8, 3), np.uint8)
    image_HW3[:, 4:] = 200
    mask_HW = (image_HW3[..., 0] > 0).astype(np.uint8)
    config = make_config(input_mode="resize", scale=2.0)
    large_HW3, large_HW = cut_sample(image_HW3, mask_HW, config, np.random.default_rng(0))
    assert large_HW3.shape == (12, 16, 3)
    # Between columns of 0 and 200 stand a quarter and three quarters of the way; the border is where it was.
    assert large_HW3[0, :, 0].tolist() == [0] * 7 + [50, 150] + [200] * 7
    np.testing.assert_array_equal(large_HW, (large_HW3[..., 0] > 100).astype(np.uint8))


def test_resize_never_mixes_class_indices(make_config):
    # Between pixels of 0 and 200 a blend would be some class of its own.
    mask_HW = 200 * np.random.default_rng(0).integers(0, 2, (64, 96), np.uint8)
    _, small_HW = cut_sample(
        np.zeros((64, 96, 3), np.uint8), mask_HW, make_config(input_mode="resize", scale=0.3), np.random.default_rng(0)
    )
    assert set(np.unique(small_HW)) == {0, 200}


def test_full_mode_takes_the_image_as_it_is(make_config):
    image_HW3, mask_HW = _coordinates(20, 30)
    full_HW3, full_HW = cut_sample(image_HW3, mask_HW, make_config(), np.random.default_rng(0))
    np.testing.assert_array_equal(full_HW3, image_HW3)
    np.testing.assert_array_equal(full_HW, mask_HW)


def test_scaled_size_is_rounded_and_never_empty():
    assert scaled_size(33, 51, 0.5) == (16, 26)  # 16.5 and 25.5 round to even
    assert scaled_size(3, 100, 0.1) == (1, 10)  # 0.3 rounds to 0


def test_flip_mirrors_half_of_the_samples_with_their_masks(make_config):
    image_HW3, mask_HW = _coordinates(4, 6)
    random = np.random.default_rng(0)
    mirrored = 0
    for _ in range(200):
        changed_HW3, changed_HW = augment(image_HW3, mask_HW, make_config(augmentation="flip"), random)
        _assert_aligned(changed_HW3, changed_HW)
        assert changed_HW3[0, 0, 1] in (0, 5)
        np.testing.assert_array_equal(changed_HW3[:, 0, 0], np.arange(4))  # rows stay in place
        mirrored += changed_HW3[0, 0, 1] == 5
    # Standard deviation sqrt(200 / 4) = 7; 65 to 135 are five of them.
    assert 65 <= mirrored <= 135


def test_no_augmentation_leaves_samples_alone(make_config):
    image_HW3, mask_HW = _coordinates(4, 6)
    for seed in range(20):
        changed_HW3, _ = augment(image_HW3, mask_HW, make_config(augmentation="none"), np.random.default_rng(seed))
        np.testing.assert_array_equal(changed_HW3, image_HW3)


@pytest.mark.parametrize("place", [(0, 0), (39, 0), (0, 49), (39, 49), (13, 27)])
def test_crop_that_wants_a_class_has_its_only_pixel_at_every_place(make_config, place):
    # The first look, at every 8th row and column, mostly misses a single pixel.
    config = make_config(input_mode="crop", crop_size=32)
    mask_HW = np.zeros((40, 50), np.uint8)
    mask_HW[place] = 9
    image_HW3, _ = _coordinates(40, 50)
    random = np.random.default_rng(0)
    tops, lefts = set(), set()
    for _ in range(300):
        crop_HW3, crop_HW = cut_sample(image_HW3, mask_HW, config, random, 9)
        assert crop_HW.shape == (32, 32)
        assert (crop_HW == 9).sum() == 1
        tops.add(int(crop_HW3[0, 0, 0]))
        lefts.add(int(crop_HW3[0, 0, 1]))
    # Every crop of the image with the pixel inside comes up: its side is 32.
    assert tops == set(range(max(0, place[0] - 31), min(place[0], 40 - 32) + 1))
    assert lefts == set(range(max(0, place[1] - 31), min(place[1], 50 - 32) + 1))


def test_search_for_a_class_meets_all_its_pixels(make_config):
    # The first look takes every 8th pixel: from a fixed start it would always find the same of the two.
    config = make_config(input_mode="crop", crop_size=32)
    mask_HW = np.zeros((40, 120), np.uint8)
    mask_HW[0, 8] = mask_HW[19, 110] = 9
    image_HW3, _ = _coordinates(40, 120)
    random = np.random.default_rng(0)
    lefts = [int(cut_sample(image_HW3, mask_HW, config, random, 9)[0][0, 0, 1]) for _ in range(100)]
    assert 20 < sum(left < 40 for left in lefts) < 80


def test_class_that_is_not_in_the_mask_is_said(make_config):
    image_HW3, mask_HW = _coordinates(40, 50)
    with pytest.raises(DataError, match="Class 200 is not in the mask"):
        cut_sample(image_HW3, mask_HW, make_config(input_mode="crop", crop_size=32), np.random.default_rng(0), 200)


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_strength_of_the_configuration_is_used(make_config, strength):
    image_HW3 = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    mask_HW = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
    for seed in range(5):
        ours = augment(image_HW3, mask_HW, make_config(augmentation=strength), np.random.default_rng(seed))
        theirs = change(image_HW3, mask_HW, strength, np.random.default_rng(seed))
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def _window(top, left, height, width):
    return Window(top=top, left=left, height=height, width=width)


def test_enlarged_window_takes_the_nearest_class():
    image_HW3, mask_HW = _coordinates(4, 4)
    large_HW3, large_HW = read_window(image_HW3, mask_HW, _window(1, 1, 2, 2), (4, 4))
    # Rows 1 and 2 and columns 1 and 2, each twice.
    assert large_HW.tolist() == [[2, 2, 3, 3], [2, 2, 3, 3], [3, 3, 4, 4], [3, 3, 4, 4]]
    # Red is the row: halfway between the pixels' centres, a quarter and three quarters of the way.
    assert large_HW3[:, 0, 0].tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("factor", [1.5, 2.5, 3.0])
def test_enlarged_mask_stays_where_the_image_is(factor):
    # An edge in the middle of 40 pixels: by the plain nearest pixel it would move.
    mask_HW = np.repeat(np.array([0, 200], np.uint8), 20)[None].repeat(8, axis=0)
    size = (round(8 * factor), round(40 * factor))
    large_HW3, large_HW = read_window(mask_HW[..., None].repeat(3, axis=2), mask_HW, _window(0, 0, 8, 40), size)
    assert (large_HW == 200).sum(1).tolist() == [size[1] // 2] * size[0]
    np.testing.assert_array_equal(large_HW3[..., 0] > 100, large_HW > 100)


def test_window_made_smaller_takes_the_largest_area():
    mask_HW = np.array([[1, 1, 2, 2], [1, 3, 2, 4], [5, 5, 6, 7], [5, 5, 6, 6]], np.uint8)
    small_HW3, small_HW = read_window(mask_HW[..., None].repeat(3, axis=2) * 4, mask_HW, _window(0, 0, 4, 4), (2, 2))
    assert small_HW.tolist() == [[1, 2], [5, 6]]
    # Means of the four pixels: 4 * 6 / 4, 4 * 10 / 4, 4 * 5, 4 * 25 / 4.
    assert small_HW3[..., 0].tolist() == [[6, 10], [20, 25]]


def test_window_over_the_edges_is_grey_and_void_there():
    image_HW3, mask_HW = _coordinates(2, 3)
    over_HW3, over_HW = read_window(image_HW3, mask_HW, _window(-1, -2, 4, 6), (8, 12))
    # Twice as large: 2 rows above, 4 columns left, 2 of each after it.
    inside_HW = np.zeros((8, 12), bool)
    inside_HW[2:6, 4:10] = True
    np.testing.assert_array_equal(over_HW != VOID, inside_HW)
    assert (over_HW3[~inside_HW] == PADDING_GREY).all()
    assert over_HW[2:6, 4].tolist() == [0, 0, 1, 1]


@given(seed=st.integers(0, 9999), jitter=st.floats(1, 4), height=st.integers(20, 90), width=st.integers(20, 90))
def test_jittered_crop_is_filled_where_the_image_is_large_enough(seed, jitter, height, width):
    image_HW3, mask_HW = np.full((height, width, 3), 9, np.uint8), np.ones((height, width), np.uint8)
    config = TrainConfig(input_mode="crop", crop_size=32, scale_jitter=jitter)
    crop_HW3, crop_HW = cut_sample(image_HW3, mask_HW, config, np.random.default_rng(seed))
    assert crop_HW3.shape == (32, 32, 3) and crop_HW.shape == (32, 32)
    assert set(np.unique(crop_HW)) <= {1, VOID} and crop_HW[0, 0] == 1
    np.testing.assert_array_equal(crop_HW3[..., 0] == PADDING_GREY, crop_HW == VOID)
    if min(height, width) >= 32 * jitter:
        assert (crop_HW == 1).all()


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_room_around_a_crop_is_what_the_image_has_there(make_config, strength):
    image_HW3, mask_HW = _coordinates(50, 60)
    values = {"input_mode": "crop", "crop_size": 32}
    config = make_config(**values, augmentation=strength, augmentation_on="device")
    room = {"light": 2, "strong": 3}[strength]
    for seed in range(20):
        _, crop_HW = cut_sample(image_HW3, mask_HW, make_config(**values), np.random.default_rng(seed))
        wide_HW3, wide_HW = cut_sample(image_HW3, mask_HW, config, np.random.default_rng(seed))
        assert wide_HW.shape == cut_size(50, 60, config) == (32 + 2 * room, 32 + 2 * room)
        np.testing.assert_array_equal(wide_HW[room:-room, room:-room], crop_HW)
        valid_HW = wide_HW != VOID
        np.testing.assert_array_equal((wide_HW3[..., 0] + wide_HW3[..., 1])[valid_HW], wide_HW[valid_HW])


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_jittered_crop_is_turned_without_empty_corners(make_config, strength):
    # Room is left on all sides of every window: 64 pixels at half the scale in the middle of 400.
    image_HW3, mask_HW = np.full((400, 400, 3), 200, np.uint8), np.full((400, 400), VOID, np.uint8)
    mask_HW[40:-40, 40:-40] = 1
    mask_HW[100:300, 100:300] = 2
    config = make_config(input_mode="crop", crop_size=64, augmentation=strength, scale_jitter=2.0)
    moved = 0
    for seed in range(30):
        random = np.random.default_rng(seed)
        _, wide_HW = cut_sample(image_HW3, mask_HW, config, random, 2)
        changed_HW3, changed_HW = augment(np.full((*wide_HW.shape, 3), 200, np.uint8), wide_HW, config, random)
        assert changed_HW3.shape == (64, 64, 3) and changed_HW.shape == (64, 64)
        # No window around a pixel of class 2 reaches the void edge of the image, so void would be brought in.
        if not (wide_HW == VOID).any():
            assert (changed_HW != VOID).all(), seed
            moved += 1
    assert moved >= 20


def test_augmentation_on_a_device_leaves_samples_of_the_loader_alone(make_config):
    image_HW3, mask_HW = _coordinates(20, 30)
    config = make_config(augmentation="strong", augmentation_on="device")
    changed_HW3, changed_HW = augment(image_HW3, mask_HW, config, np.random.default_rng(0))
    assert changed_HW3 is image_HW3 and changed_HW is mask_HW


def test_part_of_less_than_half_a_pixel_at_the_end_of_a_window_is_its_last_pixel():
    """Of 100 rows that become 10 the image has the last one: a tenth of a pixel, which would begin at 9.9."""
    image_HW3, mask_HW = np.full((1, 10, 3), 7, np.uint8), np.full((1, 10), 3, np.uint8)
    found_HW3, found_HW = read_window(image_HW3, mask_HW, Window(top=-99, left=0, height=100, width=10), (10, 10))
    assert found_HW[:, 0].tolist() == [VOID] * 9 + [3]
    assert found_HW3[:, 0, 0].tolist() == [PADDING_GREY] * 9 + [7]


def test_part_of_less_than_half_a_pixel_at_the_beginning_of_a_window_is_its_first_pixel():
    image_HW3, mask_HW = np.full((100, 10, 3), 7, np.uint8), np.full((100, 10), 1, np.uint8)
    found_HW3, found_HW = read_window(image_HW3, mask_HW, Window(top=99, left=0, height=100, width=10), (10, 10))
    assert (found_HW[0] == 1).all() and (found_HW[1:] == VOID).all()
    assert (found_HW3[0] == 7).all() and (found_HW3[1:] == PADDING_GREY).all()
