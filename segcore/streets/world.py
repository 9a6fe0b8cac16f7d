"""One frame of the demo streets: sky, road, everything along it, and the camera car's own bonnet.

Where things stand lives in `streets.population`, how they look in `scenery`, `streets.furniture` and
`road_users`, how they become pixels in `streets.canvas`; the files are written by `synthetic`.
"""

import cv2
import numpy as np

from segcore.streets.canvas import LIGHTS, Canvas, Image, View
from segcore.streets.population import crossings, houses, things
from segcore.streets.routes import ROUTES, Moment, Route
from segcore.streets.shapes import disc, facing, flat, mix, shade


def draw_moment(moment: Moment, *, height: int, width: int) -> tuple[Image, Image]:
    """Draw one frame.

    Args:
        moment: which one.
        height: rows, pixels.
        width: columns, pixels.

    Returns:
        The RGB picture (H, W, 3) and its class indices (H, W).
    """
    route, place = ROUTES[moment.route], moment.place_m
    view = View(
        height=height,
        width=width,
        x_m=route.camera + 0.25 * np.sin(place / 19),
        yaw=0.05 * np.sin(place / 31),
        pitch=0.012 * np.sin(place / 7 + moment.drive),
        curvature=0.0035 * np.sin(place / 83 + 1.0),
    )
    canvas = Canvas(view, LIGHTS[moment.timeofday])
    canvas.paint_sky(_sky(moment))
    _draw_ground(canvas, moment, route)
    # Markings lie under everything and houses behind everything, however near: each is a layer of its own.
    for layer in (crossings(moment, route), houses(moment, route), things(moment, route)):
        for thing in sorted(layer, key=lambda thing: -thing.ahead):
            thing.draw(canvas)
    _draw_bonnet(canvas)
    return canvas.render(moment.rng(9, moment.drive, moment.frame_index)), canvas.truth()


def _sky(moment: Moment) -> Image:
    light, rng = LIGHTS[moment.timeofday], moment.rng(1, moment.drive)
    down_HW1 = np.linspace(0, 2, 32)[:, None, None].clip(0, 1) + np.zeros((32, 48, 1))
    gradient_HW3 = np.array(light.sky[0]) * (1 - down_HW1) + np.array(light.sky[1]) * down_HW1
    puffs_HW = cv2.resize(rng.random((7, 6)), (48, 32), interpolation=cv2.INTER_CUBIC)
    clouds_HW1 = ((puffs_HW - 0.5) * 2.2).clip(0, 0.85)[..., None]
    sky_HW3: Image = (gradient_HW3 * (1 - clouds_HW1) + np.array(light.cloud) * clouds_HW1).astype(np.uint8)
    return sky_HW3


def _draw_ground(canvas: Canvas, moment: Moment, route: Route) -> None:
    half, place = route.half, moment.place_m
    skyline = moment.rng(2).uniform(4, 13, 24)
    towers = [facing(x, x + 8.2, 0, tall, 100) for x, tall in zip(range(-96, 96, 8), skyline, strict=True)]
    canvas.fill(shade(route.walls[0], 0.8), "building", *towers)
    canvas.fill(shade(route.paving, 0.85), "sidewalk", flat(-90, 90, 1.2, 100))
    canvas.fill(route.asphalt, "ground", flat(-half - 0.5, half + 0.5, 1.2, 100))
    for sign in (-1, 1):
        near, far = sorted((sign * (half + 0.15), sign * (half + 0.5)))
        canvas.fill(mix(route.asphalt, (205, 205, 205), 0.5), "roadshoulder", flat(near, far, 1.2, 100))
        near, far = sorted((sign * (half + 0.5), sign * (half + 3.6)))
        canvas.fill(route.paving, "sidewalk", flat(near, far, 1.2, 100))
    for cell in moment.cells(9.0):
        _draw_patch(canvas, moment.rng(3, cell), route, cell * 9.0 - place)
    for x in route.solids:
        canvas.fill(route.centre if x == 0 else (228, 228, 222), "lane", flat(x - 0.13, x + 0.13, 1.2, 90))
    for cell in moment.cells(9.0):
        ahead = cell * 9.0 - place
        if ahead + 4.5 > 1.5:
            marks = [flat(x - 0.13, x + 0.13, ahead, ahead + 4.5) for x in route.dashes]
            canvas.fill((228, 228, 222), "lane", *marks)


def _draw_patch(canvas: Canvas, rng: np.random.Generator, route: Route, ahead: float) -> None:
    # Mended asphalt, pale or dark, and covers: ground that a lazy model takes for markings.
    x, kind = rng.uniform(-0.8, 0.8) * route.half, rng.random()
    if ahead < 2 or kind < 0.3:
        return
    if kind < 0.55:
        canvas.fill(shade(route.asphalt, 0.75), "ground", disc(x, 0, ahead, 0.4, 0.4, lying=True))
    elif kind < 0.8:
        canvas.fill(shade(route.asphalt, 0.82), "ground", flat(x - 0.9, x + 0.9, ahead, ahead + 3.5))
    else:
        canvas.fill(mix(route.asphalt, (220, 218, 212), 0.55), "ground", flat(x - 0.2, x + 0.2, ahead, ahead + 4))


def _draw_bonnet(canvas: Canvas) -> None:
    angle_N = np.linspace(np.pi, 0, 30)
    for colour, rise in (((54, 58, 64), 0.085), ((112, 100, 126), 0.06), ((70, 74, 80), 0.045)):
        right_N = 0.5 + 0.56 * np.cos(angle_N)
        down_N = 1.001 - rise * np.sin(angle_N) ** 0.7
        canvas.fill_frame(colour, "own", np.stack([right_N, down_N], axis=1))
