"""Windows: which part of an image a sample shows, drawn at random.

How a window's pixels become a sample of the wanted size lives in `transforms`.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from segcore.config import TrainConfig
from segcore.data.classes import VOID
from segcore.errors import DataError

Mask = npt.NDArray[np.uint8]

_SEARCH_STRIDE: Final = 8
"""Pixels between those that the search for a class looks at first."""

_MOST_DRAWS: Final = 10
"""Of a crop in which one class has too large a share; the last one is taken as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of an image, in its pixels; where it is larger than the image it reaches over its edges.

    Args:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
    """

    top: int
    left: int
    height: int
    width: int

    def cut(self, mask_HW: Mask) -> Mask:
        """Return what of a mask lies inside a window that begins in it, a view."""
        return mask_HW[self.top : self.top + self.height, self.left : self.left + self.width]

    def widened(self, rows: int, columns: int) -> "Window":
        """Return it with so many more rows above and below, and columns left and right."""
        return Window(
            top=self.top - rows,
            left=self.left - columns,
            height=self.height + 2 * rows,
            width=self.width + 2 * columns,
        )


def draw_window(mask_HW: Mask, config: TrainConfig, random: np.random.Generator, wanted_class: int | None) -> Window:
    """Return what of an image a sample shows: at scale s, 1 / s of the pixels per side that it shows unscaled.

    s is drawn evenly from 1 / scale_jitter to scale_jitter. Sources: Chen et al., Rethinking atrous convolution for
    semantic image segmentation, 2017 (scales from 0.5 to 2.0 before the crop); MMSegmentation's `RandomResize`, and its
    `cat_max_ratio` for the share of a class (0.75, ten draws).

    Args:
        mask_HW: class indices of the image; 255 is void.
        config: its `input_mode`, `crop_size`, `scale_jitter` and, for crops, `max_class_share` are used.
        random: draws scale and place.
        wanted_class: class in the mask of which the window has at least one pixel; None: no matter which.
    """
    jitter, is_crop = config.scale_jitter, config.input_mode == "crop"
    side = config.crop_size
    height, width = (side, side) if is_crop else mask_HW.shape
    if jitter == 1 and not is_crop:
        return Window(top=0, left=0, height=height, width=width)
    if jitter > 1:
        scale = random.uniform(1 / jitter, jitter)
        height, width = max(1, round(height / scale)), max(1, round(width / scale))
    for _ in range(_MOST_DRAWS):
        window = _place_window(mask_HW, height, width, random, wanted_class)
        if not is_crop or config.max_class_share == 1 or largest_share(window.cut(mask_HW)) <= config.max_class_share:
            break
    return window


def largest_share(mask_HW: Mask) -> float:
    """Return the share that the largest class has of the pixels that are not void; 1 where all are void."""
    # Many times as fast as counting with numpy, and exact up to crops of 4096 pixels.
    pixels_C = cv2.calcHist([mask_HW], [0], None, [VOID], [0, VOID])
    total = pixels_C.sum(dtype=np.float64)
    return float(pixels_C.max() / total) if total else 1.0


def _place_window(
    mask_HW: Mask, height: int, width: int, random: np.random.Generator, wanted_class: int | None
) -> Window:
    # In an image that is smaller than its window there is one place.
    last_top, last_left = max(0, mask_HW.shape[0] - height), max(0, mask_HW.shape[1] - width)
    if wanted_class is None:
        top, left = random.integers(last_top + 1), random.integers(last_left + 1)
    else:
        row, column = _find_pixel(mask_HW, wanted_class, random)
        # Among all places that have the pixel inside, so that it is not always in the middle.
        top = random.integers(max(0, row - height + 1), min(row, last_top) + 1)
        left = random.integers(max(0, column - width + 1), min(column, last_left) + 1)
    return Window(top=int(top), left=int(left), height=height, width=width)


def _find_pixel(mask_HW: Mask, wanted_class: int, random: np.random.Generator) -> tuple[int, int]:
    # A 64th of the pixels first, from a random start so that each pixel can be met; then all of them.
    for stride in (_SEARCH_STRIDE, 1):
        first_row, first_column = (int(start) for start in random.integers(stride, size=2))
        seen_HW = mask_HW[first_row::stride, first_column::stride]
        found_F = np.flatnonzero(seen_HW == wanted_class)
        if len(found_F):
            row, column = divmod(int(random.choice(found_F)), seen_HW.shape[1])
            return first_row + stride * row, first_column + stride * column
    raise DataError(f"Class {wanted_class} is not in the mask, but its crop must have it; prepare the cache again.")
