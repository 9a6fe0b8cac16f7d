"""Which components of a predicted class are too small to be kept: chosen out of fold, kept only where it helps.

What a removal changes is counted once for each class and area on images that the networks never saw; counts of several
classes add up, since a removal touches pixels of its own class alone. Areas that were chosen on images flatter there,
so the gain is that of areas chosen without each fold and applied to it; it must be beyond twice its error over images.
How components are removed lives in `components`, ways of looking at an image in `tune`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from segcore.data.caching.cache import Progress
from segcore.data.classes import ClassTable
from segcore.data.dataset import DecodedCase, decode_case
from segcore.prediction.components import find_areas, find_next, find_small, name_outputs
from segcore.prediction.ensemble import Ensemble
from segcore.prediction.held_out import choose_members
from segcore.prediction.predict import find_greatest
from segcore.prediction.tune import HeldOutImage
from segcore.prediction.tune_ways import Gain, pair_images
from segcore.scoring.metrics import ImageScore, count_confusion, divide_metric, score_image, summarise_scores
from segcore.scoring.objective import BOUNDARY_IOU, learns_every_class
from segcore.scoring.overlaps import Confusion

AREAS: Final = (30, 100, 300, 1000, 3000)
"""Areas that are tried, millionths of the image."""

ERRORS: Final = 2.0
"""A gain of fewer standard errors may be chance."""

_SWEEPS: Final = 2

Chosen = dict[int, int]
"""Least area by output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removals:
    """What removing small components changes on one image.

    Args:
        image: the image.
        confusion_CP: pixels by true and predicted class without any removal.
        changes: by output and area what the removal adds to that.
    """

    image: HeldOutImage
    confusion_CP: Confusion
    changes: Mapping[tuple[int, int], Confusion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """What removing small components is worth.

    Args:
        least_areas: area by class name that was chosen on all images.
        gain: of areas that were chosen without the images that they are scored on.
        before: score without removals, over all images.
        after: with them; it flatters.
    """

    least_areas: dict[str, int]
    gain: Gain
    before: float
    after: float

    @property
    def helps(self) -> bool:
        """Whether the gain is more than chance."""
        return bool(self.least_areas) and self.gain.score > ERRORS * self.gain.error


def choose_areas(
    ensemble: Ensemble, classes: ClassTable, images: Sequence[HeldOutImage], progress: Progress, metric: str
) -> Cleaning | None:
    """Choose for each class the least area of a component.

    Args:
        ensemble: the networks, with the options that they are to predict with.
        classes: the data's class table.
        images: the images with the networks that may predict them.
        progress: told how many predictions are done.
        metric: what decides.

    Returns:
        None where nothing can tell: for a metric of borders, and where all images are of one fold.
    """
    if metric == BOUNDARY_IOU or len({image.members for image in images}) < 2:
        return None
    counted = []
    for done, image in enumerate(images, start=1):
        counted.append(count_removals(ensemble, image, decode_case(image.case), classes))
        progress(done, len(images))
    return conclude(counted, ensemble, classes, metric)


def count_removals(ensemble: Ensemble, image: HeldOutImage, decoded: DecodedCase, classes: ClassTable) -> Removals:
    """Predict an image and count what removing small components of each output would change."""
    probabilities_CHW = choose_members(ensemble, image.members).probabilities(decoded.image_HW3)
    greatest_HW = find_greatest(probabilities_CHW)
    truth_HW, class_of_output = torch.from_numpy(decoded.mask_HW), ensemble.class_of_output.cpu()
    confusion_CP = count_confusion(truth_HW, class_of_output[greatest_HW.cpu()], len(classes)).numpy()
    changes = {}
    for output in range(len(probabilities_CHW)):
        areas_HW = find_areas((greatest_HW == output).cpu().numpy())
        if not areas_HW.any():
            continue
        next_HW = class_of_output[find_next(probabilities_CHW, output).cpu()]
        for millionths in AREAS:
            small = find_small(areas_HW, millionths)
            if small.any():
                own = torch.full_like(truth_HW[small], int(class_of_output[output]))
                changes[output, millionths] = _move(truth_HW[small], own, next_HW[small], len(classes))
    return Removals(image=image, confusion_CP=confusion_CP, changes=changes)


def conclude(counted: Sequence[Removals], ensemble: Ensemble, classes: ClassTable, metric: str) -> Cleaning:
    """Choose areas on all images, and without each fold what that choice is worth."""
    every_class = learns_every_class(ensemble.config.labels, classes)

    def score(scores: Sequence[ImageScore]) -> float:
        # Where nothing is there to count it is NaN, to which nothing is better.
        return summarise_scores(scores, classes, every_class=every_class).get(metric, math.nan)

    plain = [_score(each, {}, classes) for each in counted]
    chosen = _choose(counted, classes, score)
    honest = []
    for members in sorted({each.image.members for each in counted}):
        areas = _choose([each for each in counted if each.image.members != members], classes, score)
        honest += [_score(each, areas, classes) for each in counted if each.image.members == members]
    names = name_outputs(classes, ensemble.config.labels)
    return Cleaning(
        least_areas={names[output]: area for output, area in chosen.items()},
        gain=pair_images(divide_metric(honest, classes, metric), divide_metric(plain, classes, metric)),
        before=score(plain),
        after=score([_score(each, chosen, classes) for each in counted]),
    )


def _choose(counted: Sequence[Removals], classes: ClassTable, score: Callable[[Sequence[ImageScore]], float]) -> Chosen:
    """Change one class after the other as long as the score grows."""
    chosen: Chosen = {}
    best = score([_score(each, chosen, classes) for each in counted])
    outputs = sorted({output for each in counted for output, _ in each.changes})
    for _ in range(_SWEEPS):
        for output in outputs:
            for area in AREAS:
                tried = {**chosen, output: area}
                found = score([_score(each, tried, classes) for each in counted])
                if found > best:
                    best, chosen = found, tried
    return chosen


def _score(removals: Removals, areas: Mapping[int, int], classes: ClassTable) -> ImageScore:
    confusion_CP = removals.confusion_CP
    for each in areas.items():
        if each in removals.changes:
            confusion_CP = confusion_CP + removals.changes[each]
    case = removals.image.case
    return score_image(case.name, case.condition, confusion_CP, classes)


def _move(truth_P: Tensor, before_P: Tensor, after_P: Tensor, classes: int) -> Confusion:
    moved: Confusion = (
        count_confusion(truth_P, after_P, classes) - count_confusion(truth_P, before_P, classes)
    ).numpy()
    return moved
