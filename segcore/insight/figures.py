"""Pictures for people: coloured masks, overlays, image | truth | prediction, and their files.

The colours come from the `ClassTable` in `classes`; charts of a search are drawn elsewhere, from its history.
"""

from typing import Final

import cv2
import numpy as np

from segcore.data.classes import VOID, ClassTable
from segcore.data.picture_files import Image
from segcore.errors import DataError

_PANEL_WIDTH: Final = 320
"""Pixels."""


def colour_mask(mask_HW: Image, table: ClassTable) -> Image:
    """Return a mask in the classes' colours, RGB (H, W, 3); void has that of background.

    Args:
        mask_HW: class indices, uint8.
        table: the classes.
    """
    return table.palette_N3[mask_HW]


def overlay(image_HW3: Image, mask_HW: Image, table: ClassTable) -> Image:
    """Return a picture halfway between image and mask's colours, RGB (H, W, 3); void pixels keep the image.

    Args:
        image_HW3: RGB, uint8.
        mask_HW: class indices of the same height and width, uint8.
        table: the classes.

    Raises:
        DataError: when the sizes differ.
    """
    _check_sizes(image_HW3, mask=mask_HW)
    # Whole numbers, so that the rounding is the same everywhere.
    halfway_HW3 = (image_HW3.astype(np.uint16) + colour_mask(mask_HW, table)) >> 1
    return np.where(mask_HW[..., None] == VOID, image_HW3, halfway_HW3.astype(np.uint8))


def side_by_side(image_HW3: Image, truth_HW: Image, prediction_HW: Image, table: ClassTable) -> Image:
    """Return image | truth | prediction as one RGB picture, each panel 320 pixels wide.

    Args:
        image_HW3: RGB, uint8.
        truth_HW: class indices of the same height and width, uint8.
        prediction_HW: class indices of the same height and width, uint8.
        table: the classes.

    Raises:
        DataError: when the sizes differ.
    """
    _check_sizes(image_HW3, truth=truth_HW, prediction=prediction_HW)
    size = (_PANEL_WIDTH, max(1, round(image_HW3.shape[0] * _PANEL_WIDTH / image_HW3.shape[1])))
    smooth = cv2.INTER_AREA if image_HW3.shape[1] > _PANEL_WIDTH else cv2.INTER_LINEAR
    panels = [cv2.resize(image_HW3, size, interpolation=smooth)]
    for mask_HW in (truth_HW, prediction_HW):
        # Colours must not mix, and resizing one channel is cheaper than three.
        panels.append(colour_mask(cv2.resize(mask_HW, size, interpolation=cv2.INTER_NEAREST_EXACT), table))
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
