"""Intersection over union, from counts of pixels that can be added over images.

Needs neither torch nor OpenCV, so that what only reads counts starts in no time. Pixels are counted in `metrics` and
`boundary`.
"""

import numpy as np
import numpy.typing as npt

Confusion = npt.NDArray[np.int64]
"""Pixels by true class (rows, C) and predicted class (columns, C + 1; the last: predicted as background)."""
Overlaps = npt.NDArray[np.int64]
"""Pixels by class (rows, C) in the intersection and in the union (columns)."""


def count_overlaps(confusion_CP: Confusion) -> Overlaps:
    """Return the pixels of each class that are in truth and prediction, and in either: (C, 2)."""
    both_C = np.diagonal(confusion_CP)
    either_C = confusion_CP.sum(axis=1) + confusion_CP[:, : len(confusion_CP)].sum(axis=0) - both_C
    return np.stack([both_C, either_C], axis=1)


def divide_overlaps(overlaps_C2: Overlaps) -> npt.NDArray[np.float64]:
    """Return the intersection over union of each class; NaN for a class without pixels."""
    iou_C = np.full(len(overlaps_C2), np.nan)
    np.divide(overlaps_C2[:, 0], overlaps_C2[:, 1], out=iou_C, where=overlaps_C2[:, 1] > 0)
    return iou_C


def class_ious(confusion_CP: Confusion) -> npt.NDArray[np.float64]:
    """Return intersection over union of each class; NaN for a class in neither truth nor prediction."""
    return divide_overlaps(count_overlaps(confusion_CP))
