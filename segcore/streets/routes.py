"""The routes of the demo streets, how each looks, and a moment of a drive along one.

What stands along a route lives in `streets.population`, the picture of a moment in `streets.world`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segcore.data.colours import Colour

_METRES_PER_INDEX: Final = 0.35
_SIGHT_M: Final = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The look of a route.

    Args:
        half: half the road's width, metres.
        camera: place of the camera's lane, metres right of the road's centre.
        dashes: places of dashed lines, metres right of the road's centre.
        solids: places of solid lines, metres right of the road's centre.
        centre: colour of the line at 0.
        asphalt: the road's colour.
        paving: the pavement's colour.
        walls: colours of the houses.
        floors: lowest and highest number of floors.
        green: share of the plots that hold trees instead of a house, 0..1.
        busy: density of people, shops and cars, 0..1.
    """

    half: float
    camera: float
    dashes: tuple[float, ...]
    solids: tuple[float, ...]
    centre: Colour
    asphalt: Colour
    paving: Colour
    walls: tuple[Colour, ...]
    floors: tuple[int, int]
    green: float
    busy: float


ROUTES: Final = {
    "Tokyo1": Route(
        half=6.4, camera=-1.65, dashes=(-3.3, 3.3), solids=(-6.1, 0.0, 6.1), centre=(236, 232, 222),
        asphalt=(92, 94, 98), paving=(164, 162, 158),
        walls=((150, 162, 176), (186, 190, 192), (120, 134, 152), (204, 200, 190), (142, 150, 150)),
        floors=(4, 9), green=0.12, busy=0.7,
    ),
    "Tokyo2": Route(
        half=4.7, camera=-2.0, dashes=(0.0,), solids=(-4.4, 4.4), centre=(236, 234, 226),
        asphalt=(106, 102, 98), paving=(178, 154, 136),
        walls=((176, 120, 96), (206, 178, 140), (148, 108, 92), (214, 200, 170), (168, 152, 140)),
        floors=(3, 6), green=0.15, busy=0.85,
    ),
    "Saitama": Route(
        half=3.9, camera=-1.75, dashes=(), solids=(-3.65, 0.0, 3.65), centre=(236, 178, 62),
        asphalt=(116, 116, 114), paving=(182, 180, 170),
        walls=((226, 214, 190), (208, 216, 210), (222, 196, 176), (190, 198, 208), (236, 232, 222)),
        floors=(2, 3), green=0.4, busy=0.5,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One frame of a drive.

    Args:
        route: a key of `ROUTES`.
        timeofday: a key of `LIGHTS`.
        frame_index: number of the frame along its route; the camera moves 0.35 m per number.
        drive: number of the drive, decides the traffic and the people.
        seed: decides the world; the same for every frame of a demo.
    """

    route: str
    timeofday: str
    frame_index: int
    drive: int
    seed: int

    @property
    def place_m(self) -> float:
        """Way of the camera along its route, metres."""
        return self.frame_index * _METRES_PER_INDEX

    def rng(self, *key: int) -> np.random.Generator:
        """Return a generator that depends on the demo's seed, the route and a key."""
        # A seed must not be negative, and the piece of road behind the very first frame is number -1.
        return np.random.default_rng([self.seed, list(ROUTES).index(self.route), *(part + 99 for part in key)])

    def cells(self, length: float) -> range:
        """Return the numbers of the pieces of road, `length` metres each, that are in sight."""
        start = int(np.floor(self.place_m / length))
        return range(start - 1, start + int(_SIGHT_M / length) + 1)
