import numpy as np
import pytest
import torch

from segcore.feeding.changes import NAMES, NEUTRAL, Changes, draw_change, pack_change


def test_rows_have_names_and_what_is_left_out_is_neutral():
    changes = Changes.from_rows(torch.from_numpy(np.stack([pack_change({"gamma": 2.0}), pack_change({"noise": 0.5})])))
    assert changes.gamma.tolist() == [2, 1] and changes.noise.tolist() == [0, 0.5]
    assert changes.mirror.tolist() == changes.motion.tolist() == [1, 1]


@pytest.mark.parametrize("values", [{"augmentation": "flip"}, {"augmentation": "strong", "augmentation_on": "loader"}])
def test_nothing_is_left_to_the_device_unless_wanted(make_config, values):
    config = make_config(**{"augmentation_on": "device", **values})
    assert draw_change(config, np.random.default_rng(0)) is None


@pytest.mark.parametrize(("strength", "degrees"), [("light", 4), ("strong", 10)])
def test_each_change_is_drawn_in_its_bounds_and_apart_from_others(make_config, strength, degrees):
    config = make_config(augmentation=strength, augmentation_on="device")
    random = np.random.default_rng(0)
    drawn = np.array([draw_change(config, random) for _ in range(1000)])
    of = dict(zip(NAMES, drawn.T, strict=True))
    assert set(of["mirror"]) == {-1, 1} and abs(of["mirror"].mean()) < 0.16
    assert 0.9 * degrees < np.abs(of["degrees"]).max() <= degrees
    happens = {name: (of[name] != NEUTRAL[name]).mean() for name in NAMES}
    assert (happens["fog_top"] > 0) == (happens["glare"] > 0) == (happens["noise"] > 0) == (strength == "strong")
    # Turns and brightness: independent, so both together as often as the product of their shares.
    together = ((of["degrees"] != 0) & (of["brightness"] != 0)).mean()
    assert together == pytest.approx(happens["degrees"] * happens["brightness"], abs=0.06)
    assert (of["gamma"] > 0.5).all() and (of["gamma"] <= 2).all() and (of["noise"] <= 0.05).all()
