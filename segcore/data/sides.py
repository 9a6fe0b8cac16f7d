"""How large a data set's images usually are, so that one small image does not decide for all."""

from collections.abc import Sequence
from typing import Final

_FEW: Final = 10


def find_usual_side(sides: Sequence[int]) -> int:
    """Return a length, pixels, that the shorter sides of nine of ten images reach, or of all but one.

    Crops of up to this size are cut; where an image is smaller, the rest of its crop is void.

    Args:
        sides: the shorter side of each image, pixels; one at least.
    """
    return sorted(sides)[min(len(sides) - 1, max(1, len(sides) // _FEW))]
