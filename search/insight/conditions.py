"""What the retrained winner gets wrong in which condition: every image by a network that had not seen it.

Read from what the trainings of the retraining left beside their checkpoints; where that is not on this machine, nothing
is told, and `weakness` tells what the journal holds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Final

import numpy as np

from search.folder import StageFolder
from search.insight.record import Record
from search.memory.history import TrialRecord
from search.memory.outcome import Outcome
from search.verdict.comparison import Interval, compare_over_images
from segcore.data.classes import ClassTable, class_table_from_json
from segcore.data.dividing.split import read_folds
from segcore.errors import CheckpointError, DataError
from segcore.regular import read_regular
from segcore.scoring.objective import CLASS_PREFIX
from segcore.scoring.overlaps import Confusion, class_ious
from segcore.scoring.score_text import SCORES_FILE, StoredScore, decode_scores

_MOST_BYTES: Final = 200_000_000
"""Of the scores of a training: more take longer to read than a page may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How the winner fares in a condition.

    Args:
        name: such as night.
        images: with a scored class in them.
        iou: mean over them, with its interval over blocks of neighbours; None with fewer than two blocks.
        score: that mean.
        class_ious: of each class over all pixels of these images; a class that none of them has is left out.
    """

    name: str
    images: int
    score: float
    interval: Interval | None
    class_ious: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How the winner fares in every condition.

    Args:
        all: the worst first.
        scored: classes that the metric counts.
    """

    all: tuple[Condition, ...]
    scored: tuple[str, ...]


def measure_conditions(record: Record) -> Conditions | None:
    """Return how the retrained winner fares in each condition.

    Args:
        record: of the search.

    Returns:
        None before a retraining has ended, and where its files are not here or name no two conditions.
    """
    finished = [each for each in record.winner_trainings if each.outcome is Outcome.FINISHED]
    classes, stage = read_classes(record), record.folder.retrain_stage
    closed = record.winner_retraining
    if closed is None or classes is None or not finished:
        return None
    try:
        images = [image for training in finished for image in _read_images(stage, training, len(classes))]
        blocks = read_folds(record.folder.folds).block_of
    except (OSError, ValueError, CheckpointError):
        # A page without this is still a page; whoever needs these files is told by the command that does.
        return None
    learnt = {name.removeprefix(CLASS_PREFIX) for name in closed.metrics if name.startswith(CLASS_PREFIX)}
    names = sorted({image.condition for image in images if image.condition})
    found = [_describe(name, [each for each in images if each.condition == name], classes, blocks) for name in names]
    known = [replace(each, class_ious=_keep(each.class_ious, learnt)) for each in found if each is not None]
    if len(known) < 2:
        return None
    return Conditions(all=tuple(sorted(known, key=lambda each: each.score)), scored=classes.scored)


def _describe(
    name: str, images: Sequence[StoredScore], classes: ClassTable, blocks: Mapping[str, str]
) -> Condition | None:
    of_image: dict[str, list[float]] = {}
    for image in images:
        if image.iou is not None:
            of_image.setdefault(image.name, []).append(image.iou)
    if not of_image:
        return None
    # With further seeds an image is scored again and again, and is no other for that.
    means = {image_name: mean(ious) for image_name, ious in of_image.items()}
    confusion_CP = np.sum([image.confusion_CP for image in images], axis=0)
    return Condition(
        name=name,
        images=len(means),
        score=mean(means.values()),
        interval=compare_over_images({0: means}, blocks) if means.keys() <= blocks.keys() else None,
        class_ious=_name_ious(confusion_CP, classes),
    )


def _name_ious(confusion_CP: Confusion, classes: ClassTable) -> dict[str, float]:
    ious, pixels = class_ious(confusion_CP).tolist(), confusion_CP.sum(axis=1).tolist()
    return {name: iou for name, iou, count in zip(classes.names, ious, pixels, strict=False) if count}


def _keep(class_ious: Mapping[str, float], learnt: set[str]) -> dict[str, float]:
    return {name: iou for name, iou in class_ious.items() if name in learnt}


def _read_images(stage: StageFolder, training: TrialRecord, classes: int) -> list[StoredScore]:
    file: Path = stage.resolve(training.checkpoint or "") / SCORES_FILE
    if file.stat().st_size > _MOST_BYTES:
        raise CheckpointError(f"{file} is too large to be read here.")
    return decode_scores(read_regular(file), classes)


def read_classes(record: Record) -> ClassTable | None:
    """Return the classes of the retrained model; None where there is none on this machine."""
    try:
        notes = json.loads(read_regular(record.folder.model / "ensemble.json"))
        return class_table_from_json(notes["classes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, DataError):
        return None
