"""The drawn road users of the demo streets: cars, trucks, buses, pedestrians, bicycles.

What stands still is drawn in `scenery` and `streets.furniture`; where everything is lives in
`streets.population`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segcore.data.colours import Colour
from segcore.streets.canvas import Canvas
from segcore.streets.shapes import Points, alongside, disc, facing, mix, shade

_TYRE: Final[Colour] = (24, 24, 26)
_GLASS: Final[Colour] = (52, 66, 80)
_RED_LAMP: Final[Colour] = (228, 34, 30)
_WHITE_LAMP: Final[Colour] = (255, 248, 222)


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """A passenger car, seen from behind or from the front, with the side that the camera sees.

    Args:
        x: middle, metres right of the road's centre.
        ahead: nearer end, metres ahead of the camera.
        colour: paint.
        oncoming: whether its front faces the camera.
        tall: height relative to a saloon, 0.9..1.3.
        lit: whether its lamps are on in the dark.
    """

    x: float
    ahead: float
    colour: Colour
    oncoming: bool = False
    tall: float = 1.0
    lit: bool = True

    def draw(self, canvas: Canvas) -> None:
        """Draw shadow, side, end and wheels."""
        x, z = self.x, self.ahead
        canvas.darken(0.45, disc(x, 0.0, z + 2.0, 1.25, 2.5, lying=True))
        side = x - 0.88 if x > canvas.view.x_m else x + 0.88
        self._draw_side(canvas, side)
        self._draw_end(canvas)

    def _draw_side(self, canvas: Canvas, side: float) -> None:
        z, roof = self.ahead, 1.48 * self.tall
        low, top = (0.95, 1.7) if self.oncoming else (0.1, 0.5)
        inner = self.x + (side - self.x) * 0.82
        sunlit = 0.78 + 0.2 * canvas.light.sun * np.sign(self.x - side)
        paint = shade(self.colour, sunlit)
        canvas.fill(paint, "car", alongside(side, 0.28, 0.9, z, z + 4.2))
        canvas.fill(paint, "car", _upright(side, inner, (0.88, roof), (z + low, z + top), z + 3.9 - low * 0.5))
        canvas.fill(_GLASS, "car", _upright(side, inner, (0.95, roof - 0.1), (z + low + 0.3, z + top + 0.2), z + 3.2))
        for axle in (0.8, 3.4):
            canvas.fill(_TYRE, "car", disc(side, 0.33, z + axle, 0.34, 0.33, side=True))
            canvas.fill((130, 132, 136), "car", disc(side, 0.33, z + axle, 0.17, 0.17, side=True))

    def _draw_end(self, canvas: Canvas) -> None:
        x, z, roof, paint = self.x, self.ahead, 1.48 * self.tall, self.colour
        low, top = (0.95, 1.7) if self.oncoming else (0.1, 0.5)
        for left in (x - 0.82, x + 0.6):
            canvas.fill(_TYRE, "car", facing(left, left + 0.22, 0.0, 0.4, z))
        canvas.fill(shade(paint, 1.08), "car", _bonnet(x, z, low))
        canvas.fill(shade(paint, 0.95), "car", _tapered(x, (0.88, 0.72), (0.86, roof), (z + low, z + top)))
        pane = _tapered(x, (0.74, 0.62), (0.93, roof - 0.1), (z + low, z + top))
        canvas.fill(mix(_GLASS, canvas.light.sky[1], 0.25), "car", pane)
        canvas.fill(paint, "car", facing(x - 0.9, x + 0.9, 0.28, 0.9, z))
        canvas.fill(shade(paint, 0.6), "car", facing(x - 0.9, x + 0.9, 0.24, 0.42, z))
        canvas.fill((232, 234, 226), "car", facing(x - 0.24, x + 0.24, 0.46, 0.62, z))
        lamp = _WHITE_LAMP if self.oncoming else _RED_LAMP
        glow = 0.9 * canvas.light.dark if self.lit else 0.0
        for left in (x - 0.88, x + 0.58):
            canvas.fill(lamp, "car", facing(left, left + 0.3, 0.62, 0.82, z), glow=glow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lorry:
    """A truck or a bus: a tall box, seen from behind.

    Args:
        x: middle, metres right of the road's centre.
        ahead: nearer end, metres ahead of the camera.
        colour: paint.
        name: class, "truck" or "bus".
    """

    x: float
    ahead: float
    colour: Colour
    name: str

    def draw(self, canvas: Canvas) -> None:
        """Draw shadow, side, end and wheels."""
        x, z, name = self.x, self.ahead, self.name
        side = x - 1.2 if x > canvas.view.x_m else x + 1.2
        sunlit = 0.75 + 0.2 * canvas.light.sun * np.sign(x - side)
        canvas.darken(0.4, disc(x, 0.0, z + 3.5, 1.7, 4.2, lying=True))
        canvas.fill(shade(self.colour, sunlit), name, alongside(side, 0.5, 3.2, z, z + 7.5))
        if name == "bus":
            panes = [alongside(side, 1.6, 2.6, z + at, z + at + 1.1) for at in (0.3, 1.7, 3.1, 4.5, 5.9)]
            canvas.fill(_GLASS, name, *panes, glow=0.3 * canvas.light.dark)
        for axle in (1.3, 6.2):
            canvas.fill(_TYRE, name, disc(side, 0.48, z + axle, 0.5, 0.48, side=True))
        self._draw_end(canvas)

    def _draw_end(self, canvas: Canvas) -> None:
        x, z, name = self.x, self.ahead, self.name
        for left in (x - 1.1, x + 0.7):
            canvas.fill(_TYRE, name, facing(left, left + 0.4, 0.0, 0.6, z))
        canvas.fill(self.colour, name, facing(x - 1.2, x + 1.2, 0.5, 3.2, z))
        canvas.fill(shade(self.colour, 0.55), name, facing(x - 1.2, x + 1.2, 0.42, 0.85, z))
        if name == "bus":
            canvas.fill(_GLASS, name, facing(x - 0.95, x + 0.95, 1.7, 2.6, z), glow=0.3 * canvas.light.dark)
            canvas.fill((250, 176, 40), name, facing(x - 0.6, x + 0.6, 2.72, 3.0, z), glow=canvas.light.dark)
        else:
            canvas.fill(shade(self.colour, 0.8), name, facing(x - 0.04, x + 0.04, 0.9, 3.1, z))
            canvas.fill(shade(self.colour, 1.15), name, facing(x - 1.2, x + 1.2, 3.05, 3.2, z))
        for left in (x - 1.15, x + 0.85):
            canvas.fill(_RED_LAMP, name, facing(left, left + 0.3, 0.9, 1.15, z), glow=0.9 * canvas.light.dark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pedestrian:
    """A person on foot, facing or leaving the camera.

    Args:
        x: middle, metres right of the road's centre.
        ahead: metres ahead of the camera.
        coat: colour of the upper clothes.
        trousers: colour of the lower clothes.
        skin: colour of face and hands; dark hair covers the upper head.
        stride: phase of the step, radians.
        size: height relative to 1.75 m, 0.7..1.2.
    """

    x: float
    ahead: float
    coat: Colour
    trousers: Colour
    skin: Colour
    stride: float
    size: float = 1.0

    def draw(self, canvas: Canvas) -> None:
        """Draw shadow, legs, body, arms and head."""
        swing = 0.2 * np.sin(self.stride)
        canvas.darken(0.6, disc(self.x, 0.0, self.ahead, 0.45 * self.size, 0.3, lying=True))
        for hip, foot in ((-0.12, -0.15 - swing), (0.12, 0.15 + swing)):
            self._fill(canvas, self.trousers, [(hip - 0.13, 0.9), (hip + 0.13, 0.9),
                                               (foot + 0.09, 0.05), (foot - 0.09, 0.05)])  # fmt: skip
            self._fill(canvas, (40, 34, 32), [(foot - 0.1, 0.1), (foot + 0.12, 0.1), (foot + 0.12, 0.0),
                                              (foot - 0.1, 0.0)])  # fmt: skip
        for sign in (-1, 1):
            hand = sign * (0.4 + 0.5 * abs(swing))
            self._fill(canvas, shade(self.coat, 0.8), [(sign * 0.26, 1.48), (sign * 0.34, 1.42), (hand, 0.86),
                                                       (hand - sign * 0.1, 0.84)])  # fmt: skip
        self._fill(canvas, self.coat, [(-0.22, 1.52), (0.22, 1.52), (0.31, 1.4), (0.25, 0.82),
                                       (-0.25, 0.82), (-0.31, 1.4)])  # fmt: skip
        size = self.size
        canvas.fill(self.skin, "pedestrian", disc(self.x, 1.65 * size, self.ahead, 0.145 * size, 0.17 * size))
        hair = disc(self.x, 1.72 * size, self.ahead, 0.15 * size, 0.11 * size)
        canvas.fill((38, 28, 24), "pedestrian", hair)

    def _fill(self, canvas: Canvas, colour: Colour, corners: list[tuple[float, float]]) -> None:
        points = [(self.x + right * self.size, up * self.size, self.ahead) for right, up in corners]
        canvas.fill(colour, "pedestrian", np.array(points))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bicycle:
    """A bicycle parked across the pavement.

    Args:
        x: middle, metres right of the road's centre.
        ahead: metres ahead of the camera.
        colour: paint of the frame.
    """

    x: float
    ahead: float
    colour: Colour

    def draw(self, canvas: Canvas) -> None:
        """Draw wheels, frame and saddle."""
        x, z = self.x, self.ahead
        for hub in (x - 0.55, x + 0.55):
            canvas.fill(_TYRE, "bicycle", disc(hub, 0.34, z, 0.34, 0.34))
            canvas.fill((150, 150, 152), "bicycle", disc(hub, 0.34, z, 0.26, 0.26))
        frame = np.array([(x - 0.55, 0.4, z), (x - 0.2, 0.85, z), (x + 0.45, 0.9, z), (x + 0.05, 0.3, z)])
        canvas.fill(self.colour, "bicycle", frame)
        canvas.fill(_TYRE, "bicycle", facing(x - 0.35, x - 0.05, 0.88, 1.0, z))
        canvas.fill(_TYRE, "bicycle", facing(x + 0.38, x + 0.5, 0.5, 1.1, z))


def _tapered(x: float, halves: tuple[float, float], heights: tuple[float, float], ahead: tuple[float, float]) -> Points:
    (low, high), (half_low, half_high), (near, far) = heights, halves, ahead
    return np.array([(x - half_low, low, near), (x + half_low, low, near),
                     (x + half_high, high, far), (x - half_high, high, far)])  # fmt: skip


def _upright(side: float, inner: float, heights: tuple[float, float], near: tuple[float, float], far: float) -> Points:
    low, high = heights
    return np.array([(side, low, near[0]), (inner, high, near[1]), (inner, high, far - 0.5), (side, low, far)])


def _bonnet(x: float, ahead: float, depth: float) -> Points:
    end = ahead + depth + 0.1
    return np.array([(x - 0.9, 0.9, ahead), (x + 0.9, 0.9, ahead), (x + 0.84, 0.92, end), (x - 0.84, 0.92, end)])
