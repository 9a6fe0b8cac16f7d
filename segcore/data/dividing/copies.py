"""Finds images that were made of one image and say so in their names: Roboflow's x_jpg.rf.HASH, turned, cut, coloured.

They show one scene, so a model that trained on one knows the others, though no pixel need be the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from segcore.data.decoding import IMAGE_SUFFIXES

_MADE_OF: Final = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{8,}")
_ENDINGS: Final = [f"_{write(suffix[1:])}" for suffix in IMAGE_SUFFIXES for write in (str.lower, str.upper)]
"""Of the names that copies begin with: x.jpg is x_jpg there."""


def find_copies(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return groups of names of which the images were made of one or are it, two or more each, in the order given."""
    groups: dict[str, list[str]] = defaultdict(list)
    copied = {match[1] for name in names if (match := _MADE_OF.fullmatch(name))}
    for name in names:
        for origin in _list_origins(name):
            if origin in copied:
                groups[origin].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def find_made_of(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Return further images that were made of one of some, or of what that was made of, or are it; with that one.

    Args:
        names: of images without suffix.
        others: of the further images, none of them among the names.
    """
    name_of = {origin: name for name in names for origin in _list_origins(name)}
    found = ((other, origin) for other in others for origin in _list_origins(other))
    return {other: name_of[origin] for other, origin in found if origin in name_of}


def _list_origins(name: str) -> list[str]:
    """Return what the names of copies of the image, or of what it was made of, begin with."""
    match = _MADE_OF.fullmatch(name)
    return [match[1]] if match else [f"{name}{ending}" for ending in _ENDINGS]
