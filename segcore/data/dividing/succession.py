"""Finds images that look like the one before them by name and stand in another fold: frames of a drive without numbers.

Where no image has a frame, each stands alone in the folds, and a drive's frames are dealt to all of them. Whether they
are such frames is told by their looks: of images that do not belong together those that follow each other by name are
as unlike as any two.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.case import Case
from segcore.data.dividing.likeness import correlate_following

_FEWEST: Final = 20
"""Pairs of images, or images of a group, of which something can be said."""
_UNLIKE: Final = 0.95
"""Share of a group's pairs that are less alike than a pair that counts: by chance one of 20 is."""
_USUAL_PAIRS: Final = 1000
"""At least about so many are looked at, drawn at random: pairs as far apart as can be would tell kinds of images apart,
such as those of two cameras, and call all of a kind alike."""
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
    ordered = [cases[place] for place in places]
    pairs = list(pairwise(ordered))
    of = sum(before.group == after.group for before, after in pairs)
    if of < _FEWEST:
        return None
    looks_NHW = looks_NHW[places]
    alike = correlate_following(looks_NHW) > np.quantile(_correlate_at_random(ordered, looks_NHW), _UNLIKE)
    found = [
        (before.name, after.name)
        for (before, after), looks_so in zip(pairs, alike.tolist(), strict=True)
        if looks_so and before.group == after.group and fold_of[before.name] != fold_of[after.name]
    ]
    if len(found) < _LEAST_SHARE * of:
        return None
    return Succession(images=len(found), of=of, first=found[0])


def _correlate_at_random(cases: Sequence[Case], looks_NHW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return how much looks of one group correlate that do not follow each other; small groups count as one."""
    draw = np.random.default_rng(0)
    sizes = Counter(case.group for case in cases)
    groups = [case.group if sizes[case.group] >= _FEWEST else "" for case in cases]
    group_N = np.unique(groups, return_inverse=True)[1]
    found: list[npt.NDArray[np.float32]] = []
    for _ in range(max(1, _USUAL_PAIRS // len(cases))):
        order_N = np.lexsort((draw.random(len(cases)), group_N))
        counts_P = (np.diff(group_N[order_N]) == 0) & (np.abs(np.diff(order_N)) > 1)
        found.append(correlate_following(looks_NHW[order_N])[counts_P])
    return np.concatenate(found)


def _order(case: Case) -> tuple[str, list[tuple[int, str]]]:
    """Return what sorts names as a person does: frame_9 before frame_10."""
    parts = _DIGITS.split(case.name)
    return case.group, [(int(part) if part.isdecimal() else 0, part) for part in parts]
