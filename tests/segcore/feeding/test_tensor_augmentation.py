import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segcore.config import TrainConfig
from segcore.data.classes import PADDING_GREY, VOID
from segcore.feeding.batch import Batch
from segcore.feeding.changes import draw_change, pack_change
from segcore.feeding.tensor_augmentation import change_batch


def _batch(images_NHW3, target_NHW=None, *changes):
    images_NHW3 = torch.as_tensor(np.asarray(images_NHW3), dtype=torch.uint8)
    if target_NHW is None:
        target_NHW = torch.zeros(images_NHW3.shape[:3], dtype=torch.uint8)
    rows = [pack_change(change) if isinstance(change, dict) else change for change in changes]
    return Batch(
        images_NHW3=images_NHW3,
        target_NHW=torch.as_tensor(np.asarray(target_NHW), dtype=torch.uint8),
        changes_NP=torch.from_numpy(np.stack(rows)) if rows else None,
    )


def _change(colour, **change):
    """One colour, in an image of 2 x 3 pixels, after a change that is alike everywhere."""
    images_NHW3 = np.full((1, 2, 3, 3), colour, np.uint8)
    changed_NHW3 = change_batch(_batch(images_NHW3, None, change), 0, "cpu").images_NHW3
    assert (changed_NHW3 == changed_NHW3[0, 0, 0]).all()
    return changed_NHW3[0, 0, 0].tolist()


def _noise_images(samples, height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (samples, height, width, 3), np.uint8), random.integers(
        0, 20, (samples, height, width), np.uint8
    )


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    seed=st.integers(0, 99),
)
def test_neutral_numbers_change_nothing(height, width, seed):
    images_NHW3, target_NHW = _noise_images(2, height, width, seed)
    changed = change_batch(_batch(images_NHW3, target_NHW, {}, {}), 0, "cpu")
    np.testing.assert_array_equal(changed.images_NHW3.numpy(), images_NHW3)
    np.testing.assert_array_equal(changed.target_NHW.numpy(), target_NHW)
    assert changed.changes_NP is None


def test_batch_without_changes_is_given_back():
    batch = _batch(*_noise_images(2, 4, 5))
    assert change_batch(batch, 0, "cpu") is batch


def test_wide_image_stays_exact():
    images_NHW3, target_NHW = _noise_images(1, 3, 2049)
    changed = change_batch(_batch(images_NHW3, target_NHW, {}), 0, "cpu")
    np.testing.assert_array_equal(changed.images_NHW3.numpy(), images_NHW3)
    np.testing.assert_array_equal(changed.target_NHW.numpy(), target_NHW)


def test_room_is_cut_off():
    images_NHW3, target_NHW = _noise_images(1, 9, 11)
    changed = change_batch(_batch(images_NHW3, target_NHW, {}), 2, "cpu")
    np.testing.assert_array_equal(changed.images_NHW3.numpy(), images_NHW3[:, 2:7, 2:9])
    np.testing.assert_array_equal(changed.target_NHW.numpy(), target_NHW[:, 2:7, 2:9])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"mirror": -1}, [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        # A quarter against the clock: the last column becomes the first row.
        ({"degrees": 90}, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
        ({"degrees": 180}, [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
        # First turned, then mirrored.
        ({"mirror": -1, "degrees": 90}, [[9, 6, 3], [8, 5, 2], [7, 4, 1]]),
    ],
)
def test_image_and_target_are_mirrored_and_turned_alike(change, expected):
    target_NHW = np.arange(1, 10).reshape(1, 3, 3)
    changed = change_batch(_batch(np.repeat(target_NHW[..., None], 3, 3), target_NHW, change), 0, "cpu")
    assert changed.target_NHW[0].tolist() == expected
    assert changed.images_NHW3[0, :, :, 1].tolist() == expected


def test_pixels_from_outside_are_void_and_grey():
    # A quarter turn of a wide image: above and below the middle square there is nothing.
    changed = change_batch(_batch(np.full((1, 4, 2, 3), 9), np.ones((1, 4, 2)), {"degrees": 90}), 0, "cpu")
    assert changed.target_NHW[0].tolist() == [[VOID] * 2, [1, 1], [1, 1], [VOID] * 2]
    assert changed.images_NHW3[0, :, 0, 0].tolist() == [PADDING_GREY, 9, 9, PADDING_GREY]


@pytest.mark.parametrize(
    ("colour", "change", "expected"),
    [
        ([10, 100, 200], {"brightness": 0.2}, [61, 151, 251]),  # + 51
        ([10, 100, 250], {"brightness": 0.2}, [61, 151, 255]),
        ([10, 100, 200], {"contrast": 0.5}, [69, 114, 164]),  # 63.75 + half
        ([10, 100, 200], {"exposure": 0.5}, [5, 50, 100]),
        ([0, 64, 250], {"gamma": 2.0}, [0, 16, 245]),  # 64^2 / 255 = 16.06, 250^2 / 255 = 245.1
        ([10, 100, 200], {"saturation": 0.0}, [84, 84, 84]),  # 2.99 + 58.7 + 22.8 = 84.49
        ([10, 100, 200], {"saturation": 2.0}, [0, 116, 255]),  # 2 * 100 - 84.49 = 115.51
        ([10, 100, 200], {"hue": 120.0}, [200, 10, 100]),  # red becomes green, green blue, blue red
        ([10, 100, 200], {"fog_top": 0.5, "fog_bottom": 0.5, "airlight": 200.0}, [105, 150, 200]),
    ],
)
def test_colours_by_hand(colour, change, expected):
    assert _change(colour, **change) == expected


def test_fog_thickens_evenly_from_top_to_bottom():
    change = {"fog_top": 0.0, "fog_bottom": 1.0, "airlight": 200.0}
    changed = change_batch(_batch(np.zeros((1, 5, 2, 3)), None, change), 0, "cpu")
    assert changed.images_NHW3[0, :, 1, 2].tolist() == [0, 50, 100, 150, 200]


def test_glare_falls_off_from_its_place():
    change = {"glare": 0.5, "glare_across": 0.5, "glare_down": 0.25, "glare_radius": 0.1}
    light_HW3 = change_batch(_batch(np.zeros((1, 40, 40, 3)), None, change), 0, "cpu").images_NHW3[0]
    # At its centre half of the sun: 127.5, 120, 102.5; 4 pixels, one standard deviation, beside it exp(-1/2) = 0.607.
    assert light_HW3[10, 20].tolist() == [128, 120, 102]
    assert light_HW3[14, 20].tolist() == light_HW3[10, 16].tolist() == [77, 73, 62]
    assert light_HW3[39].max() == 0


def test_motion_blurs_along_rows_and_a_gaussian_to_all_sides():
    images_NHW3 = np.zeros((2, 9, 9, 3))
    images_NHW3[:, 4, 4] = 240
    changed = change_batch(_batch(images_NHW3, None, {"motion": 3.0}, {"blur": 1.0}), 0, "cpu").images_NHW3[..., 0]
    assert changed[0, 4].tolist() == [0, 0, 0, 80, 80, 80, 0, 0, 0] and changed[0, :, 4].sum() == 80
    # Taps of a normal density, 0.39894 and 0.24197 in the middle: 240 * 0.15915 = 38.2, 240 * 0.09653 = 23.2.
    assert changed[1, 4, 3:6].tolist() == [23, 38, 23]
    assert torch.equal(changed[1], changed[1].T)


def test_blur_leaves_an_even_image_alone_to_its_edges():
    assert _change([10, 100, 200], blur=1.5) == [10, 100, 200]
    assert _change([10, 100, 200], motion=7.0) == [10, 100, 200]


def test_noise_is_nearly_normal_grey_and_of_the_given_width():
    changes = [{"noise": 0.04, "noise_seed": float(seed)} for seed in (1, 2)]
    changed = change_batch(_batch(np.full((2, 100, 100, 3), 120), None, *changes), 0, "cpu").images_NHW3
    noise_NHW = changed[..., 0].float() - 120
    assert torch.equal(changed[..., 0], changed[..., 2])
    # 0.04 * 255 = 10.2; of 10,000 pixels the mean is within 5 * 0.1.
    assert noise_NHW.mean((1, 2)).abs().max() < 0.5
    assert noise_NHW.std((1, 2)).tolist() == pytest.approx([10.2, 10.2], rel=0.05)
    assert (noise_NHW.abs() < 10.2).float().mean().item() == pytest.approx(0.68, abs=0.02)
    # Neighbours, rows and samples have nothing in common.
    pairs = [(noise_NHW[0, :, 1:], noise_NHW[0, :, :-1]), (noise_NHW[0, 1:], noise_NHW[0, :-1]), tuple(noise_NHW)]
    for one, two in pairs:
        assert abs(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1]) < 0.05


def _drawn(strength, samples):
    config = TrainConfig(augmentation=strength, augmentation_on="device")
    return [draw_change(config, np.random.default_rng(seed)) for seed in range(samples)]


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_a_sample_is_changed_alike_in_any_batch(strength):
    images_NHW3, target_NHW = _noise_images(24, 32, 40)
    drawn = _drawn(strength, 24)
    whole = _batch(images_NHW3, target_NHW, *drawn)
    together = change_batch(whole, 3, "cpu")
    parts = [change_batch(part, 3, "cpu") for part in whole.divided(7)]
    # A sum in another order may round to the next of 256 levels.
    images_NHW3 = torch.cat([part.images_NHW3 for part in parts])
    assert (images_NHW3.int() - together.images_NHW3.int()).abs().max() <= 1
    assert torch.equal(torch.cat([part.target_NHW for part in parts]), together.target_NHW)
    assert not torch.equal(together.images_NHW3[0], together.images_NHW3[1])


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_target_moves_with_the_image(strength):
    random = np.random.default_rng(0)
    target_NHW = random.integers(0, 2, (40, 8, 8), np.uint8).repeat(16, 1).repeat(16, 2)
    images_NHW3 = np.where(target_NHW == 0, 60, 180)[..., None].repeat(3, 3)
    changed = change_batch(_batch(images_NHW3, target_NHW, *_drawn(strength, 40)), 0, "cpu")
    for image_HW3, target_HW in zip(changed.images_NHW3.numpy(), changed.target_NHW.numpy(), strict=True):
        valid_HW = target_HW != VOID
        grey_HW = image_HW3.mean(2)

        def agreement(grey_HW, valid_HW=valid_HW, target_HW=target_HW):
            return np.corrcoef(grey_HW[valid_HW], target_HW[valid_HW])[0, 1]

        assert agreement(grey_HW) > 0.5
        for step, axis in ((3, 0), (-3, 0), (3, 1), (-3, 1)):
            assert agreement(grey_HW) > agreement(np.roll(grey_HW, step, axis))


def test_turned_crop_with_room_has_no_empty_corner():
    # 32 pixels need 3 on each side at up to 10 degrees.
    for degrees in (-10.0, 7.0, 10.0):
        batch = _batch(np.full((1, 38, 38, 3), 9), np.ones((1, 38, 38)), {"degrees": degrees})
        assert (change_batch(batch, 3, "cpu").target_NHW == 1).all()
