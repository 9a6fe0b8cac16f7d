import dataclasses
import json
import re

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from segcore.data.classes import (
    CONTEST_CLASSES,
    VOID,
    class_table_from_json,
    class_table_to_json,
    read_class_table,
)
from segcore.errors import DataError


def test_contest_table_has_the_contests_classes():
    assert len(CONTEST_CLASSES) == 20
    colour_of_name = dict(zip(CONTEST_CLASSES.names, CONTEST_CLASSES.colours, strict=True))
    assert colour_of_name["car"] == (0, 0, 255)
    assert colour_of_name["lane"] == (69, 47, 142)
    assert colour_of_name["own"] == (86, 62, 67)
    assert CONTEST_CLASSES.scored == ("car", "pedestrian", "lane", "signal")
    assert CONTEST_CLASSES.scored_indices == (0, 1, 2, 8)


@given(hnp.arrays(np.uint8, (5, 7), elements=st.integers(0, 19)))
def test_mask_painted_in_class_colours_decodes_to_the_classes(indices_HW):
    mask_HW3 = np.array(CONTEST_CLASSES.colours, np.uint8)[indices_HW]
    np.testing.assert_array_equal(CONTEST_CLASSES.decode_mask(mask_HW3), indices_HW)


def test_void_colour_decodes_to_void(classes):
    mask_HW3 = np.array([[(0, 0, 0), (128, 64, 128), (0, 152, 225)]], np.uint8)
    assert classes.decode_mask(mask_HW3).tolist() == [[VOID, 0, 3]]


def test_unknown_colours_are_named_with_their_pixels_most_frequent_first(classes):
    mask_HW3 = np.full((2, 4, 3), (0, 0, 255), np.uint8)
    mask_HW3[0, :3] = (1, 2, 3)
    # One step from the car's blue: a lookup by a lossy hash would take it for a car.
    mask_HW3[1, 0] = (0, 1, 254)
    with pytest.raises(DataError) as caught:
        classes.decode_mask(mask_HW3)
    assert caught.value.problems == (
        "unknown colour (1, 2, 3): 3 pixels",
        "unknown colour (0, 1, 254): 1 pixels",
    )


def test_list_of_unknown_colours_ends_after_ten(classes):
    mask_HW3 = np.full((1, 13, 3), 7, np.uint8)
    mask_HW3[0, :, 0] = np.arange(13)
    with pytest.raises(DataError) as caught:
        classes.decode_mask(mask_HW3)
    # 13 colours (0, 7, 7) ... (12, 7, 7): ten lines and one for the other three.
    assert len(caught.value.problems) == 11
    assert caught.value.problems[-1] == "and 3 more unknown colours"


def test_palette_paints_classes_and_leaves_the_rest_black(classes):
    palette = classes.palette_N3
    assert palette.shape == (256, 3)
    assert tuple(palette[1]) == (0, 0, 255)
    assert not palette[4:].any()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"names": ("road", "car", "person", "car")}, "class name 'car' occurs twice"),
        ({"colours": ((1, 1, 1), (2, 2, 2), (2, 2, 2), (3, 3, 3))}, r"colour (2, 2, 2) occurs twice"),
        ({"void": ((0, 0, 255),)}, r"colour (0, 0, 255) occurs twice"),
        ({"colours": ((1, 1, 1), (2, 2, 2), (3, 3, 3))}, "4 names but 3 colours"),
        ({"colours": ((1, 1, 1), (2, 2, 2), (3, 3, 3), (256, 0, 0))}, "outside 0..255"),
        ({"scored": ("car", "bus")}, "scored class 'bus' is not among the classes"),
        ({"scored": ("car", "car")}, "scored class 'car' occurs twice"),
        ({"scored": ()}, "no class is scored"),
        ({"names": ("road",), "colours": ((1, 1, 1),), "scored": ("road",)}, "1 classes: a table has 2 to 254"),
    ],
)
def test_table_that_contradicts_itself_is_refused(classes, change, complaint):
    with pytest.raises(DataError, match=re.escape(complaint)):
        dataclasses.replace(classes, **change)


@pytest.mark.parametrize("table_name", ["small", "contest"])
def test_json_gives_the_same_table_back(classes, table_name):
    table = {"small": classes, "contest": CONTEST_CLASSES}[table_name]
    assert class_table_from_json(json.loads(json.dumps(class_table_to_json(table)))) == table


def test_every_class_is_scored_when_the_file_names_none(tmp_path):
    document = {"classes": [{"name": "a", "rgb": [1, 2, 3]}, {"name": "b", "rgb": [4, 5, 6]}]}
    (tmp_path / "classes.json").write_text(json.dumps(document))
    table = read_class_table(tmp_path)
    assert table.scored == ("a", "b")
    assert table.void == ()


def test_folder_without_a_table_has_the_contests_classes(tmp_path):
    assert read_class_table(tmp_path) is CONTEST_CLASSES


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", '{"classes": 3}', '{"classes": [{"name": "a"}]}', '{"classes": [{"name": "a", "rgb": [1, 2]}]}',
        '{"classes": ["a"]}', '{"classes": [{"name": "a", "rgb": 5}]}',
    ],
)  # fmt: skip
def test_unreadable_table_is_named_with_the_form_it_must_have(tmp_path, content):
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(DataError, match=r'classes\.json cannot be read .* it must hold \{"classes"'):
        read_class_table(tmp_path)


def test_contradicting_table_is_named_with_its_problems(tmp_path):
    document = {"classes": [{"name": "a", "rgb": [1, 2, 3]}, {"name": "b", "rgb": [1, 2, 3]}]}
    (tmp_path / "classes.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"classes\.json cannot be used") as caught:
        read_class_table(tmp_path)
    assert caught.value.problems == ("colour (1, 2, 3) occurs twice",)
