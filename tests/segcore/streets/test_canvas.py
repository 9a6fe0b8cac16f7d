import numpy as np
import pytest

from segcore.data.classes import CONTEST_CLASSES
from segcore.streets.canvas import LIGHTS, Canvas, View
from segcore.streets.shapes import facing

CAR, SKY = (CONTEST_CLASSES.names.index(name) for name in ("car", "sky"))
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# Focal length 85 pixels, 8.5 m ahead: 10 pixels per metre around the column 50; the horizon is row 44, 1.4 m up.
BOX, LEFT_HALF, RIGHT_HALF = (facing(*sides, 0.4, 2.4, 8.5) for sides in ((-2, 2), (-2, 0), (0, 2)))


def _canvas(time="day"):
    canvas = Canvas(View(height=100, width=100, x_m=0.0), LIGHTS[time])
    canvas.paint_sky(np.zeros((4, 4, 3), np.uint8))
    return canvas


def _halves(canvas):
    """Mean brightness of the two halves of the box, without their edges."""
    grey_HW = canvas.render(np.random.default_rng(0)).mean(axis=2)
    return grey_HW[37:51, 33:47].mean(), grey_HW[37:51, 53:67].mean()


def test_shadow_darkens_the_picture_inside_its_shape_and_leaves_the_truth():
    canvas = _canvas()
    canvas.fill((200, 200, 200), "car", BOX)
    truth_HW = canvas.truth()
    canvas.darken(0.5, LEFT_HALF)
    left, right = _halves(canvas)
    assert left == pytest.approx(right / 2, rel=0.1)
    np.testing.assert_array_equal(canvas.truth(), truth_HW)
    # A shadow beside the picture falls on nothing.
    canvas.darken(0.5, facing(20, 30, 0, 1, 8.5))
    assert _halves(canvas) == (left, right)


def test_what_glows_is_bright_at_night_alone():
    for time, brighter in (("night", 1.3), ("day", 1.0)):
        canvas = _canvas(time)
        canvas.fill((120, 120, 120), "car", LEFT_HALF, glow=1.0)
        canvas.fill((120, 120, 120), "car", RIGHT_HALF)
        left, right = _halves(canvas)
        assert (left > brighter * right) == (time == "night"), (left, right)


def test_distance_fades_a_colour_into_that_of_the_horizon():
    canvas = _canvas()
    canvas.fill(BLACK, "car", facing(-200, 200, -200, 200, 130))
    # At 130 m exp(-1) = 0.368 of black is left; by day the horizon is 206, 224, 240, and all is lit by 1.05 and 1.03.
    colour_3 = canvas.render(np.random.default_rng(0)).mean(axis=(0, 1))
    assert colour_3.tolist() == pytest.approx([0.632 * 206 * 1.05, 0.632 * 224 * 1.05, 0.632 * 240 * 1.03], rel=0.06)


def test_what_is_behind_the_camera_is_not_drawn():
    canvas = _canvas()
    canvas.fill(WHITE, "car", facing(-1, 1, 0, 2, 1.0), facing(-1, 1, 0, 2, -8.5))
    assert (canvas.truth() == SKY).all()
    canvas.fill(WHITE, "car", facing(-1, 1, 0, 2, 1.0), BOX)
    assert (canvas.truth() == CAR).sum() == 20 * 40
