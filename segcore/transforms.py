"""Input modes and augmentation: what of an image the network sees, cut first so that the rest is cheap.

Pure functions of pixels and a random generator; who draws the generator's seed lives in `loader`.
"""

import cv2
import numpy as np
import numpy.typing as npt

from segcore.config import TrainConfig
from segcore.errors import ConfigError

Image = npt.NDArray[np.uint8]


def count_crops(height: int, width: int, config: TrainConfig) -> int:
    """Return how many samples an image gives in one epoch.

    In crop mode, unless `crops_per_image` says otherwise, as many crops as cover the image's area once,
    so that an epoch sees the same pixels in every input mode.
    """
    if config.input_mode != "crop":
        return 1
    return config.crops_per_image or max(1, round(height * width / config.crop_size**2))


def require_crop_fits(smallest_side: int, config: TrainConfig) -> None:
    """Raise `ConfigError` when a crop is larger than the smallest image of the data."""
    if config.input_mode == "crop" and config.crop_size > smallest_side:
        remedy = f"use crop_size={smallest_side // 32 * 32} or smaller, or" if smallest_side >= 32 else "use"
        raise ConfigError(
            f"crop_size={config.crop_size} is larger than the smallest image side, {smallest_side} pixels; "
            f"{remedy} another input_mode."
        )


def cut_sample(
    image_HW3: Image, mask_HW: Image, config: TrainConfig, random: np.random.Generator
) -> tuple[Image, Image]:
    """Return the part or the size of an image that the input mode trains on.

    Args:
        image_HW3: RGB pixels.
        mask_HW: class indices of the same size.
        config: its `input_mode`, `crop_size` and `scale` are used.
        random: draws the crop's place.

    Returns:
        Image and mask, views of the arguments where nothing was resized.
    """
    if config.input_mode == "crop":
        top, left = (int(random.integers(side - config.crop_size + 1)) for side in (mask_HW.shape[0], mask_HW.shape[1]))
        window = (slice(top, top + config.crop_size), slice(left, left + config.crop_size))
        return image_HW3[window], mask_HW[window]
    if config.input_mode == "resize":
        height, width = scaled_size(mask_HW.shape[0], mask_HW.shape[1], config.scale)
        return (
            cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_AREA),
            cv2.resize(mask_HW, (width, height), interpolation=cv2.INTER_NEAREST),
        )
    return image_HW3, mask_HW


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return (height, width) times `scale`, rounded, at least 1 pixel each."""
    return max(1, round(height * scale)), max(1, round(width * scale))


def augment(image_HW3: Image, mask_HW: Image, config: TrainConfig, random: np.random.Generator) -> tuple[Image, Image]:
    """Change a sample at random without changing what its pixels mean.

    Args:
        image_HW3: RGB pixels.
        mask_HW: class indices of the same size.
        config: its `augmentation` is used: none, or flip (left-right in half of the samples).
        random: draws every choice.
    """
    if config.augmentation == "flip" and random.random() < 0.5:
        return image_HW3[:, ::-1], mask_HW[:, ::-1]
    return image_HW3, mask_HW
