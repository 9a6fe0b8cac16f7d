"""The gate: whether data can be trained on, judged by what decoding found; nothing is decoded here.

`check`, `train` and `launch` pass through it, so that what the first calls sound the others take, and the other way
round. Counting pixels lives in `check` and `cache`; what they tell, in `content` and in `soundness` of the folds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from segcore.counting import count_words
from segcore.data.caching.cache import PixelCache
from segcore.data.case import DataSet
from segcore.data.classes import ClassTable
from segcore.data.content import Content, describe_content, find_nothing_to_learn, warn_of_content
from segcore.data.dividing.copies import find_copies
from segcore.data.dividing.division import Division
from segcore.data.dividing.folds import Leakage, Seen, make_folds, measure_leakage
from segcore.data.dividing.likeness import find_alike, find_recoloured, identify_mask, identify_moment
from segcore.data.dividing.soundness import count_images_of_folds, find_bare_folds, warn_of_folds
from segcore.data.dividing.split import FoldSplit
from segcore.data.names import list_first
from segcore.errors import ConfigError, DataError

_STANDING: Final = 16
"""Images that look the same, above which they are no copies but a camera that stands still, if they are most of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the gate found.

    Args:
        split: the folds; None where they cannot be made.
        leakage: what they divide; None with them.
        alike: groups of images that look the same, by case name.
        images_of_fold: images of each fold that have a class, by scored class.
        notes: what a person may want to know.
        warnings: what a person should look at; it can be trained on all the same.
        problems: why it cannot be trained on.
    """

    split: FoldSplit | None = None
    leakage: Leakage | None = None
    alike: tuple[tuple[str, ...], ...] = ()
    images_of_fold: dict[str, tuple[int, ...]]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def _recall_content(dataset: DataSet, cache: PixelCache) -> Content:
    """Return what the cache of a data set knows, without decoding anything.

    Args:
        dataset: the data.
        cache: its cache; extra data in it is left out.
    """
    known = {case.name: case for case in cache.own_cases}
    found = [known[case.name] for case in dataset.cases]
    return Content(
        cases=dataset.cases,
        sizes=tuple((case.height, case.width) for case in found),
        pixels_NC=np.array([case.class_pixels for case in found], np.int64),
        looks_NHW=cache.own_looks_NHW,
        masks=tuple(identify_mask((case.height, case.width), case.class_pixels, case.mask_crc) for case in found),
    )


def judge_data(content: Content, classes: ClassTable, folds: int, given: FoldSplit | None) -> Findings:
    """Put what was decoded against the class table and the folds.

    Args:
        content: of the usable cases.
        classes: the class table.
        folds: number of folds to make.
        given: folds that are taken as they are; None: they are made.
    """
    if not content.cases:
        # Of masks that nobody could read nothing is known, not that they are void.
        return Findings(
            images_of_fold={},
            problems=("no image with its mask is left that can be read, so there is nothing to learn",),
        )
    alike = tuple(tuple(content.cases[place].name for place in group) for group in find_alike(content.looks_NHW))
    kept = tuple(group for group in alike if not _is_standing(group, content))
    copies = find_copies([case.name for case in content.cases])
    recoloured = _find_recoloured(content)
    together = (*kept, *copies, *recoloured)
    notes = describe_content(content, classes)
    notes += [*_describe_together("images that look the same, as they are or mirrored", kept, given)]
    notes += [*_describe_together("images that were made of one, by their names", copies, given)]
    notes += [*_describe_together("images of one mask, as in other colours or weather", recoloured, given)]
    warnings = warn_of_content(content, classes)
    warnings += [_warn_of_standing(group, content) for group in alike if group not in kept]
    problems = list(find_nothing_to_learn(content, classes))
    split, images_of_fold = None, {}
    # Pseudo labels are trained on beside other data, and never divided.
    if not problems and not all(case.pseudo for case in content.cases):
        seen = Seen(alike=together, classes_of=_list_scored(content, classes))
        try:
            split = given or make_folds(content.cases, folds, seen)
        except (ConfigError, DataError) as error:
            problems.append(str(error))
        else:
            images_of_fold = count_images_of_folds(split, seen, classes)
            problems += find_bare_folds(content.cases, split, seen, classes)
            warnings += warn_of_folds(content.cases, content.looks_NHW, split, seen, classes)
    return Findings(
        split=split,
        leakage=None if split is None else measure_leakage(content.cases, split),
        alike=alike,
        images_of_fold=images_of_fold,
        notes=tuple(notes),
        warnings=tuple(warnings),
        problems=tuple(problems),
    )


def pass_gate(dataset: DataSet, cache: PixelCache, division: Division) -> tuple[FoldSplit, Findings]:
    """Return the folds of a data set and what else was found, or refuse it; nothing is decoded.

    Args:
        dataset: the data.
        cache: its cache.
        division: how it is to be divided.

    Raises:
        DataError: with every reason why it cannot be trained on.
    """
    given = division.find_given(dataset.cases)
    findings = judge_data(_recall_content(dataset, cache), dataset.classes, division.folds, given)
    if findings.split is None or findings.problems:
        raise DataError(f"{dataset.folder} cannot be trained on:", findings.problems)
    return findings.split, findings


def describe_findings(dataset: DataSet, findings: Findings) -> list[tuple[str, bool]]:
    """Return what was understood of a data set, a line each, and whether it warns."""
    scored = list_first(dataset.classes.scored)
    lines = [
        f"{dataset.folder}: layout {dataset.layout}, {count_words(len(dataset.cases), 'labelled image')}, "
        f"{count_words(len(dataset.classes), 'class', 'classes')}, scored: {scored}"
    ]
    lines += [f"  {note}" for note in (*dataset.notes, *findings.notes)]
    return [*((line, False) for line in lines), *((warning, True) for warning in findings.warnings)]


def _find_recoloured(content: Content) -> tuple[tuple[str, ...], ...]:
    moments = [identify_moment(case.group, case.frame) for case in content.cases]
    found = find_recoloured(content.looks_NHW, content.masks, moments)
    groups = (tuple(content.cases[place].name for place in group) for group in found)
    # Where most have one mask it was drawn once for a camera, of whose images few could not be divided at all.
    return tuple(group for group in groups if not _is_most(group, content))


def _is_standing(group: Sequence[str], content: Content) -> bool:
    return len(group) > _STANDING and _is_most(group, content)


def _is_most(group: Sequence[str], content: Content) -> bool:
    return len(group) > len(content.cases) // 2


def _warn_of_standing(group: Sequence[str], content: Content) -> str:
    return (
        f"{len(group)} of {len(content.cases)} images look the same, as from a camera that stands still: they are "
        "divided between the folds, so scores flatter; images of other places would tell more"
    )


def _list_scored(content: Content, classes: ClassTable) -> dict[str, frozenset[str]]:
    pairs = list(zip(classes.scored, classes.scored_indices, strict=True))
    return {
        case.name: frozenset(name for name, index in pairs if pixels_C[index])
        for case, pixels_C in zip(content.cases, content.pixels_NC, strict=True)
    }


def _describe_together(what: str, groups: Sequence[Sequence[str]], given: FoldSplit | None) -> Iterator[str]:
    if groups:
        first, second = groups[0][:2]
        yield (
            f"{what}: {sum(map(len, groups))} in {count_words(len(groups), 'group')} ({first} and {second} first)"
            + ("" if given else "; each group stays in one fold")
        )
