"""Finds images that were made of one image and say so in their names: Roboflow's x_jpg.rf.HASH, turned, cut, coloured.

They show one scene, so a model that trained on one knows the others, though no pixel need be the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

_MADE_OF: Final = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{8,}")


def find_copies(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return groups of names of which the images were made of one, two or more each, in the order given."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if match := _MADE_OF.fullmatch(name):
            groups[match[1]].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]
