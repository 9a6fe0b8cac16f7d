"""What training at a smaller size can score at most: the truth itself, shrunk as masks are and enlarged as predictions.

A network of `input_mode=resize` learns masks shrunk in `feeding.shrinking`, and what it says is enlarged in
`prediction.predict`. One that had learnt every mask by heart would still miss what is thinner than its pixels.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch

from segcore.data.case import Case
from segcore.data.classes import VOID, ClassTable
from segcore.data.dataset import decode_case
from segcore.errors import DataError
from segcore.feeding.shrinking import shrink_mask
from segcore.feeding.transforms import scaled_size
from segcore.prediction.held_out import spread
from segcore.scoring.metrics import ImageScore, count_confusion, score_image, summarise_scores

SCALES: Final = (0.25, 0.5, 0.75)
MOST_IMAGES: Final = 48
"""Evenly spread over the data: more change the third digit and take minutes."""

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most that a network can score which sees images at a smaller size.

    Args:
        scale: side of what it sees per side of the image.
        metrics: of the truth, shrunk and enlarged, see `metrics`.
        images: how many were measured.
    """

    scale: float
    metrics: dict[str, float]
    images: int


def measure_ceilings(
    cases: Sequence[Case], classes: ClassTable, scales: Sequence[float] = SCALES, most: int = MOST_IMAGES
) -> list[Ceiling]:
    """Return the ceiling of each scale on some of the images.

    Args:
        cases: images of a data set; those that cannot be decoded are passed over.
        classes: the data's class table.
        scales: above 0 and at most 1.
        most: images to measure, evenly spread.
    """
    with ThreadPoolExecutor() as pool:
        found = [
            scores for scores in pool.map(lambda case: _score(case, classes, scales), spread(cases, most)) if scores
        ]
    return [
        Ceiling(scale=scale, metrics=summarise_scores(scores, classes, every_class=True), images=len(scores))
        for scale, scores in zip(scales, zip(*found, strict=True), strict=False)
    ]


def shrink_and_enlarge(mask_HW: Mask, scale: float, classes: int) -> Mask:
    """Return the classes that a network predicts at full size which knows the small mask by heart.

    Args:
        mask_HW: class indices, uint8.
        scale: side of the small mask per side of this one, above 0 and at most 1.
        classes: number of classes.
    """
    height, width = mask_HW.shape
    small_hw = shrink_mask(mask_HW, *scaled_size(height, width, scale))
    greatest_HW = np.zeros((height, width), np.float32)
    enlarged_HW = np.zeros((height, width), np.uint8)
    for index in np.unique(small_hw[small_hw < classes]).tolist():
        likely_HW = cv2.resize((small_hw == index).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        better_HW = likely_HW > greatest_HW
        enlarged_HW[better_HW] = index
        greatest_HW[better_HW] = likely_HW[better_HW]
    return enlarged_HW


def _score(case: Case, classes: ClassTable, scales: Sequence[float]) -> list[ImageScore]:
    try:
        truth_HW = decode_case(case).mask_HW
    except DataError:
        # It stands among the problems already.
        return []
    if (truth_HW == VOID).all():
        return []
    scores = []
    for scale in scales:
        enlarged_HW = shrink_and_enlarge(truth_HW, scale, len(classes))
        counts = count_confusion(torch.from_numpy(truth_HW), torch.from_numpy(enlarged_HW), len(classes))
        scores.append(score_image(case.name, case.condition, counts.numpy(), classes))
    return scores
