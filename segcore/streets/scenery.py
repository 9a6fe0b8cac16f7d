"""The drawn houses and trees of the demo streets.

Smaller things are drawn in `streets.furniture`, what moves in `road_users`; where everything stands lives in
`streets.population`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segcore.data.colours import Colour
from segcore.streets.canvas import Canvas
from segcore.streets.shapes import Points, alongside, disc, facing, mix, shade

_WARM: Final[Colour] = (255, 214, 140)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A building with windows along the street and towards the camera.

    Args:
        x: the wall beside the pavement, metres right of the road's centre.
        ahead: nearer end, metres ahead of the camera.
        length: extent along the road, metres.
        height: metres.
        colour: the walls' colour.
        gabled: whether it has a pitched roof.
        seed: decides which windows are lit.
    """

    x: float
    ahead: float
    length: float
    height: float
    colour: Colour
    gabled: bool
    seed: int

    def draw(self, canvas: Canvas) -> None:
        """Draw walls, roof, shop front and windows."""
        side = float(np.sign(self.x))
        far, end = self.ahead + self.length, self.x + side * 11
        wall = shade(self.colour, 0.86 - 0.22 * canvas.light.sun * side)
        front = shade(self.colour, 0.74)
        canvas.fill(wall, "building", alongside(self.x, 0, self.height, self.ahead, far))
        canvas.fill(front, "building", facing(self.x, end, 0, self.height, self.ahead))
        self._draw_roof(canvas, far, end)
        shop = alongside(self.x, 0.0, 2.6, self.ahead + 0.8, far - 0.8)
        canvas.fill(mix(self.colour, (60, 58, 62), 0.6), "building", shop, glow=0.35 * canvas.light.dark)
        along = [
            alongside(self.x, low, low + 1.6, self.ahead + at, self.ahead + at + 1.9)
            for low in self._floors()
            for at in np.arange(1.0, self.length - 2.2, 3.1)
        ]
        across = [
            facing(self.x + side * at, self.x + side * (at + 1.5), low, low + 1.6, self.ahead)
            for low in self._floors()
            for at in np.arange(1.2, 9.5, 2.7)
        ]
        self._draw_windows(canvas, along + across)

    def _floors(self) -> list[float]:
        return [float(low) for low in np.arange(3.9, self.height - 1.9, 3.2)]

    def _draw_roof(self, canvas: Canvas, far: float, end: float) -> None:
        top, tiles = self.height, mix(self.colour, (74, 52, 50), 0.7)
        if not self.gabled:
            canvas.fill(shade(self.colour, 0.6), "building", alongside(self.x, top - 0.5, top, self.ahead, far))
            canvas.fill(shade(self.colour, 0.55), "building", facing(self.x, end, top - 0.5, top, self.ahead))
            return
        middle = (self.x + end) / 2
        ridge = [(middle, top + 2.4, far), (middle, top + 2.4, self.ahead)]
        eaves = [(self.x, top, self.ahead), (self.x, top, far)]
        canvas.fill(tiles, "building", np.array([*eaves, *ridge]))
        gable = np.array([(self.x, top, self.ahead), (end, top, self.ahead), ridge[1]])
        canvas.fill(shade(self.colour, 0.7), "building", gable)

    def _draw_windows(self, canvas: Canvas, windows: list[Points]) -> None:
        rng = np.random.default_rng(self.seed)
        bright = rng.random(len(windows)) < 0.45 * canvas.light.dark
        glass = mix((58, 76, 98), canvas.light.sky[0], 0.3)
        for on, colour, glow in ((False, glass, 0.0), (True, _WARM, 0.75)):
            panes = [pane for pane, lit in zip(windows, bright, strict=True) if lit == on]
            if panes:
                canvas.fill(colour, "building", *panes, glow=glow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A street tree or, without a trunk, a bush.

    Args:
        x: the trunk, metres right of the road's centre.
        ahead: metres ahead of the camera.
        height: metres; below 2 it is a bush.
        colour: the leaves' colour.
        seed: decides the crown's form.
    """

    x: float
    ahead: float
    height: float
    colour: Colour
    seed: int

    def draw(self, canvas: Canvas) -> None:
        """Draw shadow, trunk and a crown of overlapping balls, darker below."""
        rng = np.random.default_rng(self.seed)
        canvas.darken(0.6, disc(self.x, 0.0, self.ahead, 0.35 * self.height, 0.8, lying=True))
        if self.height > 2:
            trunk = facing(self.x - 0.14, self.x + 0.14, 0, 0.6 * self.height, self.ahead)
            canvas.fill((84, 66, 50), "natural", trunk)
        radius = 0.2 * self.height
        for step in range(7):
            right, up = rng.uniform(-0.8, 0.8) * radius, (0.5 + 0.06 * step) * self.height
            size = radius * rng.uniform(0.6, 0.95)
            leaves = shade(self.colour, 0.62 + 0.07 * step + 0.1 * rng.random())
            canvas.fill(leaves, "natural", disc(self.x + right, up, self.ahead, size * 1.1, size))
