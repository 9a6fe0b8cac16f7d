"""What masks have is counted, and what was not made for classes is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data.sources.mask_values import count_values, find_doubts
from segcore.errors import DataError


def save(folder: Path, *masks: np.ndarray, suffix: str = ".png") -> list[Path]:
    files = [folder / f"{number}{suffix}" for number in range(len(masks))]
    for file, mask in zip(files, masks, strict=True):
        Image.fromarray(mask).save(file)
    return files


def quiet(done: int, total: int) -> None:
    pass


def test_pixels_and_images_of_each_number_are_counted(tmp_path):
    masks = save(tmp_path, np.array([[0, 3, 3]], np.uint8), np.array([[3, 255, 255]], np.uint8))
    values = count_values(masks, quiet)
    assert values.kind == "index" and values.masks == 2
    assert values.pixels == {0: 1, 3: 3, 255: 2}
    assert values.images == {0: 1, 3: 2, 255: 1}
    assert find_doubts(values, masks) == []


def test_masks_of_ade20k_whose_colours_tell_objects_apart_are_refused(tmp_path):
    """Red 50 and green 3 are class 1283, and blue the object: counted as colours the two would be two classes."""
    (mask,) = save(tmp_path, np.array([[[50, 3, 1], [50, 3, 2]]], np.uint8))
    ade = mask.rename(tmp_path / "ADE_train_00000001_seg.png")
    with pytest.raises(DataError, match=r"ADE_train_00000001_seg\.png is called as masks of ADE20K's full release"):
        count_values([ade], quiet)


def test_colours_are_counted_as_colours(tmp_path):
    values = count_values(save(tmp_path, np.array([[[1, 2, 3], [0, 0, 0]]], np.uint8)), quiet)
    assert values.kind == "rgb" and {values.encoding.name_code(code) for code in values.pixels} == {
        "(1, 2, 3)",
        "(0, 0, 0)",
    }


def test_soft_borders_are_named(tmp_path):
    mask = np.zeros((200, 200), np.uint8)
    mask[100:] = 200
    mask[100, :40] = np.arange(1, 41)
    masks = save(tmp_path, mask)
    (doubt,) = find_doubts(count_values(masks, quiet), masks)
    assert doubt.startswith("soft borders: 40 of 42 values have under 0.1% of the pixels each")


@pytest.mark.parametrize(("colour", "told"), [((7, 0, 0), True), ((128, 0, 0), False), ((7, 1, 0), False)])
def test_numbers_in_the_red_channel_are_named(tmp_path, colour, told):
    masks = save(tmp_path, np.array([[[0, 0, 0], colour]], np.uint8))
    doubts = find_doubts(count_values(masks, quiet), masks)
    assert [doubt for doubt in doubts if "(7, 0, 0) is its tag 7" in doubt] == doubts
    assert bool(doubts) is told


def test_jpeg_masks_are_named(tmp_path):
    masks = save(tmp_path, np.full((16, 16), 7, np.uint8), suffix=".jpg")
    doubts = find_doubts(count_values(masks, quiet), masks)
    assert any(doubt.startswith("JPEG: 1 mask is JPEG") for doubt in doubts)
    assert any(doubt.startswith("one value: ") for doubt in doubts)


def test_numbers_of_objects_are_named(tmp_path):
    masks = save(tmp_path, np.array([[7, 26001, 26002]], np.uint16))
    (doubt,) = find_doubts(count_values(masks, quiet), masks)
    assert doubt.startswith("large numbers: up to 26002")


def test_more_values_than_classes_can_be_are_refused_with_the_most_common(tmp_path):
    mask = np.zeros((20, 20), np.uint16)
    mask[10:] = 300 + np.arange(200).reshape(10, 20)
    mask[5:10] = 1000 + np.arange(100).reshape(5, 20)
    with pytest.raises(DataError) as refused:
        count_values(save(tmp_path, mask), quiet)
    assert "301 different numbers, and at most 254 can be classes; the most common: 0 on 25.0%" in str(refused.value)
    assert "large numbers: up to 1099" in str(refused.value)


def test_every_mask_that_cannot_be_read_is_told(tmp_path):
    masks = save(tmp_path, *[np.zeros((4, 4), np.uint8)] * 40)
    for mask in masks[1::20]:
        mask.write_bytes(mask.read_bytes()[:45])
    with pytest.raises(DataError) as refused:
        count_values(masks, quiet)
    assert len(refused.value.problems) == 2


def test_jpeg_masks_of_more_than_two_values_are_refused(tmp_path):
    numbers_HW = np.zeros((16, 16), np.uint8)
    numbers_HW[5:, 3:] = 100
    masks = save(tmp_path, numbers_HW, suffix=".jpg")
    with pytest.raises(
        DataError,
        match=r"1 of 1 mask is JPEG, or compressed like it, .* as PNG",
    ):
        count_values(masks, quiet)


SMOOTH = [0] * 90 + [255] * 20 + [5, 60, 200, 250]


def test_black_and_white_with_smooth_borders_is_refused_where_nothing_names_its_mixtures(tmp_path):
    """Each would be a class, and white void."""
    with pytest.raises(DataError, match=r"smooth borders: 0 on 78\.9% of the pixels, 255 on 17\.5% and 4 numbers"):
        count_values(save(tmp_path, np.array([SMOOTH], np.uint8)), quiet)


@pytest.mark.parametrize(
    "numbers",
    [
        # Void around rare classes of small numbers; grey levels of five classes; as much between as there is of white.
        [0] * 90 + [255] * 20 + [1, 2, 3, 4],
        [0] * 90 + [255] * 20 + [64, 128, 191],
        [0] * 90 + [255] * 4 + [5, 60, 200, 250],
    ],
)
def test_classes_beside_0_and_255_are_no_smooth_borders(tmp_path, numbers):
    assert count_values(save(tmp_path, np.array([numbers], np.uint8)), quiet).pixels.total() == len(numbers)


@pytest.mark.parametrize(("last", "told"), [(0, False), (3, True)])
def test_values_that_are_in_one_mask_each_may_be_objects(tmp_path, last, told):
    masks = save(tmp_path, *[np.array([[1, 2, 2 + last * number]], np.uint8) for number in range(1, 6)])
    doubts = find_doubts(count_values(masks, quiet), masks)
    assert [doubt.partition(";")[0] for doubt in doubts] == ["objects: 5 of 7 values are in one mask each"] * told
