"""The shapes of the demo streets in metres, and mixing of their colours.

How a shape becomes pixels lives in `streets.canvas`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.colours import Colour

Points = npt.NDArray[np.float64]
"""Corners (N, 3) in metres: right of the road's centre, above the road, ahead of the camera."""

NEAREST_M: Final = 1.2
"""Nothing nearer to the camera is drawn."""

_COS_N: Final = np.cos(np.arange(18) * np.pi / 9)
_SIN_N: Final = np.sin(np.arange(18) * np.pi / 9)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return a colour between two; `share` 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """Return a colour `factor` times as bright."""
    red, green, blue = (min(255, round(part * factor)) for part in colour)
    return red, green, blue


def facing(left: float, right: float, low: float, high: float, ahead: float) -> Points:
    """Return an upright rectangle that faces the camera; metres."""
    return np.array([(left, low, ahead), (right, low, ahead), (right, high, ahead), (left, high, ahead)])


def alongside(x: float, low: float, high: float, near: float, far: float) -> Points:
    """Return an upright rectangle that runs along the road; metres."""
    return np.array([(x, low, near), (x, low, far), (x, high, far), (x, high, near)])


def flat(left: float, right: float, near: float, far: float) -> Points:
    """Return a rectangle that lies on the ground, cut into short pieces along the road so that it can bend; metres."""
    pieces = 2 + int((far - near) / 4)
    ahead_N = np.geomspace(max(near, NEAREST_M), max(far, 2 * NEAREST_M), pieces)
    left_N3 = np.stack([np.full(pieces, left), np.zeros(pieces), ahead_N], axis=1)
    right_N3 = np.stack([np.full(pieces, right), np.zeros(pieces), ahead_N[::-1]], axis=1)
    return np.concatenate([left_N3, right_N3])


def disc(
    x: float, y: float, ahead: float, across: float, up: float, *, lying: bool = False, side: bool = False
) -> Points:
    """Return an ellipse around a centre; metres.

    Args:
        x: centre, right of the road's centre.
        y: centre, above the road.
        ahead: centre, ahead of the camera.
        across: half axis to the right (along the road if `side`).
        up: half axis upwards (along the road if `lying`).
        lying: whether it lies on the road.
        side: whether it stands along the road.
    """
    if side:
        return np.array([x + 0 * _SIN_N, y + up * _SIN_N, ahead + across * _COS_N]).T
    if lying:
        return np.array([x + across * _COS_N, y + 0 * _SIN_N, ahead + up * _SIN_N]).T
    return np.array([x + across * _COS_N, y + up * _SIN_N, ahead + 0 * _SIN_N]).T
