"""IoU: the contest's metric and its companions, from integer counts that can be added.

    iou            per image the mean IoU over the scored classes in its truth, then the mean over images
    miou           per class over all images, then the mean over classes; only when every class is learnt
    miou_scored    the same over the scored classes
    iou/<class>    of one class over all images
    iou_at/<condition>  `iou` over the images of one condition; a class may be called as a condition is

Void pixels count nowhere. A scored class that an image's truth lacks costs that image nothing, even where it was
predicted; an image without scored classes is left out. A class in neither truth nor prediction is left out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcore.data.classes import VOID, ClassTable

Confusion = npt.NDArray[np.int64]
"""Pixels by true class (rows, C) and predicted class (columns, C + 1; the last: predicted as background)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScore:
    """What was counted on one image.

    Args:
        name: the case's name.
        condition: the case's condition.
        iou: the contest's score of this image, 0 to 1; None when its truth has no scored class.
        confusion_CP: pixels by true class and predicted class.
    """

    name: str
    condition: str
    iou: float | None
    confusion_CP: Confusion


def count_confusion(truth_HW: Tensor, prediction_HW: Tensor, classes: int) -> Tensor:
    """Count pixels by true and predicted class.

    Args:
        truth_HW: class indices, uint8, 255 as void, on any device.
        prediction_HW: class indices, uint8, 255 as background, same device and size.
        classes: number of classes C.

    Returns:
        int64 counts (C, C + 1) on the same device.
    """
    columns = classes + 1
    truth_HW, prediction_HW = truth_HW.long(), prediction_HW.long()
    prediction_HW = torch.where(prediction_HW == VOID, classes, prediction_HW)
    # Void pixels go to one extra bin: selecting them out would make a GPU wait for the count.
    cells_HW = torch.where(truth_HW == VOID, classes * columns, truth_HW * columns + prediction_HW)
    counts = torch.bincount(cells_HW.flatten(), minlength=classes * columns + 1)
    return counts[:-1].view(classes, columns)


def score_image(name: str, condition: str, confusion_CP: Confusion, classes: ClassTable) -> ImageScore:
    """Return the contest's score of one image with its counts."""
    iou_C = class_ious(confusion_CP)
    present = [index for index in classes.scored_indices if confusion_CP[index].sum() > 0]
    iou = float(np.mean(iou_C[present])) if present else None
    return ImageScore(name=name, condition=condition, iou=iou, confusion_CP=confusion_CP)


def class_ious(confusion_CP: Confusion) -> npt.NDArray[np.float64]:
    """Return intersection over union of each class; NaN for a class in neither truth nor prediction."""
    classes = len(confusion_CP)
    intersection_C = np.diagonal(confusion_CP)
    union_C = confusion_CP.sum(axis=1) + confusion_CP[:, :classes].sum(axis=0) - intersection_C
    iou_C = np.full(classes, np.nan)
    np.divide(intersection_C, union_C, out=iou_C, where=union_C > 0)
    return iou_C


def summarise_scores(scores: Sequence[ImageScore], classes: ClassTable, *, every_class: bool) -> dict[str, float]:
    """Return all metrics over images; see the module's docstring for their names.

    Args:
        scores: the images' scores, of one fold or of several together.
        classes: the class table of the data.
        every_class: whether the network learnt every class, so that `miou` has a meaning.

    Returns:
        Metric names and values; a metric without any image or class behind it is left out.
    """
    iou_C = class_ious(np.sum([score.confusion_CP for score in scores], axis=0))
    metrics = {
        "iou": _mean([score.iou for score in scores if score.iou is not None]),
        "miou_scored": _mean([value for value in iou_C[list(classes.scored_indices)] if value == value]),
    }
    if every_class:
        metrics["miou"] = _mean([value for value in iou_C if value == value])
    learnt = range(len(classes)) if every_class else classes.scored_indices
    metrics |= {f"iou/{classes.names[index]}": float(iou_C[index]) for index in learnt}
    of_condition: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        if score.iou is not None:
            of_condition[score.condition].append(score.iou)
    metrics |= {f"iou_at/{time}": _mean(values) for time, values in sorted(of_condition.items())}
    return {name: value for name, value in metrics.items() if value == value}


def best_single_class(scores: Sequence[ImageScore], classes: ClassTable) -> tuple[str, float]:
    """Return the class that, predicted everywhere, scores best, and its `iou`: what a model must clearly beat.

    Args:
        scores: scores of any predictions on the images; only their truths are used.
        classes: the class table of the data.
    """
    guesses = []
    for index in classes.scored_indices:
        ious = []
        for score in scores:
            truth_C = score.confusion_CP.sum(axis=1)
            present = [other for other in classes.scored_indices if truth_C[other] > 0]
            if present:
                ious.append(truth_C[index] / truth_C.sum() / len(present) if index in present else 0.0)
        guesses.append((_mean(ious), classes.names[index]))
    iou, name = max(guesses)
    return name, iou


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
