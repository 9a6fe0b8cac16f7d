from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segcore.data.case import Case
from segcore.data.dividing.likeness import SIDE
from segcore.data.dividing.succession import find_succession
from segcore.data.encoding import build_encoding

LONG_HW = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 200), dtype=np.uint8), (4000, SIDE))
"""What a camera passes: 100 pixels further on nothing of what it saw is left."""


def list_cases(count, frame=None, group="all"):
    return [
        Case(
            name=f"x{number}",
            image=Path(f"x{number}.jpg"),
            mask=Path(f"x{number}.png"),
            encoding=build_encoding("index", {}),
            group=group,
            frame=frame,
        )
        for number in range(count)
    ]


def look_along(positions):
    return np.array([LONG_HW[:, place : place + SIDE] for place in positions])


def test_frames_of_a_drive_in_other_folds_are_found_by_their_looks():
    looks_NHW = look_along(range(0, 240, 4))
    found = find_succession(list_cases(60), looks_NHW, {f"x{number}": number % 2 for number in range(60)})
    # As a person counts: behind x1 a computer's order has x10, which looks otherwise.
    assert found is not None and (found.images, found.of, found.first) == (59, 59, ("x0", "x1"))
    shuffled = np.random.default_rng(0).permutation(60).tolist()
    cases, folds = list_cases(60), {f"x{number}": number % 2 for number in range(60)}
    assert find_succession([cases[place] for place in shuffled], looks_NHW[shuffled], folds) == found


@pytest.mark.parametrize(
    ("count", "options", "fold_of"),
    [
        (60, {}, lambda number: 0 if number < 30 else 1),
        (60, {"frame": 3}, lambda number: number % 2),
        (20, {}, lambda number: number % 2),
    ],
    ids=["kept together", "numbered", "too few"],
)
def test_nothing_is_found_where_neighbours_stay_or_are_known_or_few(count, options, fold_of):
    looks_NHW = look_along(range(0, 4 * count, 4))
    folds = {f"x{number}": fold_of(number) for number in range(count)}
    assert find_succession(list_cases(count, **options), looks_NHW, folds) is None


def test_pictures_that_do_not_belong_together_are_no_frames():
    looks_NHW = np.random.default_rng(1).integers(0, 256, (60, SIDE, SIDE), dtype=np.uint8)
    assert find_succession(list_cases(60), looks_NHW, {f"x{number}": number % 2 for number in range(60)}) is None


@pytest.mark.parametrize("group_of", [lambda number: "all", lambda number: "ab"[number // 60]], ids=["one", "each"])
def test_pictures_of_two_kinds_one_behind_the_other_are_no_frames(group_of):
    draw = np.random.default_rng(1)
    # As of two cameras: pictures of one kind are laid out alike, and what they show has nothing to do with each other.
    kinds_2HW, own_NHW = draw.normal(size=(2, SIDE, SIDE)), draw.normal(size=(120, SIDE, SIDE))
    looks_NHW = np.clip(128 + 20 * (np.repeat(kinds_2HW, 60, axis=0) + 2 * own_NHW), 0, 255).astype(np.uint8)
    cases = [replace(case, group=group_of(number)) for number, case in enumerate(list_cases(120))]
    assert find_succession(cases, looks_NHW, {case.name: number % 2 for number, case in enumerate(cases)}) is None


def test_short_drives_are_measured_by_what_others_look_like():
    # Thirty drives of two frames each: within one of them no two do not follow each other.
    places = [100 * number + step for number in range(30) for step in (0, 4)]
    cases = [replace(case, group=f"drive{number // 2:02}") for number, case in enumerate(list_cases(60))]
    found = find_succession(cases, look_along(places), {case.name: number % 2 for number, case in enumerate(cases)})
    assert found is not None and (found.images, found.of) == (30, 30)
