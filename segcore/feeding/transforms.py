"""Input modes and augmentation: what of an image the network sees, cut first so that the rest is cheap.

Pure functions of pixels and a random generator; who draws the generator's seed lives in `samples`, where of an image a
sample is cut in `windows`.
"""

import cv2
import numpy as np
import numpy.typing as npt

from segcore.config import TrainConfig
from segcore.data.classes import PADDING_GREY, VOID
from segcore.errors import ConfigError
from segcore.feeding.shrinking import shrink_mask
from segcore.feeding.turning import Strength, count_room, scales_apart
from segcore.feeding.windows import Window, draw_window

Image = npt.NDArray[np.uint8]


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
    """Return the part or the size of an image that the input mode trains on, with room around it to be turned.

    What is enlarged takes the class of the nearest pixel, what is made smaller that of the largest area under it.

    Args:
        image_HW3: RGB pixels.
        mask_HW: class indices of the same size.
        config: its `input_mode`, `crop_size`, `scale`, `scale_jitter`, `max_class_share` and augmentation are used.
        random: draws the crop's scale and place.
        wanted_class: crop mode: class in the mask of which the crop has at least one pixel before it is made smaller;
            None: no matter which.

    Returns:
        Image and mask of `cut_size`, views of the arguments where nothing was resized or filled up.
    """
    window = draw_window(mask_HW, config, random, wanted_class)
    height, width = sample_size(mask_HW.shape[0], mask_HW.shape[1], config)
    room = count_room(config)
    # Room around the sample, in pixels of the image.
    rows, columns = round(room * window.height / height), round(room * window.width / width)
    return read_window(image_HW3, mask_HW, window.widened(rows, columns), (height + 2 * room, width + 2 * room))


def read_window(image_HW3: Image, mask_HW: Image, window: Window, size: tuple[int, int]) -> tuple[Image, Image]:
    """Return a window in the given height and width, grey and void where it reaches over the image."""
    rows, kept_rows = _fit(window.top, window.height, mask_HW.shape[0], size[0])
    columns, kept_columns = _fit(window.left, window.width, mask_HW.shape[1], size[1])
    height, width = kept_rows.stop - kept_rows.start, kept_columns.stop - kept_columns.start
    part_HW3, part_HW = _resize(image_HW3[rows, columns], mask_HW[rows, columns], height, width)
    if (height, width) == size:
        return part_HW3, part_HW
    filled_HW3 = np.full((*size, 3), PADDING_GREY, np.uint8)
    filled_HW = np.full(size, VOID, np.uint8)
    filled_HW3[kept_rows, kept_columns], filled_HW[kept_rows, kept_columns] = part_HW3, part_HW
    return filled_HW3, filled_HW


def _fit(start: int, length: int, available: int, wanted: int) -> tuple[slice, slice]:
    """Return which pixels of an image's side a window has, and where of the wanted ones they lie."""
    first, stop = max(0, start), min(available, start + length)
    kept_first, kept_stop = (round((edge - start) * wanted / length) for edge in (first, stop))
    # A very small part may be less than half a pixel.
    kept_first = min(kept_first, wanted - 1)
    return slice(first, stop), slice(kept_first, max(kept_stop, kept_first + 1))


def _resize(image_HW3: Image, mask_HW: Image, height: int, width: int) -> tuple[Image, Image]:
    if mask_HW.shape == (height, width):
        return image_HW3, mask_HW
    if height <= mask_HW.shape[0] and width <= mask_HW.shape[1]:
        smaller_HW3 = cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_AREA)
        return smaller_HW3, shrink_mask(mask_HW, height, width)
    # Exact: the plain nearest pixel is up to half a pixel beside the bilinear one.
    return (
        cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_LINEAR),
        cv2.resize(mask_HW, (width, height), interpolation=cv2.INTER_NEAREST_EXACT),
    )


def cut_size(height: int, width: int, config: TrainConfig) -> tuple[int, int]:
    """Return height and width of what `cut_sample` makes of an image: a sample with room around it."""
    room = count_room(config)
    height, width = sample_size(height, width, config)
    return height + 2 * room, width + 2 * room


def sample_size(height: int, width: int, config: TrainConfig) -> tuple[int, int]:
    """Return height and width of the samples that the network sees of an image."""
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
    strength = _library_strength(config)
    if strength is not None:
        from segcore.feeding.augmentation import build_pipeline, build_turning

        if scales_apart(config):
            build_turning(strength)
        else:
            build_pipeline(strength)


def augment(image_HW3: Image, mask_HW: Image, config: TrainConfig, random: np.random.Generator) -> tuple[Image, Image]:
    """Change a sample at random without changing what its pixels mean; what the device changes is left as it is.

    Args:
        image_HW3: RGB pixels.
        mask_HW: class indices of the same size.
        config: its `augmentation` is used: none, flip (left-right in half of the samples), light or strong.
        random: draws every choice.

    Returns:
        Image and mask without the room around them, which is used up.
    """
    strength = _library_strength(config)
    if strength is not None:
        # Imported here: it takes seconds, and many trainings only flip.
        from segcore.feeding.augmentation import change, turn_and_change

        if scales_apart(config):
            return turn_and_change(image_HW3, mask_HW, strength, count_room(config), random)
        return change(image_HW3, mask_HW, strength, random)
    if config.augmentation == "flip" and random.random() < 0.5:
        return image_HW3[:, ::-1], mask_HW[:, ::-1]
    return image_HW3, mask_HW


def _library_strength(config: TrainConfig) -> Strength | None:
    if config.augmentation == "none" or config.augmentation == "flip" or config.augmentation_on == "device":
        return None
    return config.augmentation
