"""Input modes and augmentation: what of an image the network sees, cut first so that the rest is cheap.

Pure functions of pixels and a random generator; who draws the generator's seed lives in `loader`.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from segcore.config import TrainConfig
from segcore.data.classes import PADDING_GREY, VOID
from segcore.errors import ConfigError, DataError
from segcore.feeding.shrinking import shrink_mask

Image = npt.NDArray[np.uint8]

_SEARCH_STRIDE: Final = 8
"""Pixels between those that the search for a class looks at first."""


def count_crops(height: int, width: int, config: TrainConfig) -> int:
    """Return how many samples an image gives in one epoch.

    In crop mode, unless `crops_per_image` says otherwise, as many crops as cover the image's area once,
    so that an epoch sees the same pixels in every input mode.
    """
    if config.input_mode != "crop":
        return 1
    return config.crops_per_image or max(1, round(height * width / config.crop_size**2))


def require_crop_fits(usual_side: int, config: TrainConfig) -> None:
    """Raise `ConfigError` when a crop is larger than the images of the data usually are, see `sides`."""
    if config.input_mode == "crop" and config.crop_size > usual_side:
        remedy = f"use crop_size={usual_side // 32 * 32} or smaller, or" if usual_side >= 32 else "use"
        raise ConfigError(
            f"crop_size={config.crop_size} is larger than the shorter side of the images, {usual_side} pixels; "
            f"{remedy} another input_mode."
        )


def cut_sample(
    image_HW3: Image,
    mask_HW: Image,
    config: TrainConfig,
    random: np.random.Generator,
    wanted_class: int | None = None,
) -> tuple[Image, Image]:
    """Return the part or the size of an image that the input mode trains on.

    Args:
        image_HW3: RGB pixels.
        mask_HW: class indices of the same size.
        config: its `input_mode`, `crop_size` and `scale` are used.
        random: draws the crop's place.
        wanted_class: crop mode: class in the mask of which the crop has at least one pixel; None: no matter which.

    Returns:
        Image and mask, views of the arguments where nothing was resized or filled up.
    """
    if config.input_mode == "crop":
        top, left = _place_crop(mask_HW, config.crop_size, random, wanted_class)
        window = (slice(top, top + config.crop_size), slice(left, left + config.crop_size))
        return _fill_up(image_HW3[window], mask_HW[window], config.crop_size)
    if config.input_mode == "resize":
        height, width = sample_size(mask_HW.shape[0], mask_HW.shape[1], config)
        return (
            cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_AREA),
            shrink_mask(mask_HW, height, width),
        )
    return image_HW3, mask_HW


def _place_crop(mask_HW: Image, size: int, random: np.random.Generator, wanted_class: int | None) -> tuple[int, int]:
    # In an image that is smaller than its crop there is one place.
    height, width = (max(side, size) for side in mask_HW.shape)
    if wanted_class is None:
        return int(random.integers(height - size + 1)), int(random.integers(width - size + 1))
    row, column = _find_pixel(mask_HW, wanted_class, random)
    # Among all places that have the pixel inside, so that it is not always in the middle.
    top = random.integers(max(0, row - size + 1), min(row, height - size) + 1)
    left = random.integers(max(0, column - size + 1), min(column, width - size) + 1)
    return int(top), int(left)


def _fill_up(image_HW3: Image, mask_HW: Image, size: int) -> tuple[Image, Image]:
    """Return a crop of the whole size: grey and void at the bottom and right where the image has no more pixels."""
    rows, columns = size - mask_HW.shape[0], size - mask_HW.shape[1]
    if not rows and not columns:
        return image_HW3, mask_HW
    filled_HW3 = np.pad(image_HW3, ((0, rows), (0, columns), (0, 0)), constant_values=PADDING_GREY)
    return filled_HW3, np.pad(mask_HW, ((0, rows), (0, columns)), constant_values=VOID)


def _find_pixel(mask_HW: Image, wanted_class: int, random: np.random.Generator) -> tuple[int, int]:
    # A 64th of the pixels first, from a random start so that each pixel can be met; then all of them.
    for stride in (_SEARCH_STRIDE, 1):
        first_row, first_column = (int(start) for start in random.integers(stride, size=2))
        seen_HW = mask_HW[first_row::stride, first_column::stride]
        found_F = np.flatnonzero(seen_HW == wanted_class)
        if len(found_F):
            row, column = divmod(int(random.choice(found_F)), seen_HW.shape[1])
            return first_row + stride * row, first_column + stride * column
    raise DataError(f"Class {wanted_class} is not in the mask, but its crop must have it; prepare the cache again.")


def sample_size(height: int, width: int, config: TrainConfig) -> tuple[int, int]:
    """Return height and width of the samples that `cut_sample` makes of an image."""
    if config.input_mode == "crop":
        return config.crop_size, config.crop_size
    if config.input_mode == "resize":
        return scaled_size(height, width, config.scale)
    return height, width


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return (height, width) times `scale`, rounded, at least 1 pixel each."""
    return max(1, round(height * scale)), max(1, round(width * scale))


def prepare_augmentation(config: TrainConfig) -> None:
    """Load what `augment` needs; before loader workers start, so that they inherit it instead of waiting each."""
    if config.augmentation in ("light", "strong"):
        from segcore.feeding.augmentation import build_pipeline

        build_pipeline(config.augmentation)


def augment(image_HW3: Image, mask_HW: Image, config: TrainConfig, random: np.random.Generator) -> tuple[Image, Image]:
    """Change a sample at random without changing what its pixels mean.

    Args:
        image_HW3: RGB pixels.
        mask_HW: class indices of the same size.
        config: its `augmentation` is used: none, flip (left-right in half of the samples), light or strong.
        random: draws every choice.
    """
    if config.augmentation in ("light", "strong"):
        # Imported here: it takes seconds, and many trainings only flip.
        from segcore.feeding.augmentation import change

        return change(image_HW3, mask_HW, config.augmentation, random)
    if config.augmentation == "flip" and random.random() < 0.5:
        return image_HW3[:, ::-1], mask_HW[:, ::-1]
    return image_HW3, mask_HW
