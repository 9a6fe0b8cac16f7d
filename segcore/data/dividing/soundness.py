"""What is wrong with folds once their pixels are known: classes that a fold lacks, images that two folds share.

How folds are made says `folds`; what is divided by the numbers of frames alone, `measure_leakage` there.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.case import Case
from segcore.data.classes import ClassTable
from segcore.data.dividing.folds import Seen, make_folds
from segcore.data.dividing.given_folds import find_unlike_sides
from segcore.data.dividing.split import FoldSplit
from segcore.data.dividing.succession import find_succession
from segcore.data.names import list_first


def count_images_of_folds(split: FoldSplit, seen: Seen, classes: ClassTable) -> dict[str, tuple[int, ...]]:
    """Return how many images of each fold have a class, by scored class."""
    counts = {name: [0] * split.folds for name in classes.scored}
    for case, names in seen.classes_of.items():
        for name in names:
            if (fold := split.fold_of.get(case)) is not None and fold < split.folds:
                counts[name][fold] += 1
    return {name: tuple(of_fold) for name, of_fold in counts.items()}


def warn_of_folds(
    cases: Sequence[Case], looks_NHW: npt.NDArray[np.uint8], split: FoldSplit, seen: Seen, classes: ClassTable
) -> list[str]:
    """Return what flatters scores or leaves classes without one: classes that folds lack, images that folds share.

    Args:
        cases: that are divided.
        looks_NHW: what each image looks like, see `likeness`.
        split: their folds.
        seen: what their pixels told.
        classes: the class table.
    """
    return [
        *_find_lacking(count_images_of_folds(split, seen, classes)),
        *_find_divided(split, seen.alike),
        *find_unlike_sides(split, seen.classes_of),
        *_find_followers(cases, looks_NHW, split),
    ]


def find_bare_folds(cases: Sequence[Case], split: FoldSplit, seen: Seen, classes: ClassTable) -> Iterator[str]:
    """Yield why no score can be given where a fold has no image of a scored class, and what to do.

    Args:
        cases: that are divided.
        split: their folds.
        seen: what their pixels told.
        classes: the class table.
    """
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


def _find_lacking(images_of_fold: Mapping[str, Sequence[int]]) -> Iterator[str]:
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


def _find_followers(cases: Sequence[Case], looks_NHW: npt.NDArray[np.uint8], split: FoldSplit) -> Iterator[str]:
    found = find_succession(cases, looks_NHW, split.fold_of)
    if found is not None:
        yield (
            f"{found.images} of {found.of} images look like the one before them by name, which another fold has "
            f"({' and '.join(found.first)} first), as frames of a drive do: what is learnt of one is known of the "
            "other, so scores flatter; say by {frame} in the paths of a dataset.json, or in a cases.csv, which frame "
            f"each is{'' if split.kind == 'folds' else ', and divide whole drives'}"
        )


def _name_folds(folds: Sequence[int]) -> str:
    return f"fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}"
