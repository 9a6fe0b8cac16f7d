from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segcore.data.classes import CONTEST_CLASSES, VOID
from segcore.data.picture_files import encode_jpeg, save_png
from segcore.errors import ConfigError, DataError, StorageError
from segcore.insight.figures import colour_mask, overlay, side_by_side

CAR, PEDESTRIAN = 0, 1
BLUE, RED, BLACK = (0, 0, 255), (255, 0, 0), (0, 0, 0)


def test_classes_take_their_colour_and_void_is_black():
    mask_HW = np.array([[CAR, PEDESTRIAN, VOID]], np.uint8)
    np.testing.assert_array_equal(colour_mask(mask_HW, CONTEST_CLASSES), [[BLUE, RED, BLACK]])


def test_an_overlay_is_halfway_between_image_and_colour_and_leaves_void_alone():
    image_HW3 = np.full((1, 2, 3), 100, np.uint8)
    mask_HW = np.array([[CAR, VOID]], np.uint8)
    # 100 and 0 give 50; 100 and 255 give 177 (177.5 rounded down).
    np.testing.assert_array_equal(overlay(image_HW3, mask_HW, CONTEST_CLASSES), [[(50, 50, 177), (100, 100, 100)]])


def test_panels_stand_in_the_order_image_truth_prediction():
    image_HW3 = np.full((4, 8, 3), 90, np.uint8)
    truth_HW = np.full((4, 8), VOID, np.uint8)
    prediction_HW = np.full((4, 8), CAR, np.uint8)
    picture_HW3 = side_by_side(image_HW3, truth_HW, prediction_HW, CONTEST_CLASSES)
    # Each panel is 320 pixels wide and, as 4 to 8, 160 high.
    assert picture_HW3.shape == (160, 960, 3)
    np.testing.assert_array_equal(picture_HW3[70, [5, 400, 800]], [(90, 90, 90), BLACK, BLUE])


def test_shrinking_never_mixes_class_colours():
    mask_HW = np.tile(np.array([CAR, PEDESTRIAN], np.uint8), (40, 500))
    picture_HW3 = side_by_side(np.zeros((40, 1000, 3), np.uint8), mask_HW, mask_HW, CONTEST_CLASSES)
    colours = {tuple(colour) for colour in picture_HW3[:, 320:].reshape(-1, 3).tolist()}
    assert colours <= {BLUE, RED}


def test_small_panels_of_masks_show_the_place_that_the_image_shows():
    # Three columns become one: the middle one of truth and prediction.
    mask_HW = np.tile(np.array([CAR, PEDESTRIAN, CAR], np.uint8), (30, 320))
    picture_HW3 = side_by_side(np.zeros((30, 960, 3), np.uint8), mask_HW, mask_HW, CONTEST_CLASSES)
    assert (picture_HW3[:, 320:] == RED).all()


def test_masks_of_another_size_are_refused_naming_each():
    small_HW = np.zeros((2, 2), np.uint8)
    with pytest.raises(DataError) as caught:
        side_by_side(np.zeros((4, 4, 3), np.uint8), small_HW, small_HW, CONTEST_CLASSES)
    assert [problem.split(" is ")[0] for problem in caught.value.problems] == ["the truth", "the prediction"]


def test_a_jpeg_keeps_red_red():
    image_HW3 = np.full((16, 16, 3), RED, np.uint8)
    decoded_HW3 = cv2.imdecode(np.frombuffer(encode_jpeg(image_HW3), np.uint8), cv2.IMREAD_COLOR)
    blue, green, red = decoded_HW3[8, 8].tolist()
    assert red > 240
    assert max(blue, green) < 15


def test_a_lower_quality_makes_a_smaller_jpeg():
    image_HW3 = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(encode_jpeg(image_HW3, quality=20)) < len(encode_jpeg(image_HW3, quality=95))


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_outside_its_range_is_refused(quality):
    with pytest.raises(ConfigError, match=f"quality is {quality}"):
        encode_jpeg(np.zeros((8, 8, 3), np.uint8), quality)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3)])
def test_an_array_that_is_no_picture_is_refused(shape):
    with pytest.raises(DataError, match="needs RGB"):
        encode_jpeg(np.zeros(shape, np.uint8))


def test_a_png_keeps_every_pixel_and_leaves_nothing_else(tmp_path: Path):
    image_HW3 = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    file = tmp_path / "picture.png"
    file.write_text("an older file")
    save_png(image_HW3, file)
    with Image.open(file) as picture:
        np.testing.assert_array_equal(np.array(picture), image_HW3)
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_folder_is_a_storage_error(tmp_path: Path):
    with pytest.raises(StorageError, match="make its folder first"):
        save_png(np.zeros((2, 2, 3), np.uint8), tmp_path / "nowhere" / "picture.png")
