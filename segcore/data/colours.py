"""Colours for classes that have none of their own, told apart by the eye; the same on every machine."""

import colorsys
from collections.abc import Collection
from typing import Final

Colour = tuple[int, int, int]

BLACK: Final[Colour] = (0, 0, 0)
WHITE: Final[Colour] = (255, 255, 255)
_MOST: Final = 254
_GOLDEN: Final = 0.618033988749895
_TONES: Final = ((0.85, 0.95), (0.55, 0.95), (0.9, 0.65), (0.45, 0.7))
"""Saturation and brightness, in turn: neighbours in order differ in more than their hue."""


def choose_colours(count: int, taken: Collection[Colour] = ()) -> tuple[Colour, ...]:
    """Return so many different colours that are not black and not taken.

    Args:
        count: how many; those beyond the 254 that a class table may have are black, for the table is refused.
        taken: colours that already mean something.
    """
    chosen: list[Colour] = []
    position = 0
    while len(chosen) < min(count, _MOST):
        saturation, brightness = _TONES[position % len(_TONES)]
        parts = colorsys.hsv_to_rgb(position * _GOLDEN % 1, saturation, brightness)
        colour = (round(255 * parts[0]), round(255 * parts[1]), round(255 * parts[2]))
        if colour not in taken and colour not in chosen:
            chosen.append(colour)
        position += 1
    return (*chosen, *[BLACK] * (count - len(chosen)))
