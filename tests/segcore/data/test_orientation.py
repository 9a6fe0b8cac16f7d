import numpy as np
import pytest
from PIL import Image, ImageOps

from segcore.data.orientation import find_orientation, turn

UPRIGHT = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_pillow_turns_them(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(UPRIGHT).save(file := tmp_path / "a.png", exif=exif)
    with Image.open(file) as image:
        assert find_orientation(image, file) == orientation
        assert turn(UPRIGHT, orientation).tolist() == np.asarray(ImageOps.exif_transpose(image)).tolist()


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_picture_that_says_nothing_or_nonsense_lies_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(UPRIGHT).save(file := tmp_path / "a.png", exif=exif)
    with Image.open(file) as image:
        assert find_orientation(image, file) == 1
