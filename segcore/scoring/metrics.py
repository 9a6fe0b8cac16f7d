"""IoU: the contest's metric and its companions, from integer counts that can be added.

    iou            per image the mean IoU over the scored classes in its truth, then the mean over images
    miou           per class over all images, then the mean over classes; only when every class is learnt
    miou_scored    the same over the scored classes
    iou/<class>    of one class over all images
    iou_at/<condition>  `iou` over the images of one condition; a class may be called as a condition is
    boundary_iou   as `miou`, over the pixels along the borders of classes alone; only where it was counted

Void pixels count nowhere. A scored class that an image's truth lacks costs that image nothing, even where it was
predicted; an image without scored classes is left out. A class in neither truth nor prediction is left out.
Which of them decides is in `objective`; how borders are counted, in `boundary`; the ratio itself, in `overlaps`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcore.data.classes import VOID, ClassTable
from segcore.scoring.objective import BOUNDARY_IOU, counted_classes
from segcore.scoring.overlaps import Confusion, Overlaps, class_ious, count_overlaps, divide_overlaps

_EXACT_COUNTS: Final = 2**24
"""Numbers up to which 32-bit floats are counted one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScore:
    """What was counted on one image.

    Args:
        name: the case's name.
        condition: the case's condition.
        iou: the contest's score of this image, 0 to 1; None when its truth has no scored class.
        confusion_CP: pixels by true class and predicted class.
        boundary_C2: pixels of each class along its borders, see `boundary`; None where they were not counted.
    """

    name: str
    condition: str
    iou: float | None
    confusion_CP: Confusion
    boundary_C2: Overlaps | None = None

    @property
    def overlaps_C2(self) -> Overlaps:
        """Pixels of each class in the intersection and in the union."""
        return count_overlaps(self.confusion_CP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What metrics need of one image: an `ImageScore` without what was taken for what, of which many are kept.

    Args:
        name: the case's name.
        condition: the case's condition.
        iou: as there.
        overlaps_C2: pixels of each class in the intersection and in the union.
        boundary_C2: as there.
    """

    name: str
    condition: str
    iou: float | None
    overlaps_C2: Overlaps
    boundary_C2: Overlaps | None = None


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
    return count_cells(cells_HW.flatten(), classes * columns + 1)[:-1].view(classes, columns)


def count_cells(cells_N: Tensor, cells: int) -> Tensor:
    """Return how often each number of 0 to `cells` - 1 occurs, int64, without making a GPU wait.

    Args:
        cells_N: int64 numbers.
        cells: how many numbers there are.
    """
    if not cells_N.is_cuda:
        return torch.bincount(cells_N, minlength=cells)
    return count_by_histogram(cells_N, cells)


def count_by_histogram(cells_N: Tensor, cells: int) -> Tensor:
    """Return what `count_cells` returns: on a GPU bincount asks for the largest number first, and so waits for it.

    Overlaps of 32-bit floats are whole up to 2^24, so more numbers are counted in parts.
    """
    parts = torch.split(cells_N.float(), _EXACT_COUNTS)
    # Half a number below the lowest and above the highest: each number is in the middle of its bin.
    return sum(
        (torch.histc(part_N, cells, -0.5, cells - 0.5).long() for part_N in parts),
        torch.zeros(cells, dtype=torch.int64, device=cells_N.device),
    )


def score_image(
    name: str, condition: str, confusion_CP: Confusion, classes: ClassTable, boundary_C2: Overlaps | None = None
) -> ImageScore:
    """Return the contest's score of one image with its counts."""
    iou_C = class_ious(confusion_CP)
    present = [index for index in classes.scored_indices if confusion_CP[index].sum() > 0]
    iou = float(np.mean(iou_C[present])) if present else None
    return ImageScore(name=name, condition=condition, iou=iou, confusion_CP=confusion_CP, boundary_C2=boundary_C2)


def tally_score(score: ImageScore) -> Tally:
    """Return what metrics need of an image's score."""
    return Tally(
        name=score.name,
        condition=score.condition,
        iou=score.iou,
        overlaps_C2=score.overlaps_C2,
        boundary_C2=score.boundary_C2,
    )


def summarise_scores(
    scores: Sequence[ImageScore | Tally], classes: ClassTable, *, every_class: bool
) -> dict[str, float]:
    """Return all metrics over images; see the module's docstring for their names.

    Args:
        scores: the images' scores, of one fold or of several together.
        classes: the class table of the data.
        every_class: whether the network learnt every class, so that `miou` and `boundary_iou` have a meaning.

    Returns:
        Metric names and values; a metric without any image or class behind it is left out.
    """
    if not scores:
        return {}
    iou_C = divide_overlaps(np.sum([score.overlaps_C2 for score in scores], axis=0))
    metrics = {
        "iou": _mean([score.iou for score in scores if score.iou is not None]),
        "miou_scored": _mean([value for value in iou_C[list(classes.scored_indices)] if value == value]),
    }
    if every_class:
        metrics["miou"] = _mean([value for value in iou_C if value == value])
        metrics[BOUNDARY_IOU] = _mean([value for value in class_boundary_ious(scores, classes) if value == value])
    learnt = range(len(classes)) if every_class else classes.scored_indices
    metrics |= {f"iou/{classes.names[index]}": float(iou_C[index]) for index in learnt}
    of_condition: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        # Of an image in no known condition there is nothing to say.
        if score.iou is not None and score.condition:
            of_condition[score.condition].append(score.iou)
    metrics |= {f"iou_at/{condition}": _mean(values) for condition, values in sorted(of_condition.items())}
    return {name: value for name, value in metrics.items() if value == value}


def class_boundary_ious(scores: Sequence[ImageScore | Tally], classes: ClassTable) -> npt.NDArray[np.float64]:
    """Return the IoU of each class along its borders, over images; NaN where there is none, or it was not counted."""
    boundaries = _boundaries(scores)
    return divide_overlaps(np.sum(boundaries, axis=0)) if boundaries else np.full(len(classes), np.nan)


def divide_metric(scores: Sequence[ImageScore | Tally], classes: ClassTable, metric: str) -> dict[str, float]:
    """Return numbers by image whose mean is a metric, so that blocks of images say how sure the metric is.

    Of `iou` they are the images' own scores. A metric over classes has none: an image's number is then the metric plus
    what the image moves it by, to first order (its influence: Hampel, The Influence Curve and its Role in Robust
    Estimation, 1974; for ratios of sums, Woodruff, A Simple Method for Approximating the Variance of a Complicated
    Estimate, 1971). Numbers of two networks may be subtracted image by image. Where a class is on very few images, the
    first order says too little, as resampling them would.

    Args:
        scores: the images' scores, of one fold.
        classes: the class table of the data.
        metric: one that is reported for these scores.

    Returns:
        Nothing where no image says anything.
    """
    if metric == "iou":
        return {score.name: score.iou for score in scores if score.iou is not None}
    counts = _boundaries(scores) if metric == BOUNDARY_IOU else [score.overlaps_C2 for score in scores]
    if not counts:
        return {}
    counts_NC2 = np.stack(counts)[:, list(counted_classes(metric, classes))]
    counts_NC2 = counts_NC2[:, counts_NC2[..., 1].any(axis=0)]
    either_C, iou_C = counts_NC2[..., 1].sum(axis=0), divide_overlaps(counts_NC2.sum(axis=0))
    moved_NC = (counts_NC2[..., 0] - iou_C * counts_NC2[..., 1]) / either_C
    if not len(iou_C):
        return {}
    values_N = iou_C.mean() + len(scores) * moved_NC.mean(axis=1)
    return {score.name: float(value) for score, value in zip(scores, values_N, strict=True)}


def best_single_class(scores: Sequence[ImageScore], classes: ClassTable, metric: str) -> tuple[str, float] | None:
    """Return the class that, predicted everywhere, scores best, and its score: what a model must clearly beat.

    Args:
        scores: scores of any predictions on the images; only their truths are used.
        classes: the class table of the data.
        metric: in which they are compared.

    Returns:
        None where nothing tells: of borders, which such a prediction has only at the image's edge.
    """
    if metric == BOUNDARY_IOU or not scores:
        return None
    truths_NC = np.stack([score.confusion_CP.sum(axis=1) for score in scores])
    counted = list(counted_classes(metric, classes))
    guesses = []
    for index in counted:
        # The contest's metric takes images one by one, every other all of them together.
        rows = truths_NC if metric == "iou" else truths_NC.sum(axis=0, keepdims=True)
        guesses.append((_mean([_guess(row_C, index, counted) for row_C in rows if row_C[counted].any()]), index))
    score, index = max(guesses, key=lambda guess: guess[0])
    return classes.names[index], score


def _guess(truth_C: npt.NDArray[np.int64], index: int, counted: Sequence[int]) -> float:
    """Return the mean IoU over the counted classes in a truth when all of it is called one of them."""
    return float(truth_C[index] / truth_C.sum() / np.count_nonzero(truth_C[counted]))


def _boundaries(scores: Sequence[ImageScore | Tally]) -> list[Overlaps]:
    """Return the counts along borders; none unless every image has them."""
    counts = [score.boundary_C2 for score in scores if score.boundary_C2 is not None]
    return counts if len(counts) == len(scores) else []


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
