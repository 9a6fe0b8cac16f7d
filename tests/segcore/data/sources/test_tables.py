"""What masks mean by what lies beside them; data of one class and everything else is an ordinary case."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segcore.data.dataset import decode_case, read_dataset
from segcore.data.sources.kinds import find_kind
from segcore.data.sources.tables import find_table
from segcore.errors import DataError

ROAD = np.array([[0, 0, 1, 1], [0, 1, 1, 1]], np.uint8)
"""Where the road is."""

MASKS = {
    "0 and 1": Image.fromarray(ROAD),
    "0 and 255": Image.fromarray(ROAD * 255),
    "one bit": Image.fromarray(ROAD.astype(bool)),
    "black and white": Image.fromarray(np.repeat(ROAD[..., None] * 255, 3, axis=2)),
}


def save(folder: Path, mask: Image.Image) -> Path:
    for part in ("images", "masks"):
        (folder / part).mkdir()
    Image.fromarray(np.full((2, 4, 3), 90, np.uint8)).save(folder / "images/a.png")
    mask.save(folder / "masks/a.png")
    return folder / "masks/a.png"


def find_road(folder: Path) -> tuple[list[list[int]], tuple[str, ...]]:
    """Return where the first scored class is, and the names of the classes."""
    dataset = read_dataset(folder)
    mask_HW = decode_case(dataset.cases[0]).mask_HW
    return (mask_HW == dataset.classes.scored_indices[0]).astype(int).tolist(), dataset.classes.names


@pytest.mark.parametrize("kind", MASKS)
def test_one_class_is_read_with_nothing_beside_its_masks(tmp_path, kind):
    save(tmp_path, MASKS[kind])
    road, names = find_road(tmp_path)
    assert road == ROAD.tolist()
    assert names[0] == "background" and len(names) == 2


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("names", ["road\n", "background\nroad\n"])
def test_one_class_is_read_by_a_list_of_names(tmp_path, kind, names):
    save(tmp_path, MASKS[kind])
    (tmp_path / "names.txt").write_text(names, encoding="utf-8")
    assert find_road(tmp_path) == (ROAD.tolist(), ("background", "road"))


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(
    "classes",
    [
        [{"name": "road", "rgb": [255, 255, 255]}],
        [{"name": "road", "rgb": [255, 255, 255]}, {"name": "background", "rgb": [0, 0, 0]}],
        [{"name": "background", "rgb": [0, 0, 0]}, {"name": "road", "rgb": [255, 255, 255]}],
    ],
    ids=["road alone", "road first", "road last"],
)
def test_one_class_is_read_by_a_table_of_colours(tmp_path, kind, classes):
    save(tmp_path, MASKS[kind])
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes, "scored": ["road"]}), encoding="utf-8")
    assert find_road(tmp_path)[0] == ROAD.tolist()


@pytest.mark.parametrize("kind", MASKS)
def test_one_class_is_read_by_a_description(tmp_path, kind):
    save(tmp_path, MASKS[kind])
    said: list[dict[str, Any]] = [{"encoding": "index", "classes": [{"name": "road"}]}]
    number = int(np.asarray(MASKS[kind]).max())
    said.append({"encoding": "index", "classes": [{"name": "road", "ids": [number]}]})
    if number == 255:
        said.append({"encoding": "rgb", "classes": [{"name": "road", "colours": [[255, 255, 255]]}]})
    for one in said:
        content = {"images": "images/{name}.png", "masks": "masks/{name}.png", **one}
        (tmp_path / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
        assert find_road(tmp_path) == (ROAD.tolist(), ("background", "road"))


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("others", ["background", "other"])
@pytest.mark.parametrize("road_first", [True, False])
def test_one_class_is_read_by_a_file_of_colours(tmp_path, kind, others, road_first):
    save(tmp_path, MASKS[kind])
    rows = ["road,255,255,255", f"{others},0,0,0"][:: 1 if road_first else -1]
    (tmp_path / "class_dict.csv").write_text("\n".join(["name,r,g,b", *rows]), encoding="utf-8")
    dataset = read_dataset(tmp_path)
    mask_HW = decode_case(dataset.cases[0]).mask_HW
    assert (mask_HW == dataset.classes.names.index("road")).astype(int).tolist() == ROAD.tolist()


def test_grey_levels_are_read_by_the_grey_colours_that_name_them(tmp_path):
    mask = save(tmp_path, Image.fromarray(np.array([[0, 100, 200]], np.uint8)))
    classes = [{"name": name, "rgb": [level] * 3} for name, level in (("sky", 200), ("road", 100))]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes, "void": [[0, 0, 0]]}), encoding="utf-8")
    table = find_table(tmp_path, [mask])
    assert table.encoding.decode(mask).tolist() == [[255, 1, 0]]
    assert "masks: read by the grey levels, which are the colours of the classes" in table.notes


def _put(folder: Path, numbers: list[list[int]], name: str = "a.png", *, deep: bool = False) -> Path:
    Image.fromarray(np.array(numbers, np.uint16 if deep else np.uint8)).save(folder / name)
    return folder / name


def _put_palette(folder: Path, name: str, numbers: list[list[int]], palette: list[int]) -> Path:
    pixels = np.array(numbers, np.uint8)
    image = Image.new("P", pixels.shape[::-1])
    image.putdata(pixels.ravel().tolist())
    image.putpalette(palette)
    image.save(folder / name)
    return folder / name


def test_numbers_that_nothing_names_are_a_class_each_and_said(tmp_path):
    masks = [_put(tmp_path, [[0, 7]]), _put(tmp_path, [[26000, 255]], "b.png", deep=True)]
    table = find_table(tmp_path, masks)
    assert table.classes.names == ("class_0", "class_7", "class_26000")
    assert table.classes.ids == (0, 7, 26000)
    assert table.encoding.decode(masks[1]).tolist() == [[2, 255]]
    assert table.notes[0].startswith("classes: not named; one for each number in the masks: 0, 7, 26000 (")
    assert table.notes[1] == "masks: numbers, 255 is void"
    assert table.notes[2].startswith("large numbers: up to 26000; if they tell objects apart")


def test_minus_one_in_16_bits_is_void(tmp_path):
    mask = _put(tmp_path, [[0, 1, 2, 65535]], deep=True)
    table = find_table(tmp_path, [mask])
    assert (table.classes.ids, table.encoding.decode(mask).tolist()) == ((0, 1, 2), [[0, 1, 2, 255]])
    assert "65535, which is -1 in 16 bits, is void" in table.notes


@pytest.mark.parametrize("numbers", [[0, 127, 255], [0, 128, 255], [0, 85, 170, 255], [0, 51, 102, 153, 204, 255]])
def test_numbers_spread_evenly_up_to_255_are_grey_levels_of_which_the_last_is_a_class(tmp_path, numbers):
    mask = _put(tmp_path, [numbers])
    table = find_table(tmp_path, [mask])
    assert table.classes.ids == tuple(numbers)
    assert table.encoding.decode(mask).tolist() == [list(range(len(numbers)))]
    assert "masks: numbers; 255 is a class, as they are spread evenly from 0 to it" in table.notes


@pytest.mark.parametrize("numbers", [[0, 1, 255], [0, 100, 255], [0, 85, 255], [0, 1, 2, 3, 255]])
def test_beside_numbers_that_are_spread_otherwise_255_is_void(tmp_path, numbers):
    table = find_table(tmp_path, [_put(tmp_path, [numbers])])
    assert table.classes.ids == tuple(numbers[:-1])
    # Numbers of classes are seldom far from each other.
    assert ("look like grey levels; if 255 is a class" in table.notes[-1]) == (numbers[1] > 1)


def test_names_are_of_the_numbers_in_order_and_a_number_behind_them_is_refused(tmp_path):
    mask = _put(tmp_path, [[0, 1, 2]])
    (tmp_path / "classes.txt").write_text("road\nsky\n\n\n", encoding="utf-8-sig")
    table = find_table(tmp_path, [mask])
    assert table.classes.names == ("road", "sky")
    assert table.notes[0] == "classes: 2, named in classes.txt"
    with pytest.raises(DataError, match="unknown number 2: 1 pixels"):
        table.encoding.decode(mask)


@pytest.mark.parametrize("content", ["26 car\n7 road\n", "# id: name\n26: car\n7: road\n", "26,car\n7\troad\n255 void"])
def test_number_before_each_name_is_that_of_the_masks(tmp_path, content):
    mask = _put(tmp_path, [[7, 26, 255]])
    (tmp_path / "labels.txt").write_text(content)
    table = find_table(tmp_path, [mask])
    assert table.classes.names == ("car", "road")
    assert table.encoding.decode(mask).tolist() == [[1, 0, 255]]


@pytest.mark.parametrize(
    ("called", "indices"),
    [("tram", [0, 1, 2]), ("Ignore region", [0, 1, 255]), ("no data", [0, 1, 255]), ("hood\n255 static", [0, 1, 255])],
)
def test_255_is_a_class_where_a_list_calls_it_one(tmp_path, called, indices):
    mask = _put(tmp_path, [[0, 64, 255]])
    (tmp_path / "names.txt").write_text(f"0 road\n64 car\n255 {called}\n")
    table = find_table(tmp_path, [mask])
    assert table.encoding.decode(mask).tolist() == [indices]
    assert ("255 is tram, and nothing is void" in table.notes[1]) == (called == "tram")


def test_name_that_begins_with_a_number_beside_others_that_do_not_is_a_name(tmp_path):
    (tmp_path / "names.txt").write_text("road\n2 wheeler\n")
    assert find_table(tmp_path, [_put(tmp_path, [[0, 1]])]).classes.names == ("road", "2 wheeler")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("1 road\n1 sky", "number 1 occurs twice"),
        ("\nroad\nsky", "class name '' is blank"),
        ("road\nroad", "class name 'road' occurs twice"),
        ("", "0 classes: a table has 2 to 254; name them, or move the file away"),
        ("\n".join(f"class {number}" for number in range(300)), "300 classes: a table has 2 to 254"),
    ],
)
def test_names_that_cannot_be_a_table_are_refused_with_their_file(tmp_path, content, complaint):
    mask = _put(tmp_path, [[0, 1]])
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(DataError) as caught:
        find_table(tmp_path, [mask])
    assert complaint in str(caught.value) and "names.txt cannot be used" in str(caught.value)


def test_names_in_a_pipe_are_refused_and_not_passed_over(tmp_path):
    mask = _put(tmp_path, [[0, 1]])
    os.mkfifo(tmp_path / "names.txt")
    with pytest.raises(DataError, match=r"names\.txt is no regular file"):
        find_table(tmp_path, [mask])


def test_damaged_masks_do_not_hide_each_other(tmp_path):
    for number in range(4):
        _put(tmp_path, [[0, 1]], f"{number}.png")
    damaged = [tmp_path / "0.png", tmp_path / "2.png"]
    for mask in damaged:
        mask.write_bytes(b"no image")
    table = find_table(tmp_path, sorted(tmp_path.glob("*.png")))
    assert table.classes.ids == (0, 1)
    with pytest.raises(DataError, match=r"0\.png: cannot be decoded"):
        find_table(tmp_path, damaged)


def test_more_numbers_than_classes_can_be_are_refused(tmp_path):
    mask = _put(tmp_path, [list(range(300))], deep=True)
    with pytest.raises(DataError, match="299 different numbers, and at most 254 are classes"):
        find_table(tmp_path, [mask])


def test_jpeg_masks_that_nothing_names_are_refused(tmp_path):
    """Each of their mixtures would be a class."""
    mask_HW = np.zeros((16, 16), np.uint8)
    mask_HW[5:, 3:] = 100
    Image.fromarray(mask_HW).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="1 of 1 mask is JPEG, or compressed like it"):
        find_table(tmp_path, [tmp_path / "a.jpg"])


@pytest.mark.parametrize(("number", "told"), [(0, "the number 0"), (4, "the number 4"), (255, "void, which is 255,")])
def test_masks_of_one_number_are_refused(tmp_path, number, told):
    mask = _put(tmp_path, [[number, number]])
    with pytest.raises(DataError, match=f"Masks have {told} alone, so there is nothing to tell apart"):
        find_table(tmp_path, [mask])


def test_colours_that_nothing_names_are_refused_whatever_names_lie_beside(tmp_path):
    Image.fromarray(np.array([[(1, 2, 3), (4, 5, 6)]], np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "names.txt").write_text("road\nsky\n")
    told = r"masks have colours, and no classes\.json says what they mean \(names\.txt names numbers"
    with pytest.raises(DataError, match=told):
        find_table(tmp_path, [tmp_path / "a.png"])


def test_table_of_colours_and_numbers_reads_masks_of_either(tmp_path):
    classes = [{"name": "road", "rgb": [1, 2, 3], "id": 7}, {"name": "sky", "rgb": [4, 5, 6], "id": 9}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    Image.fromarray(np.array([[(4, 5, 6), (1, 2, 3)]], np.uint8)).save(tmp_path / "colours.png")
    numbers = _put(tmp_path, [[9, 7]], "numbers.png")
    for file in (tmp_path / "colours.png", numbers):
        assert find_table(tmp_path, [file]).encoding.decode(file).tolist() == [[1, 0]]


def test_palette_that_all_share_gives_the_classes_their_colours(tmp_path):
    mask = _put_palette(tmp_path, "a.png", [[0, 1, 255]], [9, 9, 9, 1, 2, 3, *[7] * 762])
    table = find_table(tmp_path, [mask])
    # Where one number is 0 and one is not, 0 is the background.
    assert table.classes.names == ("background", "class_1")
    assert table.classes.colours == ((9, 9, 9), (1, 2, 3))


def test_palette_cut_off_behind_its_last_place_is_the_same(tmp_path):
    palette = [9, 9, 9, 1, 2, 3, 4, 5, 6]
    masks = [
        _put_palette(tmp_path, "a.png", [[0, 1]], palette[:6]),
        _put_palette(tmp_path, "b.png", [[0, 2]], palette),
    ]
    assert find_kind(masks) == ("index", ((9, 9, 9), (1, 2, 3), (4, 5, 6)))


def test_files_with_a_palette_each_of_its_own_hold_colours(tmp_path):
    masks = [
        _put_palette(tmp_path, "a.png", [[0, 1]], [1, 2, 3, 4, 5, 6]),
        _put_palette(tmp_path, "b.png", [[0, 1]], [4, 5, 6, 1, 2, 3]),
    ]
    assert find_kind(masks) == ("rgb", ())
    classes = [{"name": "road", "rgb": [1, 2, 3]}, {"name": "sky", "rgb": [4, 5, 6]}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    table = find_table(tmp_path, masks)
    assert [table.encoding.decode(mask).tolist() for mask in masks] == [[[0, 1]], [[1, 0]]]


def test_palette_is_read_by_the_colours_that_the_table_names(tmp_path):
    mask = _put_palette(tmp_path, "a.png", [[0, 1, 2]], [1, 1, 1, 4, 5, 6, 1, 2, 3])
    classes = [{"name": "road", "rgb": [1, 2, 3]}, {"name": "sky", "rgb": [4, 5, 6]}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes, "void": [[1, 1, 1]]}))
    assert find_table(tmp_path, [mask]).encoding.decode(mask).tolist() == [[255, 1, 0]]


def test_border_of_255_is_void_in_a_palette_too(tmp_path):
    colours = [1, 2, 3, 4, 5, 6] + [0] * 253 * 3 + [224, 224, 192]
    mask = _put_palette(tmp_path, "a.png", [[1, 0, 255]], colours)
    classes = [{"name": "sky", "rgb": [4, 5, 6]}, {"name": "road", "rgb": [1, 2, 3]}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    assert find_table(tmp_path, [mask]).encoding.decode(mask).tolist() == [[0, 1, 255]]


@pytest.mark.parametrize(
    ("palette", "found"),
    [
        # The colours of sky and road, in another order than the table's; that of car is in no mask.
        ([4, 5, 6, 1, 2, 3], [[2, 0]]),
        # Those of another program.
        ([0, 0, 0, 9, 9, 9], [[0, 1]]),
        # Its first place has the colour of the table's first class, so both ways say the same.
        ([1, 2, 3, 9, 9, 9], [[0, 1]]),
    ],
)
def test_palette_without_the_colours_of_some_classes_is_read_by_those_that_occur(tmp_path, palette, found):
    mask = _put_palette(tmp_path, "a.png", [[0, 1]], palette)
    names = {"road": [1, 2, 3], "car": [7, 7, 7], "sky": [4, 5, 6]}
    classes = [{"name": name, "rgb": colour} for name, colour in names.items()]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    assert find_table(tmp_path, [mask]).encoding.decode(mask).tolist() == found


def test_grey_levels_of_which_some_are_classes_of_another_place_are_refused(tmp_path):
    """In the table's order road would be 0, though its grey is 2."""
    mask = _put(tmp_path, [[0, 1, 2]])
    classes = [{"name": name, "rgb": [level] * 3} for name, level in (("road", 2), ("car", 1), ("sky", 200))]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    with pytest.raises(
        DataError, match=r"number 1 of the masks is car.* number 0 no class|number 2 of the masks is road"
    ):
        find_table(tmp_path, [mask])


GREYS = [7, 7, 7, 11, 11, 11, 26, 26, 26]
"""A palette as a program leaves it that makes PNG files of grey levels smaller."""


def test_grey_palettes_beside_grey_levels_are_read_by_their_levels(tmp_path):
    masks = [_put(tmp_path, [[7, 11, 26]]), _put_palette(tmp_path, "b.png", [[2, 0, 1]], GREYS)]
    table = find_table(tmp_path, masks)
    assert table.classes.ids == (7, 11, 26)
    assert [table.encoding.decode(mask).tolist() for mask in masks] == [[[0, 1, 2]], [[2, 0, 1]]]


def test_grey_palettes_each_of_its_own_are_read_by_their_levels(tmp_path):
    masks = [
        _put_palette(tmp_path, "a.png", [[0, 1]], [26, 26, 26, 7, 7, 7]),
        _put_palette(tmp_path, "b.png", [[0, 1]], [7, 7, 7, 26, 26, 26]),
    ]
    (tmp_path / "names.txt").write_text("7 road\n26 car")
    table = find_table(tmp_path, masks)
    assert [table.encoding.decode(mask).tolist() for mask in masks] == [[[1, 0]], [[0, 1]]]


def test_shared_grey_palette_is_read_by_its_levels_where_names_have_those_numbers(tmp_path):
    mask = _put_palette(tmp_path, "a.png", [[0, 1, 2]], GREYS)
    (tmp_path / "names.txt").write_text("7 road\n11 wall\n26 car")
    table = find_table(tmp_path, [mask])
    assert table.encoding.decode(mask).tolist() == [[0, 1, 2]]
    assert table.notes[-1].endswith("they are the grey levels of a palette")
    (tmp_path / "names.txt").write_text("\n".join(f"class {number}" for number in range(27)))
    assert find_table(tmp_path, [mask]).encoding.decode(mask).tolist() == [[7, 11, 26]]


def test_shared_grey_palette_is_read_by_its_places_where_nothing_has_its_levels_and_said(tmp_path):
    mask = _put_palette(tmp_path, "a.png", [[0, 1, 2]], [0, 0, 0, 127, 127, 127, 255, 255, 255])
    assert "shown as the grey levels 0, 127, 255; if these are" in find_table(tmp_path, [mask]).notes[-1]
    (tmp_path / "names.txt").write_text("road\nwall\ncar")
    assert find_table(tmp_path, [mask]).encoding.decode(mask).tolist() == [[0, 1, 2]]


def test_mask_whose_palette_is_unlike_that_of_hundreds_is_refused(tmp_path):
    """A sample cannot find it, and its places mean other classes; colours that no pixel has do not matter."""
    palette = [0, 0, 0, 200, 0, 0, 0, 200, 0]
    masks = [_put_palette(tmp_path, f"{number:03}.png", [[0, 1]], palette) for number in range(600)]
    table = find_table(tmp_path, masks)
    odd = _put_palette(tmp_path, "301.png", [[0, 1]], [0, 0, 0, 0, 200, 0, 200, 0, 0])
    with pytest.raises(DataError, match=r"place 1 of its palette is \(0, 200, 0\), and \(200, 0, 0\) in other masks"):
        table.encoding.decode(odd)
    same = _put_palette(tmp_path, "302.png", [[0, 1]], [0, 0, 0, 200, 0, 0, 9, 9, 9])
    assert table.encoding.decode(same).tolist() == [[0, 1]]


def test_palettes_each_of_its_own_beside_masks_without_one_are_refused(tmp_path):
    masks = [
        _put(tmp_path, [[0, 1]]),
        _put_palette(tmp_path, "b.png", [[0, 1]], [1, 2, 3, 4, 5, 6]),
        _put_palette(tmp_path, "c.png", [[0, 1]], [4, 5, 6, 1, 2, 3]),
    ]
    with pytest.raises(DataError, match="some masks have palettes each of its own, and others have none"):
        find_table(tmp_path, masks)


def test_palette_of_which_some_colours_are_classes_of_another_place_is_refused(tmp_path):
    mask = _put_palette(tmp_path, "a.png", [[0, 1]], [9, 9, 9, 1, 2, 3])
    classes = [{"name": "road", "rgb": [1, 2, 3]}, {"name": "sky", "rgb": [4, 5, 6]}]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    with pytest.raises(DataError, match=r"number 1 of the masks is road, and number 0 no class, \(9, 9, 9\)"):
        find_table(tmp_path, [mask])


def test_file_that_is_no_image_is_refused_by_name(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
        find_table(tmp_path, [tmp_path / "a.png"])


@pytest.mark.parametrize(("first", "told"), [(1, True), (0, False)])
def test_way_out_is_told_where_names_count_from_one(tmp_path, first, told):
    Image.fromarray(np.array([[first, first + 1]], np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "names.txt").write_text(f"{first} wall\n{first + 1} sky\n")
    notes = find_table(tmp_path, [tmp_path / "a.png"]).notes
    way_out = 'if they have 0 too, name it in names.txt, or call it void in a dataset.json: "void": [0, 255]'
    assert any(way_out in note for note in notes) is told


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("names.txt", "wall\nsky\ntree\n", "give each its number in names.txt, as '1 wall'"),
        ("names.txt", "_background_\nsky\ntree\n", ""),
        ("names.txt", "1 wall\n2 sky\n3 tree\n", ""),
        (
            "classes.json",
            json.dumps(
                {"classes": [{"name": name, "rgb": [9, 8, n]} for n, name in enumerate("abc")], "scored": ["a"]}
            ),
            'give each its number in classes.json, as "id": 1',
        ),
    ],
)
def test_order_that_may_count_from_one_is_said_where_no_number_tells(tmp_path, file, content, told):
    Image.fromarray(np.array([[1, 2]], np.uint8)).save(tmp_path / "a.png")
    (tmp_path / file).write_text(content)
    notes = find_table(tmp_path, [tmp_path / "a.png"]).notes
    assert any("if they count from 1, every class is read one off" in note for note in notes) is bool(told)
    assert any(told in note for note in notes)


def test_what_the_table_of_ade20k_does_not_name_is_void(tmp_path):
    save(tmp_path, Image.fromarray(np.array([[0, 1, 2, 255], [0, 0, 1, 1]], np.uint8)))
    rows = ("Idx\tRatio\tTrain\tVal\tStuff\tName", "1\t0.2\t9\t1\t1\twall", "2\t0.1\t9\t1\t0\tbuilding, edifice")
    (tmp_path / "objectInfo150.txt").write_text("\n".join(rows))
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("wall", "building")
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[255, 0, 1, 255], [255, 255, 0, 0]]
    assert (
        "masks: numbers, as objectInfo150.txt gives them; 0, where it names nothing, and 255 are void" in dataset.notes
    )


def test_file_of_colours_in_the_folder_goes_before_a_list_among_the_masks(tmp_path):
    (tmp_path / "masks").mkdir()
    mask = _put(tmp_path / "masks", [[100, 200, 200]])
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nroad,100,100,100\ncar,200,200,200\n")
    (mask.parent / "classes.txt").write_text("dog\ncat\n")
    assert find_table(tmp_path, [mask]).classes.names == ("road", "car")


@pytest.mark.parametrize("listed", ["a.png\nb.png\n", "a\nb\n"])
def test_list_of_the_masks_themselves_names_no_classes(tmp_path, listed):
    (tmp_path / "masks").mkdir()
    masks = [_put(tmp_path / "masks", [[0, 1, 2]], name) for name in ("a.png", "b.png")]
    (masks[0].parent / "labels.txt").write_text(listed)
    assert len(find_table(tmp_path, masks).classes.names) == 3
