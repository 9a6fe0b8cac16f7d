"""The drawn furniture of the demo streets: signals, signs, lamps, rails, machines, zebra crossings.

Houses and trees are drawn in `scenery`, what moves in `road_users`; where everything stands lives in
`streets.population`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segcore.data.colours import Colour
from segcore.streets.canvas import Canvas
from segcore.streets.shapes import alongside, disc, facing, flat, shade

_STEEL: Final[Colour] = (128, 132, 134)
_WARM: Final[Colour] = (255, 214, 140)
_SIGNAL_LAMPS: Final[tuple[Colour, ...]] = ((30, 222, 160), (250, 190, 40), (250, 44, 36))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A traffic light with three lamps side by side on an arm above the road.

    Args:
        pole: the pole, metres right of the road's centre.
        lamps: middle of the housing, metres right of the road's centre.
        ahead: metres ahead of the camera.
        state: which lamp is lit: 0 green, 1 amber, 2 red.
    """

    pole: float
    lamps: float
    ahead: float
    state: int

    def draw(self, canvas: Canvas) -> None:
        """Draw pole and arm (obstacle), then housing and lamps (signal)."""
        x, z = self.lamps, self.ahead
        near, far = sorted((self.pole, x))
        canvas.fill(_STEEL, "obstacle", facing(self.pole - 0.13, self.pole + 0.13, 0, 5.5, z))
        canvas.fill(shade(_STEEL, 0.9), "obstacle", facing(near, far, 5.15, 5.33, z))
        canvas.fill((92, 98, 96), "signal", facing(x - 1.15, x + 1.15, 4.05, 5.0, z - 0.1))
        canvas.fill((30, 34, 34), "signal", facing(x - 1.05, x + 1.05, 4.13, 4.92, z - 0.1))
        for position, colour in enumerate(_SIGNAL_LAMPS):
            lit = position == self.state
            lamp = disc(x + 0.68 * (position - 1), 4.52, z - 0.1, 0.31, 0.33)
            canvas.fill(colour if lit else shade(colour, 0.2), "signal", lamp, glow=0.95 if lit else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A road sign on a pole or a shop's sign that juts out over the pavement.

    Args:
        x: middle, metres right of the road's centre.
        ahead: metres ahead of the camera.
        form: "stop", "blue", "limit" or "shop".
        colour: colour of a shop's sign.
    """

    x: float
    ahead: float
    form: str
    colour: Colour = (200, 60, 60)

    def draw(self, canvas: Canvas) -> None:
        """Draw the pole (obstacle) and the plate (signs)."""
        x, z = self.x, self.ahead
        if self.form == "shop":
            glow = 0.8 * canvas.light.dark
            canvas.fill(shade(self.colour, 0.5), "signs", facing(x - 0.6, x + 0.6, 3.0, 5.6, z))
            canvas.fill(self.colour, "signs", facing(x - 0.5, x + 0.5, 3.1, 5.5, z), glow=glow)
            for up in (3.5, 4.3, 5.1):
                canvas.fill((250, 244, 226), "signs", disc(x, up, z, 0.28, 0.28), glow=glow)
            return
        canvas.fill(_STEEL, "obstacle", facing(x - 0.06, x + 0.06, 0, 3.1, z))
        if self.form == "stop":
            plate = np.array([(x - 0.6, 3.2, z), (x + 0.6, 3.2, z), (x, 2.2, z)])
            canvas.fill((206, 30, 38), "signs", plate)
            return
        ring: Colour = (206, 30, 38) if self.form == "limit" else (24, 70, 176)
        canvas.fill(ring, "signs", disc(x, 2.75, z, 0.5, 0.5))
        inside: Colour = (246, 246, 246) if self.form == "limit" else (60, 110, 214)
        canvas.fill(inside, "signs", disc(x, 2.75, z, 0.34, 0.34))


@dataclass(frozen=True, slots=True, kw_only=True)
class Furniture:
    """Something on the pavement that can be mistaken: lamp, banner, postbox, vending machine, guard rail.

    Args:
        x: middle, metres right of the road's centre.
        ahead: metres ahead of the camera.
        form: "lamp", "banner", "postbox", "vending" or "rail".
        colour: of the banner or machine.
    """

    x: float
    ahead: float
    form: str
    colour: Colour = (210, 44, 40)

    def draw(self, canvas: Canvas) -> None:
        """Draw it; a rail is a wall, everything else an obstacle."""
        x, z, night = self.x, self.ahead, canvas.light.dark
        if self.form == "rail":
            canvas.fill((216, 220, 220), "wall", alongside(x, 0.45, 0.75, z, z + 5.6))
            canvas.fill((170, 174, 174), "wall", *(facing(x - 0.06, x + 0.06, 0, 0.75, z + at) for at in (0, 2.8)))
        elif self.form == "lamp":
            arm = x - np.sign(x) * 1.6
            canvas.fill((98, 102, 104), "obstacle", facing(x - 0.09, x + 0.09, 0, 6.6, z))
            canvas.fill((98, 102, 104), "obstacle", facing(min(x, arm), max(x, arm), 6.5, 6.62, z))
            canvas.fill(_WARM, "obstacle", disc(arm, 6.45, z, 0.4, 0.15), glow=night)
        elif self.form == "banner":
            canvas.fill((220, 220, 220), "obstacle", facing(x - 0.33, x - 0.27, 0, 2.2, z))
            canvas.fill(self.colour, "obstacle", facing(x - 0.27, x + 0.28, 0.5, 2.1, z))
            canvas.fill(shade(self.colour, 1.5), "obstacle", facing(x - 0.1, x + 0.1, 0.7, 1.9, z))
        elif self.form == "postbox":
            canvas.fill((176, 30, 32), "obstacle", facing(x - 0.12, x + 0.12, 0, 0.7, z))
            canvas.fill((206, 38, 38), "obstacle", facing(x - 0.32, x + 0.32, 0.65, 1.45, z))
            canvas.fill((30, 26, 26), "obstacle", facing(x - 0.22, x + 0.22, 1.18, 1.26, z))
        else:
            canvas.darken(0.6, disc(x, 0.0, z, 0.8, 0.4, lying=True))
            canvas.fill(self.colour, "obstacle", facing(x - 0.5, x + 0.5, 0.05, 1.85, z))
            pane = facing(x - 0.4, x + 0.4, 0.85, 1.7, z)
            canvas.fill((214, 226, 234), "obstacle", pane, glow=0.85 * night)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A zebra crossing with the stop line before it.

    Args:
        half: half the road's width, metres.
        ahead: nearer end of the stripes, metres ahead of the camera.
    """

    half: float
    ahead: float

    def draw(self, canvas: Canvas) -> None:
        """Draw the stripes and the stop line."""
        left_edges = np.arange(-self.half + 0.4, self.half - 0.6, 1.1)
        stripes = [flat(left, left + 0.55, self.ahead, self.ahead + 3.2) for left in left_edges]
        stop = flat(-self.half + 0.4, -0.2, self.ahead - 2.2, self.ahead - 1.65)
        if self.ahead > 1.5:
            canvas.fill((226, 226, 220), "lane", *stripes)
        if self.ahead > 4.5:
            canvas.fill((226, 226, 220), "lane", stop)
