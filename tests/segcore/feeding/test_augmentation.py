import os
import random as python_random
import subprocess
import sys

import cv2
import numpy as np
import pytest

from segcore.data.classes import VOID
from segcore.feeding.augmentation import _Fog, _Glare, _motion_blur, build_pipeline, change

STRENGTHS = ("light", "strong")


def _blocks(height, width, levels=(0, 1), seed=0):
    """A mask of random squares of 16 pixels."""
    random = np.random.default_rng(seed)
    squares = random.choice(np.array(levels, np.uint8), (height // 16 + 1, width // 16 + 1))
    return np.ascontiguousarray(squares.repeat(16, axis=0).repeat(16, axis=1)[:height, :width])


def _grey(mask_HW):
    """An image that is dark where the mask is 0 and bright elsewhere."""
    return np.repeat(np.where(mask_HW == 0, 60, 180).astype(np.uint8)[..., None], 3, axis=2)


def _agreement(image_HW3, mask_HW):
    """Correlation of brightness and mask over valid pixels."""
    valid_HW = mask_HW != VOID
    return np.corrcoef(image_HW3.mean(axis=2)[valid_HW], mask_HW[valid_HW])[0, 1]


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (97, 75)])
def test_size_stays_and_masks_get_no_value_but_void(strength, size):
    mask_HW = _blocks(*size, levels=(0, 7, 200))
    image_HW3 = _grey(mask_HW)
    before = image_HW3.copy(), mask_HW.copy()
    brought_in = 0
    for seed in range(60):
        changed_HW3, changed_HW = change(image_HW3, mask_HW, strength, np.random.default_rng(seed))
        assert changed_HW3.shape == (*size, 3) and changed_HW.shape == size
        assert changed_HW3.dtype == changed_HW.dtype == np.uint8
        # A mixture of 7 and 200 would be a class of its own.
        assert set(np.unique(changed_HW)) <= {0, 7, 200, VOID}
        brought_in += (changed_HW == VOID).any()
    assert brought_in >= 10
    np.testing.assert_array_equal(image_HW3, before[0])
    np.testing.assert_array_equal(mask_HW, before[1])


@pytest.mark.parametrize("strength", STRENGTHS)
def test_mask_moves_with_the_image(strength):
    mask_HW = _blocks(128, 160)
    image_HW3 = _grey(mask_HW)
    for seed in range(80):
        changed_HW3, changed_HW = change(image_HW3, mask_HW, strength, np.random.default_rng(seed))
        here = _agreement(changed_HW3, changed_HW)
        # Fog, glare and noise weaken the agreement; a mirrored or moved mask has none.
        assert here > 0.5, seed
        for step, axis in ((3, 0), (-3, 0), (3, 1), (-3, 1)):
            assert here > _agreement(changed_HW3, np.roll(changed_HW, step, axis=axis)), seed


def test_motion_blur_leaves_things_where_their_mask_is():
    blur = _motion_blur()
    dot_HW3 = np.zeros((21, 21, 3), np.uint8)
    dot_HW3[10, 10] = 255
    for seed in range(30):
        blur.set_random_seed(seed)
        light_HW = blur(image=dot_HW3)["image"][..., 0].astype(float)
        assert (light_HW > 0).sum() >= 3
        centre = [float((light_HW.sum(axis=1 - axis) * np.arange(21)).sum() / light_HW.sum()) for axis in (0, 1)]
        assert centre == pytest.approx([10, 10], abs=0.2)


def test_fog_thickens_evenly_from_top_to_bottom():
    foggy_HW3 = _Fog(p=1).apply(np.zeros((5, 2, 3), np.uint8), top=0.0, bottom=1.0, airlight=200.0, shape=(5, 2, 3))
    assert foggy_HW3[:, 1, 2].tolist() == [0, 50, 100, 150, 200]


def test_glare_falls_off_from_its_place():
    place = {"across": 0.5, "down": 0.25, "radius": 0.1, "strength": 0.5}
    light_HW3 = _Glare(p=1).apply(np.zeros((40, 40, 3), np.uint8), **place, shape=(40, 40, 3))
    # At its centre half of the sun: 127.5, 120, 102.5; 4 pixels, one standard deviation, beside it exp(-1/2) = 0.607.
    assert light_HW3[10, 20].tolist() == [128, 120, 103]
    assert light_HW3[14, 20].tolist() == light_HW3[10, 16].tolist() == [77, 73, 62]
    assert light_HW3[39].max() == 0
    # What is bright already stays below 256.
    assert _Glare(p=1).apply(np.full((40, 40, 3), 250, np.uint8), **place, shape=(40, 40, 3))[10, 20].min() == 255


def test_pixels_from_outside_are_void_and_grey():
    white_HW3, mask_HW = np.full((96, 96, 3), 255, np.uint8), np.ones((96, 96), np.uint8)
    checked = 0
    for seed in range(60):
        changed_HW3, changed_HW = change(white_HW3, mask_HW, "light", np.random.default_rng(seed))
        outside_HW = changed_HW == VOID
        if outside_HW.sum() > 200:
            # The grey is 114; light changes of colour leave 141 levels between it and white mostly standing.
            assert changed_HW3[outside_HW].mean() < changed_HW3[~outside_HW].mean() - 60
            checked += 1
    assert checked >= 5


@pytest.mark.parametrize("strength", STRENGTHS)
def test_change_depends_on_the_given_generator_alone(strength):
    mask_HW = _blocks(64, 96)
    image_HW3 = _grey(mask_HW)
    first = [change(image_HW3, mask_HW, strength, np.random.default_rng(seed)) for seed in range(30)]
    for seed in reversed(range(30)):
        np.random.seed(seed + 100)
        python_random.seed(seed + 100)
        cv2.setRNGSeed(seed + 100)
        again = change(image_HW3, mask_HW, strength, np.random.default_rng(seed))
        np.testing.assert_array_equal(again[0], first[seed][0])
        np.testing.assert_array_equal(again[1], first[seed][1])
    assert len({changed_HW3.tobytes() for changed_HW3, _ in first}) >= 20


def test_transforms_of_one_sample_happen_independently():
    mask_HW = np.zeros((96, 96), np.uint8)
    mask_HW[:, 48:] = 1
    image_HW3 = _grey(mask_HW)
    kinds = []
    for seed in range(120):
        _, changed_HW = change(image_HW3, mask_HW, "light", np.random.default_rng(seed))
        flipped = changed_HW[48, 20] == 1
        moved = not np.array_equal(changed_HW, mask_HW[:, ::-1] if flipped else mask_HW)
        kinds.append((flipped, moved))
    # Flip and movement have probability 1/2 each, so 30 of each kind; seeded alike they would always come together.
    assert all(kinds.count((flipped, moved)) >= 12 for flipped in (False, True) for moved in (False, True))


def test_strong_changes_more_than_light():
    mask_HW = _blocks(64, 96)
    image_HW3 = _grey(mask_HW)
    changes = {
        strength: np.mean([
            np.abs(change(image_HW3, mask_HW, strength, np.random.default_rng(seed))[0].astype(int) - 120).mean()
            for seed in range(100)
        ])
        for strength in STRENGTHS
    }  # fmt: skip
    voids = {
        strength: np.mean([
            (change(image_HW3, mask_HW, strength, np.random.default_rng(seed))[1] == VOID).mean() for seed in range(100)
        ])
        for strength in STRENGTHS
    }  # fmt: skip
    assert abs(changes["strong"] - 60) > abs(changes["light"] - 60)
    assert voids["strong"] > 2 * voids["light"] > 0


def test_pipeline_is_built_once_per_strength():
    assert build_pipeline("light") is build_pipeline("light")
    assert build_pipeline("light") is not build_pipeline("strong")


_IMPORTING = """
import sys, urllib.request
def refuse(*args, **kwargs):
    raise SystemExit("network")
urllib.request.OpenerDirector.open = refuse
import segcore.feeding.loader
from segcore.config import TrainConfig
segcore.feeding.samples.prepare_augmentation(TrainConfig(augmentation="flip"))
assert "albumentations" not in sys.modules
import segcore.feeding.augmentation
"""


def test_library_is_not_loaded_by_a_training_that_only_flips_and_its_import_asks_no_server():
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    ended = subprocess.run([sys.executable, "-c", _IMPORTING], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
