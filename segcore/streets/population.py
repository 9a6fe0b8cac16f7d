"""Who and what is where along a demo street: houses, trees, signals, traffic and people, all seeded.

How they look lives in `scenery`, `streets.furniture` and `road_users`; the frame around them is drawn
in `streets.world`.
"""

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from segcore.data.colours import Colour
from segcore.streets.canvas import Canvas
from segcore.streets.furniture import Crossing, Furniture, Sign, Signal
from segcore.streets.road_users import Bicycle, Car, Lorry, Pedestrian
from segcore.streets.routes import Moment, Route
from segcore.streets.scenery import House, Tree
from segcore.streets.shapes import shade

_PLOT_M: Final = 13.0
_PACE_M: Final = 8.0
_CROSSING_M: Final = 36.0
_OUTER_LANE_M: Final = 4.35
_FARTHEST_PERSON_M: Final = 34.0
_PAINT: Final[tuple[Colour, ...]] = (
    (232, 232, 230), (186, 190, 196), (44, 46, 52), (168, 30, 36), (34, 62, 124), (212, 212, 204),
    (92, 100, 108), (60, 116, 160), (222, 190, 70),
)  # fmt: skip
_CLOTHES: Final[tuple[Colour, ...]] = (
    (200, 46, 52), (44, 72, 150), (236, 236, 232), (40, 42, 50), (232, 190, 70), (70, 130, 90),
    (150, 86, 140), (120, 124, 130),
)  # fmt: skip
_SKIN: Final[tuple[Colour, ...]] = ((232, 190, 160), (214, 166, 134), (160, 112, 84))
_LEAVES: Final[tuple[Colour, ...]] = ((74, 120, 58), (94, 134, 62), (60, 104, 62), (112, 130, 66))


class Thing(Protocol):
    """Something that can be drawn; things are drawn from far to near."""

    @property
    def ahead(self) -> float:
        """Metres ahead of the camera."""

    def draw(self, canvas: Canvas) -> None:
        """Draw it."""


def crossings(moment: Moment, route: Route) -> Iterator[Thing]:
    """Yield the zebra crossings."""
    for cell in moment.cells(_CROSSING_M):
        yield Crossing(half=route.half, ahead=cell * _CROSSING_M - moment.place_m)


def houses(moment: Moment, route: Route) -> Iterator[Thing]:
    """Yield the houses on both sides; plots without a house are left to `things`."""
    for side in (-1, 1):
        for cell in moment.cells(_PLOT_M):
            rng = moment.rng(4, cell, side + 1)
            if rng.random() < route.green:
                continue
            floors = int(rng.integers(route.floors[0], route.floors[1] + 1))
            yield House(
                x=side * (route.half + 3.6), ahead=cell * _PLOT_M - moment.place_m,
                length=_PLOT_M - rng.choice([0.0, 0.6, 2.0]), height=3.9 + 3.2 * (floors - 1) + 0.4,
                colour=_pick(rng, route.walls), gabled=floors < 4 and rng.random() < 0.75,
                seed=cell * 2 + side + 9,
            )  # fmt: skip


def things(moment: Moment, route: Route) -> Iterator[Thing]:
    """Yield everything that stands or moves in front of the houses and in front of the camera."""
    for thing in _stand_and_move(moment, route):
        if thing.ahead > 1.5 or (isinstance(thing, Car | Lorry | Furniture) and thing.ahead > -6):
            yield thing


def _stand_and_move(moment: Moment, route: Route) -> Iterator[Thing]:
    for side in (-1, 1):
        for cell in moment.cells(_PLOT_M):
            yield from _plot(moment, route, cell, side)
        for cell in moment.cells(_PACE_M):
            ahead = cell * _PACE_M - moment.place_m
            yield from _kerb(moment.rng(6, cell, side + 1), route, ahead, side)
            yield from _walkers(moment, route, cell, side)
    for cell in moment.cells(_CROSSING_M):
        yield from _crossing(moment, route, cell)
    yield from _traffic(moment, route)


def _plot(moment: Moment, route: Route, cell: int, side: int) -> Iterator[Thing]:
    empty = moment.rng(4, cell, side + 1).random() < route.green
    rng, ahead = moment.rng(5, cell, side + 1), cell * _PLOT_M - moment.place_m
    leaves = _pick(rng, _LEAVES)
    if empty:
        for at in (1.5, 5.0, 8.5, 11.5):
            x = side * (route.half + rng.uniform(4.2, 7.0))
            yield Tree(x=x, ahead=ahead + at, height=rng.uniform(4.5, 8), colour=leaves, seed=cell * 31 + int(at))
            yield Tree(x=x, ahead=ahead + at - 1, height=1.6, colour=shade(leaves, 0.9), seed=cell * 37 + int(at))
    elif rng.random() < 0.35:
        x = side * (route.half + 1.0)
        yield Tree(x=x, ahead=ahead + 6, height=rng.uniform(4, 6), colour=leaves, seed=cell * 41 + side)
    if not empty and rng.random() < 0.55 * route.busy:
        yield Sign(x=side * (route.half + 3.0), ahead=ahead + 3, form="shop", colour=_pick(rng, _CLOTHES))


def _kerb(rng: np.random.Generator, route: Route, ahead: float, side: int) -> Iterator[Thing]:
    kind, x, at = rng.random(), side * (route.half + 0.9), ahead + rng.uniform(0, 4)
    if kind < 0.14:
        yield Furniture(x=x, ahead=at, form="lamp")
    elif kind < 0.26:
        yield Furniture(x=x, ahead=at, form="banner", colour=_pick(rng, _CLOTHES))
    elif kind < 0.32:
        yield Furniture(x=x, ahead=at, form="postbox")
    elif kind < 0.42:
        yield Furniture(x=side * (route.half + 3.0), ahead=at, form="vending", colour=_pick(rng, _PAINT))
    elif kind < 0.52:
        yield Furniture(x=side * (route.half + 0.6), ahead=ahead, form="rail")
    elif kind < 0.62:
        yield Sign(x=x, ahead=at, form=("stop", "blue", "limit")[int(rng.integers(3))])
    elif kind < 0.68:
        yield Bicycle(x=side * (route.half + 2.6), ahead=at, colour=_pick(rng, _CLOTHES))
    elif kind < 0.68 + 0.3 * route.busy:
        x = side * (route.half - 0.1)
        tall = 1.0 if rng.random() < 0.6 else 1.22
        if rng.random() < 0.15 and side < 0:
            yield Lorry(x=x - 0.3, ahead=ahead, colour=_pick(rng, _PAINT), name="truck")
            return
        yield Car(x=x, ahead=ahead, colour=_pick(rng, _PAINT), oncoming=side > 0, tall=tall, lit=False)


def _walkers(moment: Moment, route: Route, cell: int, side: int) -> Iterator[Thing]:
    rng = moment.rng(7, moment.drive, cell, side + 1)
    if rng.random() > 0.25 + 0.45 * route.busy:
        return
    cell_ahead = cell * _PACE_M - moment.place_m
    # People walk on as the camera comes nearer, towards it or away from it.
    walked = rng.choice([-0.12, 0.08, 0.12]) * cell_ahead
    for _ in range(1 if rng.random() < 0.7 else 2):
        x = side * (route.half + rng.uniform(1.3, 2.7))
        ahead = cell_ahead + walked + rng.uniform(0, 6)
        person = _person(rng, x, ahead, moment.frame_index)
        if ahead < _FARTHEST_PERSON_M:
            yield person


def _crossing(moment: Moment, route: Route, cell: int) -> Iterator[Thing]:
    ahead, rng = cell * _CROSSING_M - moment.place_m, moment.rng(8, moment.drive, cell)
    state = int(rng.choice([0, 0, 2, 2, 1]))
    reach = min(2.6, route.half - 2.2)
    for side in (-1, 1):
        pole = side * (route.half + 0.7)
        lamps = side * (route.half + 0.2 - reach)
        yield Signal(pole=pole, lamps=lamps, ahead=ahead + 4.2, state=state)
    if ahead > _FARTHEST_PERSON_M:
        return
    for _ in range(int(rng.integers(0, 3))):
        way = rng.uniform(0, 2 * route.half) + rng.choice([-0.16, 0.16]) * moment.frame_index
        x = abs(way % (4 * route.half) - 2 * route.half) - route.half
        yield _person(rng, x, ahead + rng.uniform(0.6, 2.6), moment.frame_index)


def _traffic(moment: Moment, route: Route) -> Iterator[Thing]:
    rng, place = moment.rng(10, moment.drive), moment.place_m
    if rng.random() < 0.8:
        ahead = 11 + 4.5 * np.sin(place / 9 + rng.uniform(0, 6))
        yield _vehicle(rng, route.camera, ahead)
    if route.half > 6:
        yield _vehicle(rng, -_OUTER_LANE_M, 8 + (rng.uniform(0, 60) - 0.25 * place) % 60)
    for lane in (-route.camera, _OUTER_LANE_M) if route.half > 6 else (-route.camera,):
        for first in (0, 37):
            ahead = 3 + (first + rng.uniform(0, 28) - 1.9 * place) % 75
            yield Car(x=lane, ahead=ahead, colour=_pick(rng, _PAINT), oncoming=True, tall=rng.uniform(0.95, 1.25))


def _vehicle(rng: np.random.Generator, x: float, ahead: float) -> Thing:
    colour, kind, tall = _pick(rng, _PAINT), rng.random(), rng.uniform(0.95, 1.25)
    if kind < 0.24:
        return Lorry(x=x, ahead=ahead + 4, colour=colour, name="truck" if kind < 0.14 else "bus")
    return Car(x=x, ahead=ahead, colour=colour, tall=tall)


def _person(rng: np.random.Generator, x: float, ahead: float, frame_index: int) -> Pedestrian:
    return Pedestrian(
        x=x, ahead=ahead, coat=_pick(rng, _CLOTHES), trousers=shade(_pick(rng, _CLOTHES), 0.6),
        skin=_pick(rng, _SKIN), stride=rng.uniform(0, 6) + frame_index * 0.5,
        size=rng.choice([1.08, 1.15, 1.0, 0.85]),
    )  # fmt: skip


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]
