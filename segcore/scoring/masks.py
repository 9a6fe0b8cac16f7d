"""The contest's score of finished masks: a folder of colour masks or a submission file, against a data set's truth."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import torch

from segcore.data.case import Case, DataSet
from segcore.data.classes import ClassTable
from segcore.data.dataset import decode_case, read_dataset
from segcore.data.encoding import encoding_of
from segcore.data.listing import find_annotations
from segcore.errors import DataError
from segcore.scoring.metrics import ImageScore, count_confusion, score_image, summarise_scores
from segcore.scoring.submission import paint_runs, read_submission

Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestScore:
    """The score of a set of masks.

    Args:
        metrics: `iou` is the contest's; see `metrics`.
        images: how many images were scored.
        missing: cases of the data set without a mask.
    """

    metrics: dict[str, float]
    images: int
    missing: tuple[str, ...]


def score_masks(data: Path, masks: Path, layout: str = "") -> ContestScore:
    """Score masks against the truth of a data set.

    Args:
        data: the data-set folder with the truth.
        masks: a folder of colour masks NAME.png, or a submission file.
        layout: of the data set, a name in `sources.layouts`; empty: recognised.

    Raises:
        DataError: when no mask belongs to a case, or a mask has another size or unknown colours.
    """
    dataset = read_dataset(data, layout)
    find = _submitted(masks, dataset) if masks.is_file() else _coloured(masks, dataset)
    scores, missing = [], []
    for case, mask_HW, truth_HW in _pairs(dataset, find):
        if mask_HW is None:
            missing.append(case.name)
        else:
            scores.append(_score(case, mask_HW, truth_HW, dataset))
    if not scores:
        raise DataError(f"{masks} has no mask for any of the {len(dataset.cases)} cases of {data}; names must match.")
    every_class = not masks.is_file()
    return ContestScore(
        metrics=summarise_scores(scores, dataset.classes, every_class=every_class),
        images=len(scores),
        missing=tuple(missing),
    )


def read_colour_masks(folder: Path, classes: ClassTable) -> Iterator[tuple[str, Mask]]:
    """Yield (name, class indices) of each colour mask in a folder; black is background.

    Args:
        folder: a folder of PNG files.
        classes: the colours' classes.

    Raises:
        DataError: when there is none, or one has unknown colours.
    """
    masks = find_annotations(folder).masks if folder.is_dir() else {}
    files = {name: file for name, file in masks.items() if file.suffix.lower() == ".png"}
    if not files:
        raise DataError(f"{folder} has no PNG mask; give the folder that 'python -m segcore predict' wrote masks to.")
    table = _with_background(classes)
    for name, file in files.items():
        yield name, _decode(file, table)


def _with_background(classes: ClassTable) -> ClassTable:
    black = (0, 0, 0)
    if black in (*classes.colours, *classes.void):
        return classes
    return replace(classes, void=(*classes.void, black))


def _decode(file: Path, table: ClassTable) -> Mask:
    try:
        return encoding_of(table).decode(file)
    except DataError as error:
        raise DataError(f"{file} cannot be used: {error.summary}", error.problems) from error


def _coloured(folder: Path, dataset: DataSet) -> Callable[[Case, tuple[int, int]], Mask | None]:
    table = _with_background(dataset.classes)
    if not folder.is_dir():
        raise DataError(f"{folder} is neither a folder of masks nor a submission file.")
    files = find_annotations(folder).masks

    def find(case: Case, size: tuple[int, int]) -> Mask | None:
        file = files.get(case.name)
        return None if file is None else _decode(file, table)

    return find


def _submitted(file: Path, dataset: DataSet) -> Callable[[Case, tuple[int, int]], Mask | None]:
    document = {normalize("NFC", name): runs for name, runs in read_submission(file, dataset.classes).items()}

    def find(case: Case, size: tuple[int, int]) -> Mask | None:
        runs = document.get(normalize("NFC", case.image.name))
        if runs is None:
            return None
        return paint_runs(runs, height=size[0], width=size[1], table=dataset.classes, image=case.image.name)

    return find


def _pairs(
    dataset: DataSet, find: Callable[[Case, tuple[int, int]], Mask | None]
) -> Iterator[tuple[Case, Mask | None, Mask]]:
    for case in dataset.cases:
        truth_HW = decode_case(case).mask_HW
        yield case, find(case, (truth_HW.shape[0], truth_HW.shape[1])), truth_HW


def _score(case: Case, mask_HW: Mask, truth_HW: Mask, dataset: DataSet) -> ImageScore:
    if mask_HW.shape != truth_HW.shape:
        raise DataError(
            f"{case.name}: the mask has {mask_HW.shape[1]}x{mask_HW.shape[0]} pixels, "
            f"the truth {truth_HW.shape[1]}x{truth_HW.shape[0]}; predict at the image's original size."
        )
    counts = count_confusion(torch.from_numpy(truth_HW), torch.from_numpy(mask_HW), len(dataset.classes))
    return score_image(case.name, case.condition, counts.numpy(), dataset.classes)
