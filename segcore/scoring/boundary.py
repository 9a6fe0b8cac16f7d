"""Boundary IoU: how well the borders of classes are drawn, from integer counts that can be added over images.

Source: Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", 2021. Its mean over
classes is the metric `boundary_iou`, see `metrics`.
"""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from segcore.data.classes import VOID
from segcore.scoring.overlaps import Overlaps

Mask = npt.NDArray[np.uint8]

_WIDTH_SHARE: Final = 0.02
_OUTSIDE: Final = 0
_BACKGROUND: Final = 255


def boundary_width(height: int, width: int) -> int:
    """Return how many pixels wide the bands along borders are: 2 % of the image's diagonal, at least 1."""
    return max(1, round(_WIDTH_SHARE * float(np.hypot(height, width))))


def count_boundaries(truth_HW: Mask, prediction_HW: Mask, classes: int) -> Overlaps:
    """Count the pixels that truth and prediction have in the bands along the borders of each class.

    A pixel is in the band of its class when eroding the class with a 3x3 kernel, as often as the band is wide, takes it
    away; the image's edge is a border. Void pixels of the truth count nowhere and make no border, in either mask.

    Args:
        truth_HW: class indices, 255 as void.
        prediction_HW: class indices, 255 as background.
        classes: number of classes C.

    Returns:
        (C, 2): pixels in both bands of a class, and in either.
    """
    void_HW = truth_HW == VOID
    in_truth_HW = _find_band(truth_HW, void_HW) & ~void_HW
    in_prediction_HW = _find_band(prediction_HW, void_HW) & ~void_HW & (prediction_HW != VOID)
    in_both_HW = in_truth_HW & in_prediction_HW & (truth_HW == prediction_HW)
    truth_C = np.bincount(truth_HW[in_truth_HW], minlength=classes)
    prediction_C = np.bincount(prediction_HW[in_prediction_HW], minlength=classes)
    both_C = np.bincount(truth_HW[in_both_HW], minlength=classes)
    return np.stack([both_C, truth_C + prediction_C - both_C], axis=1).astype(np.int64)


def _find_band(labels_HW: Mask, void_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the pixels that have another label than their own, or the image's edge, within the band's width."""
    # The erosion of all classes at once: a class keeps a pixel where the lowest and the highest label around it agree.
    codes_HW = np.where(labels_HW == VOID, _BACKGROUND, labels_HW + np.uint8(1))
    kernel, steps = np.ones((3, 3), np.uint8), boundary_width(*labels_HW.shape)
    lowest_HW = cv2.erode(_frame(np.where(void_HW, np.uint8(255), codes_HW)), kernel, iterations=steps)
    highest_HW = cv2.dilate(_frame(np.where(void_HW, np.uint8(0), codes_HW)), kernel, iterations=steps)
    return np.asarray(lowest_HW != highest_HW)[1:-1, 1:-1]


def _frame(codes_HW: npt.NDArray[np.integer]) -> Mask:
    return np.pad(codes_HW.astype(np.uint8), 1, constant_values=_OUTSIDE)
