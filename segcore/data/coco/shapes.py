"""The outlines of a COCO file as pixels: polygons, runs as lists of lengths, and runs as texts.

A pixel belongs to a polygon whose outline its centre is inside of, by the even-odd rule; an object of several polygons
has the pixels of any. (Lin et al., 2014; the text form is that of the COCO API.)
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.errors import DataError

Pixels = npt.NDArray[np.bool_]

_FIRST_LETTER: Final = 48
_LAST_LETTER: Final = 111
_BITS: Final = 5
_GOES_ON: Final = 0x20
_NEGATIVE: Final = 0x10
_SMALLEST_POLYGON: Final = 6
_FARTHEST: Final = 1e6
"""Pixels from the image's corner, beyond which nobody can tell where an outline leads."""


def draw_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> Pixels:
    """Return the pixels (H, W) of an object of polygons.

    Args:
        polygons: x, y, x, y, ... of the corners, pixels; (0, 0) is the image's upper left corner.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        DataError: when a corner has no y.
    """
    pixels_HW = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        if len(polygon) % 2:
            raise DataError(f"a polygon has {count_words(len(polygon), 'number')}; they are x and y in turn")
        # Two corners enclose nothing.
        if len(polygon) >= _SMALLEST_POLYGON:
            corners_N2 = np.clip(np.array(polygon, np.float64).reshape(-1, 2), -_FARTHEST, _FARTHEST)
            _add_polygon(pixels_HW, corners_N2)
    return pixels_HW


def draw_runs(counts: Sequence[int] | str, size: Sequence[int], height: int, width: int) -> Pixels:
    """Return the pixels (H, W) of an object of runs.

    Args:
        counts: lengths of runs outside and inside the object in turn, column by column; or their text.
        size: height and width that the runs are for.
        height: of the image, pixels.
        width: of the image, pixels.

    Raises:
        DataError: when the runs are not those of an image of this size.
    """
    if tuple(size) != (height, width):
        raise DataError(f"its runs are for an image of {'x'.join(map(str, reversed(size)))} pixels")
    lengths = parse_counts(counts) if isinstance(counts, str) else list(counts)
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise DataError(f"its runs are for {sum(lengths)} pixels, and the image has {height * width}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, lengths).reshape(width, height).T)


def parse_counts(text: str) -> list[int]:
    """Return the lengths of runs that a text stands for.

    Raises:
        DataError: when it has letters that none of these texts has, or ends within a number.
    """
    lengths: list[int] = []
    value = bits = 0
    for letter in map(ord, text):
        if not _FIRST_LETTER <= letter <= _LAST_LETTER:
            raise DataError(f"the text of its runs has {chr(letter)!r}, which stands for nothing")
        part = letter - _FIRST_LETTER
        value |= (part & (_GOES_ON - 1)) << bits
        bits += _BITS
        if part & _GOES_ON:
            continue
        if part & _NEGATIVE:
            value -= 1 << bits
        # From the third on, a length is told by its difference to the one before the last.
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = bits = 0
    if bits:
        raise DataError("the text of its runs is cut short")
    return lengths


def _add_polygon(pixels_HW: Pixels, corners_N2: npt.NDArray[np.float64]) -> None:
    height, width = pixels_HW.shape
    top = int(np.clip(np.floor(corners_N2[:, 1].min()), 0, height))
    bottom = int(np.clip(np.ceil(corners_N2[:, 1].max()) + 1, top, height))
    # Each edge turns inside and outside about for all pixels to the right of it.
    turns_HW = np.zeros((bottom - top, width + 1), np.uint8)
    for (x, y), (next_x, next_y) in zip(corners_N2, np.roll(corners_N2, -1, axis=0), strict=True):
        rows = np.arange(_first_centre(min(y, next_y), top, bottom), _first_centre(max(y, next_y), top, bottom))
        if rows.size:
            crossings = x + (rows + 0.5 - y) * (next_x - x) / (next_y - y)
            turns_HW[rows - top, np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)] ^= 1
    pixels_HW[top:bottom] |= np.bitwise_xor.accumulate(turns_HW, axis=1)[:, :width].astype(np.bool_)


def _first_centre(y: float, top: int, bottom: int) -> int:
    """Return the first row whose centre is at or below a height."""
    return int(np.clip(np.ceil(y - 0.5), top, bottom))
