"""Masks made smaller by area, as `cv2.INTER_AREA` makes images smaller, so that both show the same place.

What else a training does to a sample lives in `transforms`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]

_PIXELS_AT_A_TIME: Final = 1 << 15
"""Small pixels whose areas are counted together: a mask of noise shall not take the memory of all its classes."""


def shrink_mask(mask_HW: Mask, height: int, width: int) -> Mask:
    """Return a smaller mask: each pixel takes the class of the largest area under it, of equal ones the lower index.

    Areas are counted in whole numbers, so that equal ones are equal on every machine. Void counts as a class.

    Args:
        mask_HW: class indices, uint8.
        height: rows wanted, pixels, 1 to those of the mask.
        width: columns wanted, pixels, 1 to those of the mask.
    """
    rows_hI, row_areas_hI = _cover(mask_HW.shape[0], height)
    columns_wJ, column_areas_wJ = _cover(mask_HW.shape[1], width)
    lowest_hw, highest_hw = (_reduce(mask_HW, rows_hI, columns_wJ, pick) for pick in (np.minimum, np.maximum))
    # Most pixels lie inside one class; only where classes meet there is something to count.
    mixed_M = np.flatnonzero(lowest_hw != highest_hw)
    for start in range(0, len(mixed_M), _PIXELS_AT_A_TIME):
        some_M = mixed_M[start : start + _PIXELS_AT_A_TIME]
        row_M, column_M = np.divmod(some_M, width)
        classes_MIJ = mask_HW[rows_hI[row_M][:, :, None], columns_wJ[column_M][:, None, :]]
        areas_MIJ = row_areas_hI[row_M][:, :, None] * column_areas_wJ[column_M][:, None, :]
        lowest_hw.flat[some_M] = _vote(classes_MIJ.reshape(len(some_M), -1), areas_MIJ.reshape(len(some_M), -1))
    return lowest_hw


def _cover(length: int, wanted: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Return the pixels under each wanted one, and how much of each lies there in 1 / `wanted` of a pixel.

    All have as many pixels; what one has too many is inside the last of its own and counts 0.
    """
    starts_h = np.arange(wanted) * length
    offsets_I = np.arange(-(-length // wanted) + 1)
    pixels_hI = starts_h[:, None] // wanted + offsets_I
    ends_hI = np.minimum((pixels_hI + 1) * wanted, starts_h[:, None] + length)
    areas_hI = np.maximum(ends_hI - np.maximum(pixels_hI * wanted, starts_h[:, None]), 0)
    last_h = (starts_h + length - 1) // wanted
    return np.minimum(pixels_hI, last_h[:, None]), areas_hI


def _reduce(mask_HW: Mask, rows_hI: npt.NDArray[np.intp], columns_wJ: npt.NDArray[np.intp], pick: np.ufunc) -> Mask:
    picked_hW = mask_HW[rows_hI[:, 0]]
    for rows_h in rows_hI.T[1:]:
        pick(picked_hW, mask_HW[rows_h], out=picked_hW)
    picked_hw = picked_hW[:, columns_wJ[:, 0]]
    for columns_w in columns_wJ.T[1:]:
        pick(picked_hw, picked_hW[:, columns_w], out=picked_hw)
    return np.ascontiguousarray(picked_hw)


def _vote(classes_MK: Mask, areas_MK: npt.NDArray[np.int64]) -> Mask:
    present_C, ranks_X = np.unique(classes_MK, return_inverse=True)
    cells_MK = ranks_X.reshape(classes_MK.shape) + len(present_C) * np.arange(len(classes_MK))[:, None]
    cells = len(classes_MK) * len(present_C)
    areas_MC = np.bincount(cells_MK.ravel(), areas_MK.ravel(), minlength=cells).reshape(-1, len(present_C))
    winners_M: Mask = present_C[areas_MC.argmax(axis=1)]
    return winners_M
