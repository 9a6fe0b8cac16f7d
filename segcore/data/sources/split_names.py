"""Which side of a split a folder holds, by its name: train, val or test, as in `train2017` and `val_set` too."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final, Literal

Side = Literal["", "train", "val", "test"]
"""What a folder is for; empty: its name does not say it."""

SPLIT: Final = "{split}"
"""Stands in a pattern for the name of a side."""

_SIDE: Final = re.compile(
    r"(?:(train(?:ing)?)|(val(?:id(?:ation)?)?)|(test(?:ing)?))(?:[ _-]?(?:set|data|\d{4}))?", re.IGNORECASE
)
_BEFORE: Final = re.compile(r"([^_-]+)([_-].+)")
_BEHIND: Final = re.compile(r"(.+[_-])([^_-]+)")


def find_side(name: str) -> Side:
    """Return the side of the split that a folder is named after; letters' case does not matter.

    Args:
        name: the folder's.
    """
    match = _SIDE.fullmatch(name)
    if match is None:
        return ""
    return "train" if match[1] else "val" if match[2] else "test"


def find_stems(names: Iterable[str]) -> frozenset[str]:
    """Return what folders of several sides, train among them, have beside these, lower case: `city` of `city_train`.

    Args:
        names: of folders.
    """
    sides: dict[str, set[Side]] = defaultdict(set)
    for name in names:
        if before := _BEFORE.fullmatch(name):
            sides[before[2][1:].lower()].add(find_side(before[1]))
        if behind := _BEHIND.fullmatch(name):
            sides[behind[1][:-1].lower()].add(find_side(behind[2]))
    return frozenset(stem for stem, found in sides.items() if "train" in found and len(found - {""}) > 1)


def put_split(name: str, known: Collection[str]) -> tuple[str, str]:
    """Return what of a folder's name is a side of a split, if any, and the name with `SPLIT` in its place.

    Args:
        name: the folder's.
        known: names of folders that may stand beside a side, lower case: `images` for `train_images`.
    """
    before, behind = _BEFORE.fullmatch(name), _BEHIND.fullmatch(name)
    if find_side(name):
        return name, SPLIT
    if before and find_side(before[1]) and before[2][1:].lower() in known:
        return before[1], f"{SPLIT}{before[2]}"
    if behind and find_side(behind[2]) and behind[1][:-1].lower() in known:
        return behind[2], f"{behind[1]}{SPLIT}"
    return "", name
