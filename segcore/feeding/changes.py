"""Changes that the device makes to samples: drawn here for each sample alone, made in `tensor_augmentation`.

Numbers travel with a batch, so that a sample is changed alike in any batch, on any device and by any number of loader
processes.
"""

from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from torch import Tensor

from segcore.config import TrainConfig
from segcore.feeding.turning import DEGREES

_NOISE_SEEDS: Final = 1 << 24
"""Whole numbers up to here are exact in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What changes of each sample of a batch, (N,) each; `NEUTRAL` has the values at which nothing does.

    Args:
        mirror: 1, or -1 where left and right change places.
        degrees: turn around the centre, against the clock.
        gamma: exponent of each value in 0 to 1.
        exposure: factor of each value.
        contrast: factor of the distance to middle grey.
        brightness: added to each value in 0 to 1.
        saturation: factor of the distance to the pixel's grey.
        hue: turn of colours around the axis of greys, degrees.
        fog_top: share of airlight in the first row; it changes evenly to
        fog_bottom: that in the last row.
        airlight: grey level of fog, 0 to 255.
        glare: largest share of sunlight that is added.
        glare_across: place of its centre, 0 left to 1 right.
        glare_down: 0 at the top to 1 at the bottom.
        glare_radius: standard deviation of its fall per longer side.
        blur: standard deviation of a Gaussian blur, pixels.
        motion: length of a blur along rows, pixels; 1 is none.
        noise: standard deviation of a grey noise of values in 0 to 1.
        noise_seed: what the noise depends on, a whole number from 0 to 2^24.
    """

    mirror: Tensor
    degrees: Tensor
    gamma: Tensor
    exposure: Tensor
    contrast: Tensor
    brightness: Tensor
    saturation: Tensor
    hue: Tensor
    fog_top: Tensor
    fog_bottom: Tensor
    airlight: Tensor
    glare: Tensor
    glare_across: Tensor
    glare_down: Tensor
    glare_radius: Tensor
    blur: Tensor
    motion: Tensor
    noise: Tensor
    noise_seed: Tensor

    @classmethod
    def from_rows(cls, changes_NP: Tensor) -> Self:
        """Return the numbers of a batch, a row for each sample as `pack_change` makes it, by name."""
        return cls(**dict(zip(NAMES, changes_NP.unbind(1), strict=True)))


NAMES: Final = tuple(field.name for field in fields(Changes))
NEUTRAL: Final = dict.fromkeys(NAMES, 0.0) | dict.fromkeys(
    ("mirror", "gamma", "exposure", "contrast", "saturation", "glare_radius", "motion"), 1.0
)


def draw_change(config: TrainConfig, random: np.random.Generator) -> npt.NDArray[np.float32] | None:
    """Return what the device changes of a sample, as `pack_change` does; None: nothing, whatever the sample.

    Args:
        config: its `augmentation` and `augmentation_on` are used.
        random: draws every choice.
    """
    if config.augmentation not in DEGREES or config.augmentation_on == "loader":
        return None
    drawn = {"mirror": float(random.choice([-1, 1]))}
    return pack_change(drawn | (_light(random) if config.augmentation == "light" else _strong(random)))


def pack_change(values: dict[str, float]) -> npt.NDArray[np.float32]:
    """Return numbers by name in the order of `NAMES`, what is left out neutral."""
    return np.array([(NEUTRAL | values)[name] for name in NAMES], np.float32)


def _light(random: np.random.Generator) -> dict[str, float]:
    drawn = {}
    if random.random() < 0.5:
        drawn["degrees"] = random.uniform(-DEGREES["light"], DEGREES["light"])
    if random.random() < 0.5:
        drawn |= {"brightness": random.uniform(-0.15, 0.15), "contrast": random.uniform(0.85, 1.15)}
    if random.random() < 0.3:
        drawn["gamma"] = random.uniform(0.85, 1.18)
    if random.random() < 0.3:
        drawn |= {"hue": random.uniform(-12, 12), "saturation": random.uniform(0.85, 1.15)}
    return drawn


def _strong(random: np.random.Generator) -> dict[str, float]:
    drawn = {}
    if random.random() < 0.7:
        drawn["degrees"] = random.uniform(-DEGREES["strong"], DEGREES["strong"])
    if random.random() < 0.5:
        drawn |= {"brightness": random.uniform(-0.12, 0.25), "contrast": random.uniform(0.75, 1.25)}
    if random.random() < 0.3:
        drawn["gamma"] = random.uniform(0.7, 1.4)
    if random.random() < 0.4:
        drawn |= {"hue": random.uniform(-20, 20), "saturation": random.uniform(0.65, 1.35)}
    if random.random() < 0.4:
        drawn |= _draw_condition(random)
    if random.random() < 0.2:
        gaussian = random.random() < 0.5
        drawn |= {"blur": random.uniform(0.4, 1.5)} if gaussian else {"motion": float(random.choice([3, 5, 7]))}
    if random.random() < 0.25:
        drawn |= {"noise": random.uniform(0.01, 0.05), "noise_seed": float(random.integers(_NOISE_SEEDS))}
    return drawn


def _draw_condition(random: np.random.Generator) -> dict[str, float]:
    condition = random.choice(["night", "fog", "glare"])
    if condition == "night":
        # Gamma keeps lamps and signals bright while it darkens the rest.
        return {
            "gamma": random.uniform(1.3, 2.0),
            "exposure": random.uniform(0.55, 0.9),
            "contrast": random.uniform(0.8, 1),
            "saturation": random.uniform(0.4, 0.9),
        }
    if condition == "fog":
        shares = {name: random.uniform(0.15, 0.65) for name in ("fog_top", "fog_bottom")}
        return {**shares, "airlight": random.uniform(165, 225)}
    return {
        "glare": random.uniform(0.3, 0.7),
        "glare_across": random.uniform(0, 1),
        "glare_down": random.uniform(0, 0.5),
        "glare_radius": random.uniform(0.08, 0.25),
    }
