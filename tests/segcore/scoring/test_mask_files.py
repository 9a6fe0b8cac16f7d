from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segcore.data.classes import VOID, ClassTable
from segcore.errors import DataError
from segcore.scoring.mask_files import (
    find_background_number,
    find_unknown_classes,
    read_mask_notes,
    read_masks,
    require_free,
    require_same_meaning,
    save_mask,
    write_mask_notes,
)

MASK = np.array([[0, 1, 2, 3], [VOID, VOID, 0, 0]], np.uint8)
BLACK_CLASS = ClassTable(
    names=("a", "b", "c", "d"), colours=((0, 0, 0), (1, 1, 1), (255, 255, 255), (9, 8, 7)), scored=("a",)
)


def write_and_read(folder, table, mask_HW=MASK):
    save_mask(mask_HW, folder / "x.png", table)
    ((name, read_HW),) = read_masks(folder, table)
    assert name == "x"
    return read_HW


def test_masks_of_colours_come_back_with_their_background(classes, tmp_path):
    np.testing.assert_array_equal(write_and_read(tmp_path, classes), MASK)
    # The first of each row: road, background.
    assert np.asarray(Image.open(tmp_path / "x.png"))[:, 0].tolist() == [[128, 64, 128], [0, 0, 0]]


def test_background_has_a_colour_of_its_own_where_black_is_a_class(tmp_path):
    np.testing.assert_array_equal(write_and_read(tmp_path, BLACK_CLASS), MASK)
    assert BLACK_CLASS.background_colour == (254, 254, 254)
    assert replace(BLACK_CLASS, void=((7, 7, 7), (6, 6, 6))).background_colour == (7, 7, 7)


def test_black_background_is_read_where_another_colour_is_void(classes, tmp_path):
    table = replace(classes, void=((5, 5, 5),))
    np.testing.assert_array_equal(write_and_read(tmp_path, table), MASK)


@pytest.mark.parametrize(
    ("ids", "background"), [((0, 1, 2, 3), 255), ((255, 1, 2, 3), 254), ((255, 254, 0, 7), 253), ((7, 8, 11, 33), 255)]
)
def test_masks_of_numbers_have_those_of_the_data_and_the_classes_colours(classes, tmp_path, ids, background):
    table = replace(classes, ids=ids)
    assert find_background_number(table) == background
    np.testing.assert_array_equal(write_and_read(tmp_path, table), MASK)
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "P"
        assert np.asarray(image).tolist() == [list(ids), [background, background, ids[0], ids[0]]]
        assert np.asarray(image.convert("RGB"))[0].tolist() == [list(colour) for colour in classes.colours]
        assert np.asarray(image.convert("RGB"))[1, 0].tolist() == [0, 0, 0]


def test_numbers_above_255_are_written_as_grey_levels_of_16_bits(classes, tmp_path):
    table = replace(classes, ids=(0, 1, 26000, 65535))
    np.testing.assert_array_equal(write_and_read(tmp_path, table), MASK)
    with Image.open(tmp_path / "x.png") as image:
        assert np.asarray(image).tolist() == [[0, 1, 26000, 65535], [255, 255, 0, 0]]


def test_254_classes_are_written_and_read(tmp_path):
    table = ClassTable(
        names=tuple(f"class {index}" for index in range(254)),
        colours=tuple((index, 0, 0) for index in range(254)),
        scored=("class 0",),
        ids=tuple(range(2, 256)),
    )
    mask_HW = np.arange(256, dtype=np.uint8).reshape(16, 16)
    mask_HW[-1, -2] = VOID
    np.testing.assert_array_equal(write_and_read(tmp_path, table, mask_HW), mask_HW)
    assert np.asarray(Image.open(tmp_path / "x.png"))[-1, -3:].tolist() == [255, 1, 1]


def test_unknown_number_is_refused_by_its_file(classes, tmp_path):
    Image.fromarray(np.full((2, 2), 9, np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"x\.png: unknown number 9: 4 pixels"):
        list(read_masks(tmp_path, replace(classes, ids=(0, 1, 2, 3))))


def test_notes_name_the_images_and_the_classes(classes, tmp_path):
    assert read_mask_notes(tmp_path).classes is None
    write_mask_notes(tmp_path, [tmp_path / "a.png", tmp_path / "cafe\u0301.JPG"], classes)
    write_mask_notes(tmp_path, [tmp_path / "b.tif"], classes)
    notes = read_mask_notes(tmp_path)
    assert notes.images == {"a": "a.png", "caf\u00e9": "cafe\u0301.JPG", "b": "b.tif"}
    assert notes.classes == classes


def test_masks_of_other_classes_are_not_mixed_in_one_folder(classes, tmp_path):
    """What was written first would be read by the classes of the second model."""
    write_mask_notes(tmp_path, [tmp_path / "a.png"], classes)
    other = replace(classes, names=("lane", *classes.names[1:]))
    with pytest.raises(DataError, match="holds masks of other classes; choose another folder"):
        write_mask_notes(tmp_path, [tmp_path / "b.png"], other)
    write_mask_notes(tmp_path, [tmp_path / "b.png"], replace(classes, scored=classes.names[1:2]))
    assert sorted(read_mask_notes(tmp_path).images) == ["a", "b"]


def test_masks_are_not_read_by_numbers_or_colours_that_mean_other_classes(classes, tmp_path):
    swapped = replace(classes, names=("car", "road", *classes.names[2:]))
    told = rf"0 is 'car' in the masks and 'road' in the data; 1 is .*mean the same, delete {tmp_path}/images\.json"
    ids = (0, 1, 2, 3)
    with pytest.raises(DataError, match=told):
        require_same_meaning(tmp_path, replace(swapped, ids=ids), replace(classes, ids=ids))
    for noted in (swapped, replace(swapped, ids=ids)):
        with pytest.raises(DataError, match=r"\(128, 64, 128\) is 'car' in the masks and 'road' in the data"):
            require_same_meaning(tmp_path, noted, classes)


def test_masks_of_the_same_classes_in_another_order_or_of_more_or_fewer_are_read(classes, tmp_path):
    turned = replace(classes, names=classes.names[::-1], colours=classes.colours[::-1])
    fewer = replace(classes, names=classes.names[:3], colours=classes.colours[:3])
    for noted, table, unknown in (
        (None, classes, ()),
        (classes, turned, ()),
        (turned, classes, ()),
        (fewer, classes, ("sky",)),
        (classes, fewer, ()),
    ):
        require_same_meaning(tmp_path, noted, table)
        assert find_unknown_classes(noted, table) == unknown


def test_masks_that_no_prediction_wrote_are_not_written_over(classes, tmp_path):
    """OUT/masks may be where a data set keeps its truth."""
    save_mask(MASK, tmp_path / "a.png", classes)
    with pytest.raises(DataError, match=r"holds images that no prediction wrote, .* choose another folder"):
        write_mask_notes(tmp_path, [tmp_path / "a.jpg"], classes)


def test_pictures_that_no_prediction_drew_are_not_drawn_over(classes, tmp_path):
    """Of images with other names they stay, and those of an earlier prediction are drawn anew."""
    masks, overlays, images = tmp_path / "masks", tmp_path / "overlays", [tmp_path / "a.jpg"]
    masks.mkdir()
    require_free(overlays, images, masks)
    overlays.mkdir()
    for name in ("b.png", "a.jpg"):
        (overlays / name).touch()
    require_free(overlays, images, masks)
    (overlays / "a.png").touch()
    with pytest.raises(DataError, match=r"overlays holds a\.png, which no prediction wrote, .* choose another folder"):
        require_free(overlays, images, masks)
    write_mask_notes(masks, images, classes)
    require_free(overlays, images, masks)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": 3, "classes": {}}'])
def test_damaged_notes_are_refused(tmp_path, content):
    (tmp_path / "images.json").write_text(content)
    with pytest.raises(DataError, match=r"images\.json cannot be used .*; delete it, or predict again"):
        read_mask_notes(tmp_path)


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_folder_without_masks_is_refused(classes, tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no PNG mask; give the folder that"):
        list(read_masks(tmp_path / place, classes))


def test_masks_of_upper_case_suffix_are_read_and_ghosts_are_not(classes, tmp_path):
    save_mask(MASK, tmp_path / "a.png", classes)
    (tmp_path / "a.png").rename(tmp_path / "a.PNG")
    (tmp_path / "._a.png").write_bytes(b"Mac OS X")
    ((name, mask_HW),) = read_masks(tmp_path, classes)
    assert name == "a"
    np.testing.assert_array_equal(mask_HW, MASK)


@pytest.mark.parametrize(("numbers", "is_refused"), [((0, 255), True), ((0, 1), False), ((0, 1, 255), False)])
def test_255_is_no_word_for_a_class_whose_number_is_1(tmp_path, numbers, is_refused):
    table = ClassTable(names=("rest", "road"), colours=((0, 0, 0), (9, 9, 9)), scored=("road",), ids=(0, 1))
    for number in numbers:
        Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
    told = "1 mask has the number 255, which is void, and none has 1, which is 'road' in the data; write 1 where"
    with pytest.raises(DataError, match=told) if is_refused else nullcontext():
        require_same_meaning(tmp_path, None, table)
    require_same_meaning(tmp_path, table, table)
