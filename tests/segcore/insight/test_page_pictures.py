import base64
import io
import re
from dataclasses import replace

import numpy as np
from PIL import Image

from segcore.data.classes import ClassTable
from segcore.insight.page_pictures import mask_picture, photo, shrink_mask

TABLE = ClassTable(names=("<b>", "sky"), colours=((1, 2, 3), (0, 152, 225)), scored=("<b>",))


def pixels_of(figure):
    data = re.search(r"base64,([^\"]+)", figure).group(1)
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_mask_picture_has_exactly_the_classes_colours():
    mask_HW = np.array([[0, 1], [255, 1]], np.uint8)
    picture = pixels_of(mask_picture(mask_HW, TABLE, "truth", 10))
    assert np.asarray(picture.convert("RGB")).tolist() == [[[1, 2, 3], [0, 152, 225]], [[0, 0, 0], [0, 152, 225]]]


def test_mask_picture_tells_void_from_a_class_that_is_black():
    table = replace(TABLE, colours=((0, 0, 0), (0, 152, 225)))
    picture = pixels_of(mask_picture(np.array([[0, 255]], np.uint8), table, "", 2))
    assert np.asarray(picture.convert("RGB")).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_small_mask_has_the_middle_of_what_each_of_its_pixels_stands_for():
    mask_HW = np.tile(np.arange(9, dtype=np.uint8), (9, 1))
    assert shrink_mask(mask_HW, 3).tolist() == [[1, 4, 7]] * 3


def test_large_pictures_are_made_smaller_and_small_ones_are_not_enlarged():
    assert pixels_of(photo(np.zeros((40, 80, 3), np.uint8), "x", 20)).size == (20, 10)
    assert pixels_of(photo(np.zeros((40, 80, 3), np.uint8), "x", 100)).size == (80, 40)


def test_pictures_of_a_line_camera_are_no_taller_than_a_page_can_show():
    """A JPEG file has at most 65,535 rows."""
    assert pixels_of(photo(np.zeros((70_000, 20, 3), np.uint8), "x", 10)).size == (1, 80)
    assert pixels_of(mask_picture(np.zeros((400, 20), np.uint8), TABLE, "x", 10)).size == (4, 80)
