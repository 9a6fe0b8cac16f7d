"""The contest's score of finished masks: a folder of masks or a submission file, against a data set's truth.

A case without a mask counts as background everywhere, as in the contest's own scorer. Masks that hold background and
no class but the scored ones are those of a network that learnt no other: they have no `miou`.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np
import torch

from segcore.data.case import Case, DataSet
from segcore.data.classes import VOID, ClassTable
from segcore.data.dataset import decode_case, read_dataset
from segcore.data.listing import find_annotations, name_in_list, name_of
from segcore.errors import DataError
from segcore.scoring.boundary import count_boundaries
from segcore.scoring.mask_files import (
    Mask,
    find_mask_encoding,
    find_unknown_classes,
    read_mask_notes,
    require_same_meaning,
)
from segcore.scoring.metrics import ImageScore, count_confusion, score_image, summarise_scores
from segcore.scoring.overlaps import Confusion
from segcore.scoring.submission import paint_runs, read_submission

Finished = Mapping[str, Callable[[tuple[int, int]], Mask]]
"""By composed name of an image, with or without suffix, what reads its mask, given height and width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContestScore:
    """The score of a set of masks.

    Args:
        metrics: `iou` is the contest's; see `metrics`.
        images: how many images were scored.
        missing: cases of the data set without a mask.
        surplus: names of masks without a case.
        every_class: whether the masks tell every class apart, and not only the scored ones from background.
        unknown: classes of the data that the masks could not hold.
    """

    metrics: dict[str, float]
    images: int
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    every_class: bool
    unknown: tuple[str, ...] = ()


def score_masks(data: Path, masks: Path, layout: str = "", *, boundaries: bool = False) -> ContestScore:
    """Score masks against the truth of a data set.

    Args:
        data: the data-set folder with the truth.
        masks: a folder of masks NAME.png, or a submission file.
        layout: of the data set, a name in `sources.layouts`; empty: recognised.
        boundaries: whether to count along borders, too.

    Raises:
        DataError: when no mask belongs to a case, or masks have another size, other classes, or unknown colours or
            numbers.
    """
    dataset = read_dataset(data, layout)
    noted = read_mask_notes(masks).classes
    require_same_meaning(masks, noted, dataset.classes)
    finished = _read_submitted(masks, dataset) if masks.is_file() else _list_masks(masks, dataset)
    key_of = _match(dataset.cases, finished, by_suffix=masks.is_file())
    if not key_of:
        told = _tell_mismatch(masks, finished, dataset)
        raise DataError(f"{masks} has no mask for any of the {len(dataset.cases)} cases of {data}: {told}.")
    scores = [
        _score(case, finished.get(key_of.get(case.name, "")), dataset.classes, boundaries=boundaries)
        for case in dataset.cases
    ]
    found = [score.confusion_CP for score in scores if score.name in key_of]
    every_class = not masks.is_file() and _tells_every_class(sum(found[1:], start=found[0]), dataset.classes)
    return ContestScore(
        metrics=summarise_scores(scores, dataset.classes, every_class=every_class),
        images=len(scores),
        missing=tuple(case.name for case in dataset.cases if case.name not in key_of),
        surplus=tuple(sorted(finished.keys() - key_of.values())),
        every_class=every_class,
        unknown=find_unknown_classes(noted, dataset.classes),
    )


def _list_masks(folder: Path, dataset: DataSet) -> Finished:
    if not folder.is_dir():
        raise DataError(f"{folder} is neither a folder of masks nor a submission file.")
    encoding = find_mask_encoding(dataset.classes)

    def reader(file: Path) -> Callable[[tuple[int, int]], Mask]:
        return lambda size: encoding.decode(file)

    return {name: reader(file) for name, file in find_annotations(folder).masks.items()}


def _read_submitted(file: Path, dataset: DataSet) -> Finished:
    def reader(image: str) -> Callable[[tuple[int, int]], Mask]:
        return lambda size: paint_runs(
            document[image], height=size[0], width=size[1], table=dataset.classes, image=image
        )

    document = read_submission(file, dataset.classes)
    return {normalize("NFC", image): reader(image) for image in document}


def _match(cases: tuple[Case, ...], finished: Finished, *, by_suffix: bool) -> dict[str, str]:
    """Return by case name the name of its mask: that of its image, where only one image has it, or the case's own."""
    image_of = {case.name: normalize("NFC", case.image.name) if by_suffix else name_of(case.image) for case in cases}
    images = Counter(image_of.values())
    matched = {}
    for case in cases:
        image = image_of[case.name]
        if images[image] == 1 and image in finished:
            matched[case.name] = image
        elif not by_suffix and case.name in finished:
            matched[case.name] = case.name
    return matched


def _tell_mismatch(masks: Path, finished: Finished, dataset: DataSet) -> str:
    """Return how the names differ, and what to do, where no mask belongs to a case."""
    if not finished:
        return "it is empty; predict the images of this data set"
    case = dataset.cases[0]
    expected = case.image.name if masks.is_file() else name_of(case.image)
    told = f"it has {min(finished)!r:.100}, and an image is {expected!r:.100}"
    images = {name_of(case.image) for case in dataset.cases}
    if not masks.is_file() or images.isdisjoint(map(name_in_list, finished)):
        return f"{told}; names must match"
    folder = shlex.quote(str(case.image.parent))
    return (
        f"{told}; names must end as the images' do: write it anew from its masks, 'python -m segcore submit MASKS "
        f"{shlex.quote(str(masks))} --images {folder}'"
    )


def _tells_every_class(confusion_CP: Confusion, classes: ClassTable) -> bool:
    predicted_P = confusion_CP.sum(axis=0)
    others = [index for index in range(len(classes)) if index not in classes.scored_indices]
    return not others or bool(predicted_P[others].any()) or predicted_P[-1] == 0


def _score(
    case: Case, read: Callable[[tuple[int, int]], Mask] | None, classes: ClassTable, *, boundaries: bool
) -> ImageScore:
    truth_HW = decode_case(case).mask_HW
    height, width = truth_HW.shape
    mask_HW = np.full_like(truth_HW, VOID) if read is None else read((height, width))
    if mask_HW.shape != truth_HW.shape:
        raise DataError(
            f"{case.name}: the mask has {mask_HW.shape[1]}x{mask_HW.shape[0]} pixels, "
            f"the truth {width}x{height}; predict at the image's original size."
        )
    counts = count_confusion(torch.from_numpy(truth_HW), torch.from_numpy(mask_HW), len(classes))
    boundary_C2 = count_boundaries(truth_HW, mask_HW, len(classes)) if boundaries else None
    return score_image(case.name, case.condition, counts.numpy(), classes, boundary_C2)
