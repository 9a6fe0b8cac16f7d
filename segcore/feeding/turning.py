"""How far light and strong augmentation turn a sample, and the room around a crop that turning needs.

A crop that is turned alone has empty corners; one that is cut with room around it is turned, and then cut to size, has
the street in them.
"""

import math
from typing import Final, Literal

from segcore.config import TrainConfig

Strength = Literal["light", "strong"]

DEGREES: Final[dict[str, float]] = {"light": 4, "strong": 10}
"""Largest turn to either side."""


def scales_apart(config: TrainConfig) -> bool:
    """Say whether scale is drawn before a sample is cut out, so that its augmentation only turns it."""
    return config.augmentation in DEGREES and (config.scale_jitter > 1 or config.augmentation_on == "device")


def count_room(config: TrainConfig) -> int:
    """Return the pixels that a sample has more on each side than the network sees.

    The corners of a square that is turned by an angle reach (cos + sin) / 2 of its side from its centre. Samples of
    other modes are whole images, around which there is nothing.
    """
    if config.input_mode != "crop" or not scales_apart(config):
        return 0
    angle = math.radians(DEGREES[config.augmentation])
    return math.ceil(config.crop_size * (math.cos(angle) + math.sin(angle) - 1) / 2)
