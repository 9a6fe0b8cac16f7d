"""What changes a mask's colours is known by the file's content, whatever its name."""

import numpy as np
import pytest
from PIL import Image

from segcore.data.decoding import decode_colours, is_blurred_format

# Two classes beside each other, whose border JPEG and its like mix.
BORDER = np.zeros((16, 16, 3), np.uint8)
BORDER[:, 5:] = (200, 30, 90)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}),
        ("TIFF", {"compression": "jpeg"}),
        ("WEBP", {"quality": 60}),
        ("WEBP", {"quality": 60, "icc_profile": b"x" * 301}),
    ],
)
def test_compression_that_changes_colours_is_known_whatever_the_name(tmp_path, form, options):
    file = tmp_path / "a.png"
    Image.fromarray(BORDER).save(file, format=form, **options)
    assert is_blurred_format(file)
    assert len(np.unique(decode_colours(file).reshape(-1, 3), axis=0)) > 2


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"lossless": True, "icc_profile": b"x" * 301}),
    ],
)
def test_compression_that_keeps_colours_is_known_whatever_the_name(tmp_path, form, options):
    file = tmp_path / "a.jpg"
    Image.fromarray(BORDER).save(file, format=form, **options)
    assert not is_blurred_format(file)
    np.testing.assert_array_equal(decode_colours(file), BORDER)


def test_file_that_is_missing_or_no_picture_changes_nothing(tmp_path):
    (tmp_path / "a.webp").write_bytes(b"RIFF")
    assert not is_blurred_format(tmp_path / "a.webp")
    assert not is_blurred_format(tmp_path / "missing.png")
