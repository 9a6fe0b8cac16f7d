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


LIGHT = {
    "degrees": (-4, 4), "brightness": (-0.15, 0.15), "contrast": (0.85, 1.15), "gamma": (0.85, 1.18), "hue": (-12, 12),
    "saturation": (0.85, 1.15), "mirror": (-1, 1),
}  # fmt: skip
STRONG = {
    "degrees": (-10, 10), "brightness": (-0.12, 0.25), "contrast": (0.75, 1.25), "gamma": (0.7, 2), "hue": (-20, 20),
    "saturation": (0.4, 1.35), "mirror": (-1, 1), "exposure": (0.55, 0.9), "fog_top": (0.15, 0.65),
    "fog_bottom": (0.15, 0.65), "airlight": (165, 225), "glare": (0.3, 0.7), "glare_across": (0, 1),
    "glare_down": (0, 0.5), "glare_radius": (0.08, 0.25), "blur": (0.4, 1.5), "motion": (3, 7), "noise": (0.01, 0.05),
    "noise_seed": (0, 2**24),
}  # fmt: skip
# Of the three conditions each is a third of two fifths.
LIGHT_SHARES = {"degrees": 0.5, "brightness": 0.5, "hue": 0.3, "gamma": 0.3, "mirror": 0.5}
STRONG_SHARES = {
    "degrees": 0.7, "brightness": 0.5, "hue": 0.4, "exposure": 0.133, "fog_top": 0.133, "glare": 0.133, "blur": 0.1,
    "motion": 0.1, "noise": 0.25, "mirror": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("strength", "bounds", "shares"), [("light", LIGHT, LIGHT_SHARES), ("strong", STRONG, STRONG_SHARES)]
)
def test_each_change_is_drawn_in_its_bounds_and_apart_from_others(make_config, strength, bounds, shares):
    config = make_config(augmentation=strength, augmentation_on="device")
    random = np.random.default_rng(0)
    of = dict(zip(NAMES, np.array([draw_change(config, random) for _ in range(2000)]).T, strict=True))
    changed = {name: of[name] != NEUTRAL[name] for name in NAMES}
    assert {name for name in NAMES if changed[name].any()} == set(bounds)
    for name, (lowest, highest) in bounds.items():
        values = of[name][changed[name]]
        assert lowest - 1e-6 <= values.min() and values.max() <= highest + 1e-6, name
        assert name == "mirror" or values.max() - values.min() > 0.9 * (highest - lowest), name
    # Standard deviation of a share of 2000: 0.011 at most.
    assert {name: changed[name].mean() for name in shares} == pytest.approx(shares, abs=0.04)
    # Turns and brightness: independent, so both together as often as the product of their shares.
    together = (changed["degrees"] & changed["brightness"]).mean()
    assert together == pytest.approx(shares["degrees"] * shares["brightness"], abs=0.05)
    assert set(of["motion"]) <= {1, 3, 5, 7} and (of["noise_seed"] % 1 == 0).all()
