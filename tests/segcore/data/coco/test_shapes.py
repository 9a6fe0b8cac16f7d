"""Outlines of COCO files as pixels, worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segcore.data.coco.shapes import draw_polygons, draw_runs, parse_counts
from segcore.errors import DataError


def draw(*polygons: list[float], height: int = 4, width: int = 5) -> list[str]:
    return ["".join(".#"[int(inside)] for inside in row) for row in draw_polygons(polygons, height, width)]


def test_a_pixel_is_inside_when_its_centre_is():
    assert draw([1, 1, 3, 1, 3, 3, 1, 3]) == [".....", ".##..", ".##..", "....."]
    # The edge from (0, 0) to (4, 4) goes through the centres of the diagonal, which are on its right side.
    assert draw([0, 0, 4, 4, 0, 4]) == [".....", "#....", "##...", "###.."]
    assert draw([0.6, 0.6, 1.4, 0.6, 1.4, 1.4, 0.6, 1.4]) == ["....."] * 4


def test_an_object_has_the_pixels_of_any_of_its_polygons():
    assert draw([0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 4, 1, 4, 2, 1, 2]) == ["##...", "####.", ".....", "....."]


def test_an_outline_that_crosses_itself_leaves_what_it_goes_round_twice():
    outer, inner = [0, 0, 5, 0, 5, 4, 0, 4, 0, 0], [1, 1, 4, 1, 4, 3, 1, 3, 1, 1]
    assert draw([*outer, *inner, 0, 0]) == ["#####", "#...#", "#...#", "#####"]


def test_what_lies_outside_the_image_is_cut_off():
    assert draw([-9, -9, 1e300, -9, 1e300, 1, -9, 1]) == ["#####", ".....", ".....", "....."]
    assert draw([-9, -9, -5, -9, -5, 9]) == ["....."] * 4
    assert draw([1, 1, 3, 3]) == ["....."] * 4


@given(st.lists(st.tuples(st.floats(-3, 9), st.floats(-3, 9)), min_size=3, max_size=7))
def test_pixels_are_those_whose_centre_a_ray_says_is_inside(corners):
    drawn_HW = draw_polygons([[number for corner in corners for number in corner]], 6, 5)
    for row in range(6):
        for column in range(5):
            x, y, inside = column + 0.5, row + 0.5, False
            for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]], strict=True):
                if (y1 <= y) != (y2 <= y) and x1 + (y - y1) * (x2 - x1) / (y2 - y1) <= x:
                    inside = not inside
            assert drawn_HW[row, column] == inside


def test_a_corner_without_y_is_refused():
    with pytest.raises(DataError, match="7 numbers"):
        draw([0, 0, 1, 1, 2, 2, 3])


def test_runs_go_down_the_columns_and_begin_outside():
    assert draw_runs([1, 2, 3], (3, 2), 3, 2).tolist() == [[False, False], [True, False], [True, False]]


def test_texts_of_runs_are_those_of_the_coco_api():
    # The identity of 3x3 is 0, 1, 3, 1, 3, 1; from the fourth on, differences to the length before the last.
    assert parse_counts("013000") == [0, 1, 3, 1, 3, 1]
    assert draw_runs("013000", (3, 3), 3, 3).tolist() == np.eye(3, dtype=bool).tolist()
    # 100 = 4 + 3 * 32: (4 | 32) + 48 = T, 3 + 48 = 3; 2 - 100 = -98 = 30 + 28 * 32 - 1024: n, L.
    assert parse_counts("5T3X1nL") == [5, 100, 40, 2]


@pytest.mark.parametrize(
    ("counts", "size", "told"),
    [
        ([1, 2], (2, 2), "for 3 pixels"),
        ([5, -1], (2, 2), "for 4 pixels"),
        ([4], (4, 1), "for an image of 1x4 pixels"),
        ("01 ", (2, 2), "stands for nothing"),
        ("T", (2, 2), "cut short"),
        ("", (2, 2), "for 0 pixels"),
    ],
)
def test_runs_of_another_image_are_refused(counts, size, told):
    with pytest.raises(DataError, match=told):
        draw_runs(counts, size, 2, 2)
