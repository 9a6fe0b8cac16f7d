"""Pictures for people: coloured masks, overlays, image | truth | prediction, and their files.

The colours come from the `ClassTable` in `classes`; charts of a search are drawn elsewhere, from its history.
"""

import cv2
import numpy as np

from segcore.data.classes import VOID, ClassTable
from segcore.data.picture_files import Image
from segcore.errors import ConfigError, DataError


def colour_mask(mask_HW: Image, table: ClassTable) -> Image:
    """Return a mask in the classes' colours, RGB (H, W, 3); void has that of background.

    Args:
        mask_HW: class indices, uint8.
        table: the classes.
    """
    return table.palette_N3[mask_HW]


def overlay(image_HW3: Image, mask_HW: Image, table: ClassTable, opacity: float = 0.5) -> Image:
    """Return the image with the mask's colours laid over it, RGB (H, W, 3); void pixels keep the image.

    Args:
        image_HW3: RGB, uint8.
        mask_HW: class indices of the same height and width, uint8.
        table: the classes.
        opacity: share of the mask's colour, 0 (only the image) to 1 (only the mask).

    Raises:
        ConfigError: when the opacity is outside 0..1.
        DataError: when the sizes differ.
    """
    if not 0 <= opacity <= 1:
        raise ConfigError(f"opacity is {opacity}; it is a share from 0 to 1: choose one in between.")
    _check_sizes(image_HW3, mask=mask_HW)
    # uint16 holds 255 * 256, so the blend needs no floats and its rounding is the same everywhere.
    share_HW1 = np.where(mask_HW == VOID, 0, round(256 * opacity)).astype(np.uint16)[..., None]
    colours_HW3 = colour_mask(mask_HW, table).astype(np.uint16)
    blend_HW3: Image = ((image_HW3 * (256 - share_HW1) + colours_HW3 * share_HW1) >> 8).astype(np.uint8)
    return blend_HW3


def side_by_side(image_HW3: Image, truth_HW: Image, prediction_HW: Image, table: ClassTable, width: int = 320) -> Image:
    """Return image | truth | prediction as one RGB picture, each panel `width` pixels wide.

    Args:
        image_HW3: RGB, uint8.
        truth_HW: class indices of the same height and width, uint8.
        prediction_HW: class indices of the same height and width, uint8.
        table: the classes.
        width: of each panel, pixels, at least 1.

    Raises:
        ConfigError: when the width is below 1.
        DataError: when the sizes differ.
    """
    if width < 1:
        raise ConfigError(f"width is {width}; a panel is at least 1 pixel wide: choose some hundreds.")
    _check_sizes(image_HW3, truth=truth_HW, prediction=prediction_HW)
    size = (width, max(1, round(image_HW3.shape[0] * width / image_HW3.shape[1])))
    smooth = cv2.INTER_AREA if width < image_HW3.shape[1] else cv2.INTER_LINEAR
    panels = [cv2.resize(image_HW3, size, interpolation=smooth)]
    for mask_HW in (truth_HW, prediction_HW):
        # Colours must not mix, and resizing one channel is cheaper than three.
        panels.append(colour_mask(cv2.resize(mask_HW, size, interpolation=cv2.INTER_NEAREST), table))
    return np.concatenate(panels, axis=1)


def _check_sizes(image_HW3: Image, *, truth: Image | None = None, prediction: Image | None = None,
                 mask: Image | None = None) -> None:  # fmt: skip
    masks = {"truth": truth, "prediction": prediction, "mask": mask}
    problems = [
        f"the {name} is {mask_HW.shape}, the image {image_HW3.shape[:2]}: resize one to the other"
        for name, mask_HW in masks.items()
        if mask_HW is not None and mask_HW.shape != image_HW3.shape[:2]
    ]
    if problems:
        raise DataError("Image and masks do not have the same (height, width):", problems)
