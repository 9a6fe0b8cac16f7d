"""Looks into every image of a data set: classes and objects per image, gaps between frames, examples to show.

What `check` counts is taken from there; the page is written in `explore_page`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.case import Case
from segcore.data.check import DataReport, inspect_dataset
from segcore.data.classes import VOID, ClassTable
from segcore.data.dataset import decode_case
from segcore.data.dividing.division import Division
from segcore.errors import DataError
from segcore.insight.ceiling import Ceiling, measure_ceilings
from segcore.scoring.objects import Objects, find_objects, join_objects

MOST_EXAMPLES: Final = 24
"""Pictures of groups and conditions at most: more make the page slow, and nobody looks at them."""

RARE_CLASSES: Final = 5
"""Classes with the fewest pixels of which examples are shown, beside every scored class under 1 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseCounts:
    """What is in one image.

    Args:
        case: whose it is.
        pixels_C: pixels of each class, in index order.
        objects: objects of each scored class, in the order of the scored classes.
    """

    case: Case
    pixels_C: npt.NDArray[np.int64]
    objects: tuple[Objects, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What is in a data set.

    Args:
        report: what `check` says.
        cases: what is in each usable image.
        ceilings: what training at smaller sizes can score at most.
    """

    report: DataReport
    cases: tuple[CaseCounts, ...]
    ceilings: tuple[Ceiling, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An image to show, with the reason."""

    case: Case
    reason: str


def explore_dataset(
    folder: Path, division: Division, progress: Callable[[int, int], None], layout: str = ""
) -> Exploration:
    """Count what is in every image of a data set.

    Args:
        folder: the data-set folder.
        division: how it is to be divided.
        progress: called with (steps done, steps in all); each image takes two.
        layout: a name in `sources.layouts`; empty: recognised.

    Raises:
        DataError: when no image can be used.
    """
    report = inspect_dataset(folder, division, lambda done, total: progress(done, 2 * total), layout)
    dataset = report.dataset
    counts = []
    with ThreadPoolExecutor() as pool:
        for done, found in enumerate(pool.map(lambda case: _count(case, dataset.classes), dataset.cases), start=1):
            counts += [] if found is None else [found]
            progress(len(dataset.cases) + done, 2 * len(dataset.cases))
    if not counts:
        raise _nothing_usable(folder, report.problems)
    ceilings = measure_ceilings([found.case for found in counts], dataset.classes)
    return Exploration(report=report, cases=tuple(counts), ceilings=tuple(ceilings))


def count_frame_gaps(cases: Sequence[Case]) -> dict[tuple[str, str], list[int]]:
    """Return the gaps between neighbouring frames of each (group, condition), in frames.

    A group filmed in two conditions has two films, whose frame numbers say nothing about each other.
    """
    frames: dict[tuple[str, str], list[int]] = defaultdict(list)
    for case in cases:
        if case.frame is not None:
            frames[case.group, case.condition].append(case.frame)
    return {
        stratum: [after - before for before, after in pairwise(sorted(of_stratum))]
        for stratum, of_stratum in sorted(frames.items())
    }


def bin_by_doubling(values: Sequence[float]) -> list[tuple[int, int, int]]:
    """Count values in bins 0, 1, 2-3, 4-7, 8-15, ... up to the largest value.

    Returns:
        (first value, last value, count) of every bin from that of the smallest value on.
    """
    if not len(values):
        return []
    places = [int(value).bit_length() for value in values]
    return [
        (1 << place >> 1, max(0, (1 << place) - 1), places.count(place))
        for place in range(min(places), max(places) + 1)
    ]


def objects_by_class(exploration: Exploration) -> dict[str, Objects]:
    """Return all objects of each scored class."""
    scored = exploration.report.classes.scored
    return {
        name: join_objects([counts.objects[position] for counts in exploration.cases])
        for position, name in enumerate(scored)
    }


def class_shares_by_fold(exploration: Exploration) -> npt.NDArray[np.float64]:
    """Return the share of each class (rows) in the pixels of each fold (columns); the last column is of all.

    Void counts nowhere. The folds must have been made.
    """
    split = exploration.report.findings.split
    folds = split.folds if split is not None else 0
    pixels_CF = np.zeros((len(exploration.report.classes), folds + 1))
    for counts in exploration.cases:
        if split is not None and (fold := split.fold_of[counts.case.name]) is not None:
            pixels_CF[:, fold] += counts.pixels_C
        pixels_CF[:, folds] += counts.pixels_C
    shares_CF: npt.NDArray[np.float64] = pixels_CF / np.maximum(1, pixels_CF.sum(axis=0))
    return shares_CF


def choose_stratum_examples(exploration: Exploration) -> list[Example]:
    """Return a few images of every group and condition, evenly spread over its frames."""
    strata: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for counts in sorted(exploration.cases, key=lambda counts: (counts.case.frame or 0, counts.case.name)):
        strata[counts.case.group, counts.case.condition].append(counts.case)
    each = max(1, min(4, MOST_EXAMPLES // len(strata)))
    return [
        Example(case=case, reason=", ".join(filter(None, (group, condition))))
        for (group, condition), cases in sorted(strata.items())[:MOST_EXAMPLES]
        for case in _every_nth(cases, max(1, len(cases) // each))[:each]
    ]


def choose_rare_examples(exploration: Exploration, each: int = 2) -> list[Example]:
    """Return, for each rare class that occurs, images that have the most of it, no two of one block of neighbours.

    Args:
        exploration: the data.
        each: images per class at most.
    """
    classes = exploration.report.classes
    shares_C = class_shares_by_fold(exploration)[:, -1]
    order = [int(index) for index in np.argsort(shares_C, kind="stable") if shares_C[index] > 0]
    rare = [index for index in order if index in order[:RARE_CLASSES] or _is_rare(index, shares_C, classes)]
    examples = []
    for index in rare:
        for counts in _richest(exploration, index, each):
            share = counts.pixels_C[index] / counts.pixels_C.sum()
            examples.append(Example(case=counts.case, reason=f"{classes.names[index]}: {share:.1%} of this image"))
    return examples


def _richest(exploration: Exploration, index: int, each: int) -> list[CaseCounts]:
    split = exploration.report.findings.split
    block_of = split.block_of if split is not None else {}
    found = [counts for counts in exploration.cases if counts.pixels_C[index] > 0]
    of_block: dict[str, CaseCounts] = {}
    for counts in sorted(found, key=lambda counts: (-counts.pixels_C[index], counts.case.name)):
        of_block.setdefault(block_of.get(counts.case.name, counts.case.name), counts)
    return [*of_block.values()][:each]


def _every_nth(cases: list[Case], step: int) -> list[Case]:
    return cases[step // 2 :: step]


def _is_rare(index: int, shares_C: npt.NDArray[np.float64], classes: ClassTable) -> bool:
    return index in classes.scored_indices and bool(shares_C[index] < 0.01)


def _count(case: Case, classes: ClassTable) -> CaseCounts | None:
    try:
        mask_HW = decode_case(case).mask_HW
    except DataError:
        # It stands among the problems already.
        return None
    pixels_256 = np.bincount(mask_HW.ravel(), minlength=VOID + 1)
    return CaseCounts(
        case=case,
        pixels_C=pixels_256[: len(classes)],
        objects=tuple(find_objects(mask_HW, index) for index in classes.scored_indices),
    )


def _nothing_usable(folder: Path, problems: Sequence[str]) -> DataError:
    first = problems[0] if problems else "it is empty"
    more = f"; and {count_words(len(problems) - 1, 'more problem')}" if len(problems) > 1 else ""
    return DataError(
        f"{folder} has no usable image ({first}{more}); 'python -m segcore check' lists all that is wrong."
    )
