"""Which side of a split a folder holds, by its name: train, val or test, as in `train2017` and `val_set` too."""

import re
from typing import Final, Literal

Side = Literal["", "train", "val", "test"]
"""What a folder is for; empty: its name does not say it."""

_SIDE: Final = re.compile(
    r"(?:(train(?:ing)?)|(val(?:id(?:ation)?)?)|(test(?:ing)?))(?:[ _-]?(?:set|data|\d{4}))?", re.IGNORECASE
)


def find_side(name: str) -> Side:
    """Return the side of the split that a folder is named after; letters' case does not matter.

    Args:
        name: the folder's.
    """
    match = _SIDE.fullmatch(name)
    if match is None:
        return ""
    return "train" if match[1] else "val" if match[2] else "test"
