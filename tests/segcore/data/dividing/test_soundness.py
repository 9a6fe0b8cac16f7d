from pathlib import Path

import numpy as np
import pytest

from segcore.data.case import Case
from segcore.data.classes import ClassTable
from segcore.data.dividing.folds import Seen
from segcore.data.dividing.likeness import SIDE
from segcore.data.dividing.soundness import count_images_of_folds, find_bare_folds, warn_of_folds
from segcore.data.dividing.split import FoldSplit
from tests.conftest import ENCODING

TABLE = ClassTable(names=("car", "person"), colours=((0, 0, 255), (255, 0, 0)), scored=("car", "person"))


def make_cases(count):
    return [
        Case(name=f"x{number}", image=Path(f"x{number}.png"), mask=Path("m"), encoding=ENCODING, group=f"g{number}")
        for number in range(count)
    ]


def divide(*fold_of, kind="folds"):
    """Return folds of x0, x1, ...; None is trained on alone."""
    named = {f"x{number}": fold for number, fold in enumerate(fold_of)}
    folds = 1 + max(fold for fold in fold_of if fold is not None)
    return FoldSplit(folds=folds, fold_of=named, block_of={name: name for name in named}, kind=kind)


def see(*classes, alike=()):
    """Return what masks with these classes, `c` for car and `p` for person, tell."""
    called = {"c": "car", "p": "person"}
    return Seen(
        alike=alike, classes_of={f"x{n}": frozenset(called[letter] for letter in of) for n, of in enumerate(classes)}
    )


def warn(split, seen):
    looks_NHW = np.random.default_rng(0).integers(0, 256, (len(split.fold_of), SIDE, SIDE), np.uint8)
    return warn_of_folds(make_cases(len(split.fold_of)), looks_NHW, split, seen, TABLE)


def find_bare(split, seen):
    return list(find_bare_folds(make_cases(len(split.fold_of)), split, seen, TABLE))


def test_images_of_a_class_are_counted_where_they_are_validated():
    counts = count_images_of_folds(divide(0, 0, 1, None), see("c", "cp", "p", "c"), TABLE)
    assert counts == {"car": (2, 0), "person": (1, 1)}


@pytest.mark.parametrize(
    ("people", "told"),
    [
        ((0,), "person: only fold 0 has images of it; it is never learnt there, and never scored elsewhere"),
        ((0, 1), "person: no image of fold 2 has it, so it is not scored there"),
        ((0, 1, 2), None),
    ],
)
def test_classes_that_folds_lack_are_told(people, told):
    seen = see(*("cp" if number in people else "c" for number in range(6)))
    assert warn(divide(0, 1, 2, 0, 1, 2), seen) == ([] if told is None else [told])


def test_copies_that_a_split_divides_are_told():
    (warning,) = warn(divide(0, 1, 0, 1), see(*["cp"] * 4, alike=(("x0", "x2"), ("x1", "x2"))))
    assert warning.startswith("divided by the given split: 1 group of images that show the same (x1 and x2 first); ")


def test_fold_without_a_scored_class_is_refused_with_the_number_of_folds_that_works():
    # Two images have a class, so two folds can be scored.
    (problem,) = find_bare(divide(0, 1, 2, 3, 0, 1, 2, 3), see("c", "c", *[""] * 6))
    assert problem == (
        "folds 2, 3: no image has a scored class (car, person), so no score could be given there; use --folds 2"
    )
    (problem,) = find_bare(divide(0, 1, 0, 1), see("c", "", "", ""))
    assert problem.startswith("fold 1: no image") and problem.endswith(
        "; label more images that have one, or score other classes"
    )
    assert find_bare(divide(0, 1, 0, 1), see("c", "p", "", "")) == []


def test_given_division_without_a_scored_class_is_refused_and_no_number_of_folds_is_named():
    (problem,) = find_bare(divide(0, None, None, kind="official"), see("", "c", "p"))
    assert problem == (
        "fold 0 of the given division: no image to validate on has a scored class (car, person), so no score could be "
        "given there; divide otherwise, or score other classes"
    )
