"""Predicts a data set with a model and counts its mistakes: per image, per class, per place, per object size.

Which network predicts which image is decided in `held_out`; the page is written in `error_report`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from segcore.data.case import Case, DataSet
from segcore.data.classes import ClassTable
from segcore.data.dataset import decode_case, read_dataset
from segcore.errors import ConfigError, DataError
from segcore.machine import Machine
from segcore.prediction.ensemble import Ensemble
from segcore.prediction.ensemble_files import load_ensemble
from segcore.prediction.held_out import (
    Assignment,
    HeldOutPlan,
    Origin,
    choose_members,
    plan_held_out,
    spread,
)
from segcore.prediction.training_notes import TrainingNotes, read_notes
from segcore.scoring.boundary import count_boundaries
from segcore.scoring.confusion import ConfusionTable, tabulate_confusion
from segcore.scoring.metrics import ImageScore, count_confusion, score_image, summarise_scores
from segcore.scoring.objective import learns_every_class
from segcore.scoring.objects import SIZES, Objects, find_objects, join_objects
from segcore.scoring.overlaps import Confusion, class_ious

Mask = npt.NDArray[np.uint8]
Group = TypeVar("Group", str, int, tuple[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which images of a data set a model is judged on.

    Args:
        images: at most so many, evenly spread over the data; None: all.
        every_image: also those that the model trained on, though others are there.
        folds_file: the folds that the model was trained with; None: found or made again, see `held_out`.

    Raises:
        ConfigError: when fewer than one image is asked for.
    """

    images: int | None = None
    every_image: bool = False
    folds_file: Path | None = None

    def __post_init__(self) -> None:
        if self.images is not None and self.images < 1:
            raise ConfigError(f"images={self.images}: at least 1 must be predicted; leave it out to predict all.")


DEFAULT_SELECTION: Final = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageErrors:
    """What was counted on one image.

    Args:
        case: whose it is.
        assignment: who predicted it.
        score: its score and confusion.
        objects: objects of each scored class, with the pixels that were found.
    """

    case: Case
    assignment: Assignment
    score: ImageScore
    objects: tuple[Objects, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnalysis:
    """A model's mistakes on a data set.

    Args:
        ensemble: the model.
        classes: the data's class table.
        notes: what the model says of its training.
        plan: who predicts which image, of the whole data set.
        images: what was counted on the images that were predicted.
        left_out: images not predicted because the model had trained on them.
    """

    ensemble: Ensemble
    classes: ClassTable
    notes: TrainingNotes
    plan: HeldOutPlan
    images: tuple[ImageErrors, ...]
    left_out: int

    @property
    def every_class(self) -> bool:
        """Whether the model tells every class apart, or the scored ones from one background."""
        return learns_every_class(self.ensemble.config.labels, self.classes)

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics over the predicted images, see `metrics`."""
        return measure_images(self, self.images)

    @property
    def metric(self) -> str:
        """What decided in the model's training."""
        return self.notes.metric

    @property
    def confusion(self) -> ConfusionTable:
        """Pixels by true and predicted class, over all predicted images."""
        confusion_CP: Confusion = np.sum([image.score.confusion_CP for image in self.images], axis=0)
        return tabulate_confusion(confusion_CP, self.classes, every_class=self.every_class)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRecall:
    """How well objects of one class and size are found.

    Args:
        objects: how many there are.
        found: mean over the objects of the share of their pixels that are found, 0 to 1; NaN without an object.
        half_found: share of the objects of which at least half the pixels are found.
    """

    objects: int
    found: float
    half_found: float


def analyse_errors(
    model: Path,
    data: Path,
    machine: Machine,
    progress: Callable[[int, int], None],
    selection: Selection = DEFAULT_SELECTION,
    layout: str = "",
) -> ErrorAnalysis:
    """Predict a data set with a model and count what is wrong.

    Args:
        model: the model's directory.
        data: the data-set folder.
        machine: where to predict.
        progress: called with (images done, images in all).
        selection: which images.
        layout: of the data set, a name in `sources.layouts`; empty: recognised.

    Raises:
        CheckpointError: when there is no model.
        DataError: when the data cannot be used or has other classes than the model.
    """
    notes = read_notes(model)
    dataset = read_dataset(data, layout)
    ensemble = load_ensemble(model, machine)
    require_same_classes(ensemble, dataset.classes, data)
    plan = plan_held_out(notes, dataset.cases, model, selection.folds_file)
    wanted = choose_cases(dataset.cases, plan, every_image=selection.every_image)
    counted = []
    chosen = spread(wanted, selection.images)
    for done, case in enumerate(chosen, start=1):
        counted.append(_count(case, plan.of_case[case.name], ensemble, dataset))
        progress(done, len(chosen))
    return ErrorAnalysis(
        ensemble=ensemble,
        classes=dataset.classes,
        notes=notes,
        plan=plan,
        images=tuple(counted),
        left_out=len(dataset.cases) - len(wanted),
    )


def require_same_classes(ensemble: Ensemble, data: ClassTable, folder: Path) -> None:
    """Raise `DataError` when what a model predicts means something else in the data."""
    model = ensemble.classes
    if model.names != data.names:
        position = next((i for i, (a, b) in enumerate(zip(model.names, data.names, strict=False)) if a != b), None)
        said = (
            f"class {position} is {data.names[position]!r} in the data and {model.names[position]!r} in the model"
            if position is not None
            else f"the data has {len(data)} classes, the model {len(model)}"
        )
        raise DataError(f"{folder} has other classes than the model ({said}); give the data set that it was made for.")
    if ensemble.config.labels == "scored" and set(model.scored) != set(data.scored):
        raise DataError(
            f"{folder} scores {', '.join(data.scored)}, but the model learnt {', '.join(model.scored)} and one "
            "background (labels=scored); score the same classes, or train with labels=full."
        )


def choose_cases(cases: Sequence[Case], plan: HeldOutPlan, *, every_image: bool) -> list[Case]:
    """Return the images that tell how good a model is: those it has not trained on, if there are any.

    Args:
        cases: all images.
        plan: who predicts each.
        every_image: return all nevertheless.
    """
    if every_image or not plan.count(Origin.HELD_OUT):
        return list(cases)
    return [case for case in cases if plan.of_case[case.name].origin is Origin.HELD_OUT]


def predict_image(ensemble: Ensemble, assignment: Assignment, image_HW3: npt.NDArray[np.uint8]) -> Mask:
    """Return the class indices that the assigned members predict together."""
    return choose_members(ensemble, assignment.members).predict(image_HW3)


def measure_sizes(objects: Objects) -> dict[str, SizeRecall]:
    """Return how well the objects of each size are found."""
    shares_N = objects.found_N / objects.areas_N
    of_size = {}
    for position, size in enumerate(SIZES):
        of_this_N = shares_N[objects.sizes_N == position]
        known = len(of_this_N) > 0
        of_size[size] = SizeRecall(
            objects=len(of_this_N),
            found=float(of_this_N.mean()) if known else float("nan"),
            half_found=float((of_this_N >= 0.5).mean()) if known else float("nan"),
        )
    return of_size


def recall_by_class(analysis: ErrorAnalysis) -> dict[str, dict[str, SizeRecall]]:
    """Return how well the objects of each scored class and size are found."""
    return {
        name: measure_sizes(join_objects([image.objects[position] for image in analysis.images]))
        for position, name in enumerate(analysis.classes.scored)
    }


def group_images(images: Sequence[ImageErrors], key: Callable[[ImageErrors], Group]) -> dict[Group, list[ImageErrors]]:
    """Return images by what a key says of each, in the order of the keys."""
    groups: dict[Group, list[ImageErrors]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return dict(sorted(groups.items()))


def measure_images(analysis: ErrorAnalysis, images: Sequence[ImageErrors]) -> dict[str, float]:
    """Return all metrics over some of the images."""
    scores = [image.score for image in images]
    return summarise_scores(scores, analysis.classes, every_class=analysis.every_class)


def weakest_class(image: ImageErrors, classes: ClassTable) -> str:
    """Return the scored class in the image's truth with the lowest IoU; empty without one."""
    iou_C = class_ious(image.score.confusion_CP)
    present = [index for index in classes.scored_indices if image.score.confusion_CP[index].sum() > 0]
    return classes.names[min(present, key=lambda index: iou_C[index])] if present else ""


def _count(case: Case, assignment: Assignment, ensemble: Ensemble, dataset: DataSet) -> ImageErrors:
    decoded = decode_case(case)
    truth_HW, prediction_HW = decoded.mask_HW, predict_image(ensemble, assignment, decoded.image_HW3)
    confusion = count_confusion(torch.from_numpy(truth_HW), torch.from_numpy(prediction_HW), len(dataset.classes))
    boundary_C2 = count_boundaries(truth_HW, prediction_HW, len(dataset.classes))
    return ImageErrors(
        case=case,
        assignment=assignment,
        score=score_image(case.name, case.condition, confusion.numpy(), dataset.classes, boundary_C2),
        objects=tuple(find_objects(truth_HW, index, prediction_HW) for index in dataset.classes.scored_indices),
    )
