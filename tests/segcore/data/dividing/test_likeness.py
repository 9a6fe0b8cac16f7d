import cv2
import numpy as np
import pytest

from segcore.data.dividing.likeness import (
    LEAST_CORRELATION,
    find_alike,
    find_recoloured,
    find_twins,
    identify_mask,
    look_at,
)
from segcore.data.picture_files import encode_jpeg


def draw_street(seed, shift=0.0):
    """A street of random shapes, 240x320; `shift` pixels further along for a later frame."""
    random = np.random.default_rng(seed)
    image_HW3 = np.full((240, 320, 3), 90, np.uint8)
    image_HW3[:80] = random.integers(150, 220, 3)
    for _ in range(14):
        top, left = random.integers(20, 200), random.integers(-40, 300) + shift
        bottom, right = top + random.integers(20, 120), left + random.integers(15, 90)
        colour = [int(level) for level in random.integers(0, 255, 3)]
        cv2.rectangle(image_HW3, (round(left * 16), int(top) * 16), (round(right * 16), int(bottom) * 16), colour, -1,
                      cv2.LINE_AA, 4)  # fmt: skip
    return image_HW3


def recompress(image_HW3, quality):
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(encode_jpeg(image_HW3, quality=quality), np.uint8), 1), cv2.COLOR_BGR2RGB
    )


def resize(image_HW3, factor):
    return cv2.resize(image_HW3, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def find(*images):
    return find_alike(np.stack([look_at(image_HW3) for image_HW3 in images]))


@pytest.mark.parametrize(
    "change",
    [
        np.copy,
        lambda image_HW3: recompress(image_HW3, 30),
        lambda image_HW3: resize(image_HW3, 0.5),
        lambda image_HW3: resize(image_HW3, 1.7),
        lambda image_HW3: image_HW3[:, ::-1],
        lambda image_HW3: recompress(resize(image_HW3[:, ::-1], 0.6), 50),
    ],
    ids=["same", "recompressed", "smaller", "larger", "mirrored", "mirrored, smaller and recompressed"],
)
def test_copies_are_found_among_other_images(change):
    streets = [draw_street(seed) for seed in range(30)]
    assert find(*streets, change(streets[7])) == [(7, 30)]


def test_copies_of_copies_are_one_group():
    street_HW3 = draw_street(0)
    assert find(street_HW3, draw_street(1), street_HW3[:, ::-1], resize(street_HW3, 0.5)) == [(0, 2, 3)]


def test_frames_of_a_moving_camera_are_not_copies():
    # Every frame is 3 of 320 pixels further: it looks much like the one before, and a chain would join them all.
    assert find(*(draw_street(0, shift=3 * frame) for frame in range(20))) == []


def test_dark_images_are_no_copies_of_each_other():
    # Night: nearly black, each with noise of its own, so that in levels they differ by less than copies may.
    random = np.random.default_rng(0)
    nights = [random.integers(0, 4, (240, 320, 3), np.uint8) for _ in range(5)]
    assert find(*nights) == []


def test_images_of_one_colour_are_alike_when_they_are_equal():
    black_HW3, grey_HW3 = np.zeros((40, 40, 3), np.uint8), np.full((40, 40, 3), 90, np.uint8)
    assert find(black_HW3, grey_HW3, black_HW3) == [(0, 2)]


def test_a_later_frame_is_no_twin_of_a_picture_that_a_frame_between_is_like():
    """Frames of a still camera are each like the next, the first and the last are not."""
    streets = [draw_street(seed) for seed in range(3)]
    looks = [look_at(each) for each in (*streets, streets[1][:, ::-1], resize(streets[2], 0.5), draw_street(9))]
    # Between a look and another street's there is one that is like both no less than a chain needs.
    chain = [
        np.uint8(np.round((1 - share) * looks[0] + share * looks[5].astype(float))) for share in np.linspace(0, 1, 40)
    ]
    twins = find_twins(np.stack(looks[:3]), np.stack([*looks[3:], *chain]))
    assert (twins[0], twins[1], twins[3]) == (1, 2, 0)
    assert 2 not in twins and len(chain) + 2 not in twins
    assert find_alike(np.stack(chain)) == [tuple(range(len(chain)))], "a chain"


def test_twins_of_one_colour_are_equal_ones():
    black, grey = np.zeros((1, 32, 32), np.uint8), np.full((1, 32, 32), 9, np.uint8)
    assert find_twins(np.concatenate([grey, black, black]), np.concatenate([black, grey + 1])) == {0: 1}
    assert find_twins(black[:0], grey) == find_twins(grey, black[:0]) == {}


def test_nothing_is_like_nothing():
    assert find_alike(np.zeros((0, 32, 32), np.uint8)) == []


def test_grid_misses_no_pair_that_correlates():
    # All pairs compared one by one are the truth. Frames a third of a pixel apart lie on both sides of the threshold.
    random = np.random.default_rng(0)
    looks_NHW = np.stack([look_at(draw_street(seed % 6, shift=seed / 9)) for seed in range(60)])
    looks_NHW[::7] = looks_NHW[::7, :, ::-1]
    looks_NHW = np.clip(looks_NHW + random.integers(-2, 3, looks_NHW.shape), 0, 255).astype(np.uint8)
    levels_NP = looks_NHW.reshape(60, -1)
    mirrored_NP = looks_NHW[:, :, ::-1].reshape(60, -1)
    straight_NN = np.corrcoef(levels_NP)
    turned_NN = np.corrcoef(levels_NP, mirrored_NP)[:60, 60:]
    alike_NN = np.maximum(straight_NN, turned_NN) >= LEAST_CORRELATION
    assert 60 < alike_NN.sum() < 60 * 60
    groups = find_alike(looks_NHW)
    # Groups are what is connected: each image's are those that can be reached from it.
    reached_NN = np.linalg.matrix_power(alike_NN.astype(float), 60) > 0
    wanted = {tuple(np.flatnonzero(row).tolist()) for row in reached_NN if row.sum() > 1}
    assert set(groups) == wanted


def recolour(image_HW3):
    """Return a street at night, in which it is raining: far from a copy."""
    dark_HW3 = (image_HW3 / 255.0) ** 2.2 * np.array([0.5, 0.6, 0.9]) * 255
    return np.clip(dark_HW3 + np.random.default_rng(0).normal(0, 25, image_HW3.shape), 0, 255).astype(np.uint8)


def test_images_of_one_mask_that_look_roughly_alike_are_one_scene():
    street_HW3, others = draw_street(0), [draw_street(1), draw_street(2)]
    looks_NHW = np.stack([look_at(one) for one in (street_HW3, *others, recolour(street_HW3))])
    assert find_alike(looks_NHW) == []
    mask, nowhen = identify_mask((240, 320), (76000, 800, 0), 7), [None] * 4
    assert find_recoloured(looks_NHW, [mask] * 4, nowhen) == [(0, 3)]
    # Of another mask, or of one that says nothing, they may be other streets.
    assert find_recoloured(looks_NHW, [mask, mask, mask, identify_mask((240, 320), (76000, 800, 0), 8)], nowhen) == []
    assert find_recoloured(looks_NHW, [identify_mask((240, 320), (0, 76800, 0), 7)] * 4, nowhen) == []
    # In fog nothing may be left to see of a frame.
    assert find_recoloured(looks_NHW, [mask] * 4, ["5", "5", None, "6"]) == [(0, 1, 3)]
