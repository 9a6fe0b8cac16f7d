"""The gate: whether data can be trained on, judged by what decoding found; nothing is decoded here.

`check`, `train` and `launch` pass through it, so that what the first calls sound the others take, and the other way
round. Counting pixels lives in `check` and `cache`, folds in `folds`.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.caching.cache import PixelCache
from segcore.data.case import Case, DataSet
from segcore.data.classes import ClassTable, is_called_void
from segcore.data.dividing.copies import find_copies
from segcore.data.dividing.division import Division
from segcore.data.dividing.folds import Leakage, Seen, make_folds, measure_leakage
from segcore.data.dividing.given_folds import find_unlike_sides
from segcore.data.dividing.likeness import find_alike, find_recoloured, identify_mask
from segcore.data.dividing.split import FoldSplit
from segcore.data.dividing.succession import find_succession
from segcore.data.names import list_first
from segcore.data.sides import find_usual_side
from segcore.errors import ConfigError, DataError

_ONE_AND_OTHERS: Final = 2
"""Classes where one is told from everything else."""

_STANDING: Final = 16
"""Images that look the same, above which they are no copies but a camera that stands still, if they are most of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What decoding every case of a data set told, in one order.

    Args:
        cases: the cases.
        sizes: their heights and widths, pixels.
        pixels_NC: pixels of each class, in index order, then of void.
        looks_NHW: what each image looks like, see `likeness`.
        masks: what tells equal masks, see `likeness`.
    """

    cases: tuple[Case, ...]
    sizes: tuple[tuple[int, int], ...]
    pixels_NC: npt.NDArray[np.int64]
    looks_NHW: npt.NDArray[np.uint8]
    masks: tuple[Hashable, ...]


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
    notes = [*_describe_absent(content, classes), *_describe_sizes(content)]
    notes += [*_describe_together("images that look the same, as they are or mirrored", kept, given)]
    notes += [*_describe_together("images that were made of one, by their names", copies, given)]
    notes += [*_describe_together("images of one mask, as in other colours or weather", recoloured, given)]
    warnings = [*_find_void(content), *_find_two_ways(content, classes), *_find_absent_scored(content, classes)]
    warnings += _find_called_void(classes)
    warnings += [_warn_of_standing(group, content) for group in alike if group not in kept]
    problems = list(_find_nothing_to_learn(content, classes))
    split, images_of_fold = None, {}
    # Pseudo labels are trained on beside other data, and never divided.
    if not problems and not all(case.pseudo for case in content.cases):
        seen = Seen(alike=together, classes_of=_list_scored(content, classes))
        try:
            split = given or make_folds(content.cases, folds, seen)
        except (ConfigError, DataError) as error:
            problems.append(str(error))
        else:
            images_of_fold = _count_images_of_folds(split, seen, classes)
            problems += _find_bare_folds(content.cases, split, seen, classes)
            warnings += [*_find_lacking(images_of_fold), *_find_divided(split, together)]
            warnings += [*find_unlike_sides(split, seen.classes_of), *_find_followers(content, split)]
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
    moments = [None if case.frame is None else (case.group, case.frame) for case in content.cases]
    found = find_recoloured(content.looks_NHW, content.masks, moments)
    groups = (tuple(content.cases[place].name for place in group) for group in found)
    return tuple(group for group in groups if not _is_standing(group, content))


def _is_standing(group: Sequence[str], content: Content) -> bool:
    return len(group) > max(_STANDING, len(content.cases) // 2)


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


def _find_nothing_to_learn(content: Content, classes: ClassTable) -> Iterator[str]:
    pixels_C = content.pixels_NC[:, :-1].sum(axis=0)
    present = [name for name, pixels in zip(classes.names, pixels_C.tolist(), strict=True) if pixels]
    if not present:
        yield "every pixel of every mask is void, so there is nothing to learn; look whether the class table fits"
    elif len(present) == 1:
        yield (
            f"every pixel that counts is {present[0]!r}, so there is nothing to tell apart; a second class is needed, "
            "if only 'background'"
        )
    elif not set(present) & set(classes.scored):
        yield f"no mask has a scored class ({list_first(classes.scored)}); name others in 'scored' of the class table"


def _find_void(content: Content) -> Iterator[str]:
    void = [
        case.name for case, pixels_C in zip(content.cases, content.pixels_NC, strict=True) if not pixels_C[:-1].any()
    ]
    if void:
        yield (
            f"{count_words(len(void), 'image is', 'images are')} "
            f"all void, nothing is learnt of them: {list_first(void)}"
        )


def _find_two_ways(content: Content, classes: ClassTable) -> Iterator[str]:
    """Of one class and everything else some masks may hold 0 and 255, where others hold 0 and 1."""
    if len(classes) != _ONE_AND_OTHERS or sorted(classes.ids) != [0, 1]:
        return
    alone = classes.ids.index(1)
    marked_N, void_N = content.pixels_NC[:, alone] > 0, content.pixels_NC[:, -1] > 0
    if marked_N.any() and void_N.any() and not (marked_N & void_N).any():
        yield (
            f"{count_words(int(void_N.sum()), 'mask has', 'masks have')} the number 255, which is void, without "
            f"{classes.names[alone]}: if 255 stands for it there, write 1 in its place"
        )


def _find_called_void(classes: ClassTable) -> Iterator[str]:
    # Of one class and void the latter is everything else.
    called = [name for name in classes.names if is_called_void(name)] if len(classes) > _ONE_AND_OTHERS else []
    if called:
        yield (
            f"{list_first(called)}: learnt like any other class; if its pixels are to count nowhere, name it in "
            "'ignored' of a dataset.json, or take it out of the classes and into void"
        )


def _find_absent_scored(content: Content, classes: ClassTable) -> Iterator[str]:
    absent = [name for name in _list_absent(content, classes) if name in classes.scored]
    if absent:
        yield f"scored, but in no mask: {list_first(absent)}"


def _describe_absent(content: Content, classes: ClassTable) -> Iterator[str]:
    absent = [name for name in _list_absent(content, classes) if name not in classes.scored]
    if absent:
        yield f"in no mask: {list_first(absent)}"


def _list_absent(content: Content, classes: ClassTable) -> list[str]:
    pixels_C = content.pixels_NC.sum(axis=0)
    return [name for index, name in enumerate(classes.names) if not pixels_C[index]]


def _describe_sizes(content: Content) -> Iterator[str]:
    sides = [min(size) for size in content.sizes]
    if not sides or (usual := find_usual_side(sides)) == min(sides):
        return
    case, (height, width) = min(zip(content.cases, content.sizes, strict=True), key=lambda pair: min(pair[1]))
    smaller = sum(side < usual for side in sides)
    yield (
        f"smaller than usual: {count_words(smaller, 'image has', 'images have')} "
        f"a side of less than {usual} pixels, {case.image.name} with "
        f"{width}x{height} the smallest; a crop that is larger than its image is filled up with void"
    )


def _describe_together(what: str, groups: Sequence[Sequence[str]], given: FoldSplit | None) -> Iterator[str]:
    if groups:
        first, second = groups[0][:2]
        yield (
            f"{what}: {sum(map(len, groups))} in {count_words(len(groups), 'group')} ({first} and {second} first)"
            + ("" if given else "; each group stays in one fold")
        )


def _count_images_of_folds(split: FoldSplit, seen: Seen, classes: ClassTable) -> dict[str, tuple[int, ...]]:
    counts = {name: [0] * split.folds for name in classes.scored}
    for case, names in seen.classes_of.items():
        for name in names:
            if (fold := split.fold_of.get(case)) is not None and fold < split.folds:
                counts[name][fold] += 1
    return {name: tuple(of_fold) for name, of_fold in counts.items()}


def _find_bare_folds(cases: Sequence[Case], split: FoldSplit, seen: Seen, classes: ClassTable) -> Iterator[str]:
    bare, scored = _list_bare(split, seen), list_first(classes.scored)
    if bare and split.kind != "folds":
        yield (
            f"{_name_folds(bare)} of the given division: no image to validate on has a scored class "
            f"({scored}), so no score could be given there; divide otherwise, or score other classes"
        )
    elif bare:
        having = sum(bool(names) for names in seen.classes_of.values())
        fewer = range(min(split.folds - 1, having), 1, -1)
        possible = next((folds for folds in fewer if not _list_bare(make_folds(cases, folds, seen), seen)), None)
        advice = f"use --folds {possible}" if possible else "label more images that have one, or score other classes"
        yield (
            f"{_name_folds(bare)}: no image has a scored class ({scored}), so no score could be given there; {advice}"
        )


def _list_bare(split: FoldSplit, seen: Seen) -> list[int]:
    having = {split.fold_of.get(case) for case, names in seen.classes_of.items() if names}
    return [fold for fold in range(split.folds) if fold not in having]


def _find_lacking(images_of_fold: dict[str, tuple[int, ...]]) -> Iterator[str]:
    for name, images in images_of_fold.items():
        lacking = [fold for fold, count in enumerate(images) if not count]
        if any(images) and len(lacking) == len(images) - 1 > 0:
            only = next(fold for fold, count in enumerate(images) if count)
            yield f"{name}: only fold {only} has images of it; it is never learnt there, and never scored elsewhere"
        elif lacking and any(images):
            yield f"{name}: no image of {_name_folds(lacking)} has it, so it is not scored there"


def _find_divided(split: FoldSplit, alike: Sequence[Sequence[str]]) -> Iterator[str]:
    divided = [group for group in alike if len({split.fold_of.get(name) for name in group}) > 1]
    if divided:
        first, second = divided[0][:2]
        yield (
            f"divided by the given split: {count_words(len(divided), 'group')} of images that show the same ({first} "
            f"and {second} first); what is learnt of one is known of the other, so scores flatter"
        )


def _find_followers(content: Content, split: FoldSplit) -> Iterator[str]:
    found = find_succession(content.cases, content.looks_NHW, split.fold_of)
    if found is not None:
        yield (
            f"{found.images} of {found.of} images look like the one before them by name, which another fold has "
            f"({' and '.join(found.first)} first), as frames of a drive do: what is learnt of one is known of the "
            "other, so scores flatter; say by {frame} in the paths of a dataset.json, or in a cases.csv, which frame "
            f"each is{'' if split.kind == 'folds' else ', and divide whole drives'}"
        )


def _name_folds(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"
