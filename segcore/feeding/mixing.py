"""Mixes two samples: half of the classes of one are laid over the other, or its objects of scored classes.

Pure functions of pixels; which samples are mixed is drawn in `samples`.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from segcore.data.classes import VOID

Image = npt.NDArray[np.uint8]
Sample = tuple[Image, Image]
"""RGB pixels (H, W, 3) and class indices (H, W)."""

_MOST_OBJECTS: Final = 5
"""That one sample gets from another."""

_LEAST_PIXELS: Final = 16
"""Of an object that is pasted: fewer show nothing of it."""


def mix_classes(sample: Sample, other: Sample, random: np.random.Generator) -> Sample:
    """Lay half of the classes of another sample, rounded up, over a sample, each pixel at its own place.

    Source: Olsson et al., ClassMix: segmentation-based data augmentation for semi-supervised learning, 2021.

    Args:
        sample: what is laid over; it stays as it is.
        other: what the classes are from; where it is larger or smaller, both meet at the top left corner.
        random: draws the classes.
    """
    _, other_HW = _cut_alike(other, sample)
    classes = np.unique(other_HW)
    classes = random.permutation(classes[classes != VOID])
    return _paste(sample, other, np.isin(other_HW, classes[: -(-len(classes) // 2)]))


def paste_objects(sample: Sample, other: Sample, rarest_first: Sequence[int], random: np.random.Generator) -> Sample:
    """Lay one to five objects of another sample over a sample, those of rare classes first, each at its own place.

    Objects are the connected parts of a class, from 16 pixels on; of one class they come in random order. Source:
    Ghiasi et al., Simple copy-paste is a strong data augmentation method for instance segmentation, 2021.

    Args:
        sample: what is laid over; it stays as it is.
        other: what the objects are from; where it is larger or smaller, both meet at the top left corner.
        rarest_first: the classes whose parts are objects, rare ones first.
        random: draws how many and which.
    """
    _, other_HW = _cut_alike(other, sample)
    wanted = int(random.integers(1, _MOST_OBJECTS + 1))
    pasted_HW = np.zeros(other_HW.shape, bool)
    for index in rarest_first:
        parts, labels_HW, stats, _ = cv2.connectedComponentsWithStats((other_HW == index).astype(np.uint8))
        # The first part is what is not of the class.
        objects = [part for part in range(1, parts) if stats[part, cv2.CC_STAT_AREA] >= _LEAST_PIXELS]
        chosen = random.permutation(objects)[:wanted]
        pasted_HW |= np.isin(labels_HW, chosen)
        wanted -= len(chosen)
    return _paste(sample, other, pasted_HW)


def _cut_alike(other: Sample, sample: Sample) -> Sample:
    height, width = sample[1].shape
    return other[0][:height, :width], other[1][:height, :width]


def _paste(sample: Sample, other: Sample, pasted_HW: npt.NDArray[np.bool_]) -> Sample:
    image_HW3, mask_HW = sample[0].copy(), sample[1].copy()
    other_HW3, other_HW = _cut_alike(other, sample)
    height, width = pasted_HW.shape
    image_HW3[:height, :width][pasted_HW] = other_HW3[pasted_HW]
    mask_HW[:height, :width][pasted_HW] = other_HW[pasted_HW]
    return image_HW3, mask_HW
