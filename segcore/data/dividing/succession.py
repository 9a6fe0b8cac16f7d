"""Finds images that look like the one before them by name and stand in another fold: frames of a drive without numbers.

Where no image has a frame, each stands alone in the folds, and a drive's frames are dealt to all of them. Whether they
are such frames is told by their looks: of images that do not belong together those that follow each other by name are
as unlike as any two.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.case import Case
from segcore.data.dividing.likeness import correlate

_FEWEST: Final = 20
"""Pairs of images of which something can be said."""
_UNLIKE: Final = 0.95
"""Share of pairs far from each other by name that are less alike than a pair that counts: by chance one of 20 is."""
_LEAST_SHARE: Final = 1 / 3
_DIGITS: Final = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """Images that look like the one before them by name, of which another fold knows.

    Args:
        images: how many.
        of: how many have one before them.
        first: names of two such.
    """

    images: int
    of: int
    first: tuple[str, str]


def find_succession(
    cases: Sequence[Case], looks_NHW: npt.NDArray[np.uint8], fold_of: Mapping[str, int | None]
) -> Succession | None:
    """Return the images that look like the one before them in another fold, if they are many.

    On CamVid, one frame a second, 4 of 5 images look so; by chance 1 of 20 does.

    Args:
        cases: of a data set; those with a frame are left out.
        looks_NHW: a look of each, see `likeness`.
        fold_of: fold of each case, by name.
    """
    places = sorted((place for place, case in enumerate(cases) if case.frame is None), key=lambda i: _order(cases[i]))
    before, after = np.array(places[:-1], np.int64), np.array(places[1:], np.int64)
    together = np.array([cases[i].group == cases[j].group for i, j in zip(before, after, strict=True)], np.bool_)
    before, after = before[together], after[together]
    if len(before) < _FEWEST:
        return None
    halfway = np.roll(places, len(places) // 2)
    usual = np.quantile(correlate(looks_NHW[places], looks_NHW[halfway]), _UNLIKE)
    divided = np.array([fold_of[cases[i].name] != fold_of[cases[j].name] for i, j in zip(before, after, strict=True)])
    found = np.flatnonzero(divided & (correlate(looks_NHW[before], looks_NHW[after]) > usual))
    if len(found) < _LEAST_SHARE * len(before):
        return None
    first = cases[before[found[0]]].name, cases[after[found[0]]].name
    return Succession(images=len(found), of=len(before), first=first)


def _order(case: Case) -> tuple[str, list[tuple[int, str]]]:
    """Return what sorts names as a person does: frame_9 before frame_10."""
    parts = _DIGITS.split(case.name)
    return case.group, [(int(part) if part.isdecimal() else 0, part) for part in parts]
