"""Masks with transparency: read where it says nothing that colours do not say, else refused."""

import numpy as np
import pytest
from PIL import Image

from segcore.data.decoding import decode_colours, decode_rgb, decode_values
from segcore.errors import DataError

RED, BLACK = (255, 0, 0), (0, 0, 0)


def _save(file, *pixels):
    Image.fromarray(np.array([pixels], np.uint8), "RGBA").save(file)
    return file


def test_colours_of_one_opacity_each_are_read_as_they_are(tmp_path):
    mask = _save(tmp_path / "a.png", (*RED, 255), (*BLACK, 0), (*RED, 255))
    assert decode_colours(mask).tolist() == [[list(RED), list(BLACK), list(RED)]]
    assert decode_colours(_save(tmp_path / "b.png", (*RED, 0), (*BLACK, 0))).tolist() == [[list(RED), list(BLACK)]]


def test_colour_below_what_was_rubbed_out_is_no_class(tmp_path):
    mask = _save(tmp_path / "a.png", (*RED, 255), (*RED, 0), (*BLACK, 255))
    with pytest.raises(DataError, match=r"a\.png: has \(255, 0, 0\) in several opacities, 0 and 255 of 255 among them"):
        decode_colours(mask)
    assert decode_rgb(mask).tolist() == [[list(RED), list(RED), list(BLACK)]]


def test_class_and_nothing_of_one_number_are_not_taken_for_one(tmp_path):
    Image.fromarray(np.array([[(0, 255), (0, 0), (1, 255)]], np.uint8), "LA").save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: has \(0, 0, 0\) in several opacities"):
        decode_values(tmp_path / "a.png")
    Image.fromarray(np.array([[(0, 0), (2, 255), (1, 255)]], np.uint8), "LA").save(tmp_path / "b.png")
    assert decode_values(tmp_path / "b.png").tolist() == [[0, 2, 1]]


def test_palette_with_one_colour_in_two_opacities_is_refused_where_its_colours_are_read(tmp_path):
    mask = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    mask.putpalette([*RED, *RED])
    mask.save(tmp_path / "a.png", transparency=b"\x00\xff")
    with pytest.raises(DataError, match="in several opacities"):
        decode_colours(tmp_path / "a.png")
    # Places say what colours do not.
    assert decode_values(tmp_path / "a.png").tolist() == [[0, 1]]


def test_opacities_of_a_large_mask_are_compared_across_its_bands(tmp_path):
    pixels_HW4 = np.zeros((3000, 3000, 4), np.uint8)
    pixels_HW4[..., 3] = 255
    pixels_HW4[-1, -1, 3] = 7
    Image.fromarray(pixels_HW4, "RGBA").save(tmp_path / "a.png", compress_level=1)
    with pytest.raises(DataError, match="7 and 255 of 255"):
        decode_colours(tmp_path / "a.png")
