"""Objects: the connected parts of a class in a mask, and how large they are.

Sizes are those of COCO (https://cocodataset.org/#detection-eval): small under 32 x 32 pixels, large from 96 x 96.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

SMALL_SIDE: Final = 32
LARGE_SIDE: Final = 96
SIZES: Final = ("small", "medium", "large")
SIZE_RULE: Final = (
    f"small: under {SMALL_SIDE} x {SMALL_SIDE} = {SMALL_SIDE**2:,} pixels; large: from {LARGE_SIDE} x {LARGE_SIDE} = "
    f"{LARGE_SIDE**2:,} pixels; medium: between"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """The objects of one class, in one mask or in many.

    Args:
        areas_N: pixels of each.
        found_N: pixels of each that were predicted as its class; zeros without a prediction.
    """

    areas_N: npt.NDArray[np.int64]
    found_N: npt.NDArray[np.int64]

    @property
    def sizes_N(self) -> npt.NDArray[np.int64]:
        """Position of each object's size in `SIZES`."""
        return np.digitize(self.areas_N, [SMALL_SIDE**2, LARGE_SIDE**2])


def find_objects(
    truth_HW: npt.NDArray[np.uint8], index: int, prediction_HW: npt.NDArray[np.uint8] | None = None
) -> Objects:
    """Return the connected parts of a class; pixels that touch at a corner are connected.

    Args:
        truth_HW: class indices.
        index: the class.
        prediction_HW: predicted class indices of the same size, or None.
    """
    parts, labels_HW, stats, _ = cv2.connectedComponentsWithStats((truth_HW == index).astype(np.uint8), connectivity=8)
    found_N = np.zeros(parts, np.int64)
    if prediction_HW is not None:
        found_N = np.bincount(labels_HW[prediction_HW == index], minlength=parts)
    # The first part is what is not of the class.
    return Objects(areas_N=stats[1:, cv2.CC_STAT_AREA].astype(np.int64), found_N=found_N[1:].astype(np.int64))


def join_objects(objects: list[Objects]) -> Objects:
    """Return the objects of many masks as one."""
    empty = np.zeros(0, np.int64)
    return Objects(
        areas_N=np.concatenate([empty, *(one.areas_N for one in objects)]),
        found_N=np.concatenate([empty, *(one.found_N for one in objects)]),
    )
