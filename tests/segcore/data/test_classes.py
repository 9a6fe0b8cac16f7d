import dataclasses
import json
import os
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
    count_indices,
    read_class_table,
)
from segcore.data.encoding import encoding_of
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
    np.testing.assert_array_equal(encoding_of(CONTEST_CLASSES).decode_pixels(mask_HW3), indices_HW)


def test_void_colour_decodes_to_void(classes):
    mask_HW3 = np.array([[(0, 0, 0), (128, 64, 128), (0, 152, 225)]], np.uint8)
    assert encoding_of(classes).decode_pixels(mask_HW3).tolist() == [[VOID, 0, 3]]


def test_unknown_colours_are_named_with_their_pixels_most_frequent_first(classes):
    mask_HW3 = np.full((2, 4, 3), (0, 0, 255), np.uint8)
    mask_HW3[0, :3] = (1, 2, 3)
    # One step from the car's blue: a lookup by a lossy hash would take it for a car.
    mask_HW3[1, 0] = (0, 1, 254)
    with pytest.raises(DataError) as caught:
        encoding_of(classes).decode_pixels(mask_HW3)
    assert caught.value.problems == (
        "unknown colour (1, 2, 3): 3 pixels",
        "unknown colour (0, 1, 254): 1 pixels",
    )


def test_list_of_unknown_colours_ends_after_ten(classes):
    mask_HW3 = np.full((1, 13, 3), 7, np.uint8)
    mask_HW3[0, :, 0] = np.arange(13)
    with pytest.raises(DataError) as caught:
        encoding_of(classes).decode_pixels(mask_HW3)
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
        ({"names": ("road", "", "person", "sky")}, "class name '' is blank; give it letters"),
        ({"names": ("road", "car", "person", "\x1b[31msky")}, r"class name '\x1b[31msky' holds a control character"),
        ({"names": ("road", "c" * 101, "person", "sky")}, "has 101 characters; use at most 100"),
        ({"names": ("road", "car", "\u00e9", "e\u0301")}, r"class names '\xe9' and 'e\u0301' look alike; rename one"),
        ({"names": ("road", "car", "person", "(void)")}, "class name '(void)' stands for pixels without a class"),
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


TWO = '"classes": [{"name": "a", "rgb": [1, 2, 3]}, {"name": "b", "rgb": [4, 5, 6]}]'


@pytest.mark.parametrize("content", ["{", "[" * 100_000, b"\xff", f'{{"scored": ["a"], {TWO}, "scored": ["b"]}}'])
def test_unreadable_table_is_named_with_the_form_it_must_have(tmp_path, content):
    (tmp_path / "classes.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=r'classes\.json cannot be read .* a table is \{"classes"'):
        read_class_table(tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "[] is no object"),
        ("{}", "'classes' is missing"),
        ('{"classes": 3}', "classes is 3, not a list"),
        ('{"classes": ["a"]}', """classes[0] is 'a', not {"name": ..., "rgb": [...]}"""),
        ('{"classes": [{"name": "a"}]}', """classes[0] is {'name': 'a'}, not {"name": ..., "rgb": [...]}"""),
        ('{"classes": [{"name": null, "rgb": [1, 2, 3]}]}', "classes[0] name is None, not a text"),
        ('{"classes": [{"name": "a", "rgb": [1, 2]}]}', "classes[0] rgb is [1, 2], not three whole numbers"),
        ('{"classes": [{"name": "a", "rgb": 5}]}', "classes[0] rgb is 5, not three whole numbers"),
        (
            '{"classes": [{"name": "a", "rgb": [1e400, 0, 0]}]}',
            "classes[0] rgb is [inf, 0, 0], not three",
        ),
        (
            '{"classes": [{"name": "a", "rgb": [true, 0, 0]}]}',
            "classes[0] rgb is [True, 0, 0], not three",
        ),
        (f'{{{TWO}, "scored": "ab"}}', "scored is 'ab', not a list"),
        (f'{{{TWO}, "scored": [null]}}', "scored[0] is None, not a text"),
        (f'{{{TWO}, "void": [0, 0, 0]}}', "void[0] is 0, not three whole numbers"),
        (f'{{{TWO}, "scord": ["a"]}}', "'scord' is no key of a class table"),
    ],
)
def test_table_of_another_form_is_named_with_place_and_form(tmp_path, content, problem):
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(DataError, match=r"classes\.json cannot be used") as caught:
        read_class_table(tmp_path)
    assert caught.value.problems[0].startswith(problem)
    assert caught.value.problems[-1].startswith('a table is {"classes": [{"name": "car"')


def test_table_that_a_pipe_would_give_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "classes.json")
    with pytest.raises(DataError, match=r"classes\.json is no regular file"):
        read_class_table(tmp_path)


def test_table_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "classes.json").write_text(f"{{{TWO}}}", encoding="utf-8-sig")
    assert read_class_table(tmp_path).names == ("a", "b")


def test_huge_table_says_its_size_alone(tmp_path):
    classes = [{"name": f"class {number}", "rgb": [0, 0, 0]} for number in range(50_000)]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    with pytest.raises(DataError) as caught:
        read_class_table(tmp_path)
    assert caught.value.problems == ("50000 classes: a table has 2 to 254",)


def test_list_of_problems_ends_after_fifty(classes):
    with pytest.raises(DataError) as caught:
        dataclasses.replace(classes, scored=tuple(f"class {number}" for number in range(50_000)))
    assert len(caught.value.problems) == 50


def test_names_that_a_path_would_read_otherwise_are_fine(classes):
    names = ("..", "a//b", "a/../b", "[red]")
    table = dataclasses.replace(classes, names=names, scored=names)
    assert class_table_from_json(class_table_to_json(table)) == table


def test_contradicting_table_is_named_with_its_problems(tmp_path):
    document = {"classes": [{"name": "a", "rgb": [1, 2, 3]}, {"name": "b", "rgb": [1, 2, 3]}]}
    (tmp_path / "classes.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"classes\.json cannot be used") as caught:
        read_class_table(tmp_path)
    assert caught.value.problems == ("colour (1, 2, 3) occurs twice",)


def test_soft_borders_are_named_as_such_with_their_share(classes):
    mask_HW3 = np.full((10, 100, 3), (0, 0, 255), np.uint8)
    # Twelve mixtures of red and blue on 24 of 1000 pixels.
    mask_HW3[0, :24, 0] = np.arange(24) // 2 + 1
    with pytest.raises(DataError) as caught:
        encoding_of(classes).decode_pixels(mask_HW3)
    (problem,) = caught.value.problems
    assert problem.startswith(
        "soft borders: 12 colours that are in no class on 2.40% of the pixels (24), "
        "such as (1, 0, 255), (2, 0, 255), (3, 0, 255); "
    )
    assert problem.endswith("save it as PNG")


def test_more_colours_than_a_table_can_have_are_soft_borders_whatever_their_share(classes):
    mask_HW3 = np.full((1, 255, 3), 7, np.uint8)
    mask_HW3[0, :, 0] = np.arange(255)
    with pytest.raises(DataError, match=r"soft borders: 255 colours .* 100\.00%"):
        encoding_of(classes).decode_pixels(mask_HW3)


def test_mask_decoded_by_bands_has_the_same_indices_and_counts(classes):
    # 2500 x 2000 are more than one band.
    expected_HW = np.random.default_rng(0).integers(0, 4, (2500, 2000), np.uint8)
    indices_HW = encoding_of(classes).decode_pixels(classes.palette_N3[expected_HW])
    np.testing.assert_array_equal(indices_HW, expected_HW)
    np.testing.assert_array_equal(count_indices(indices_HW), np.bincount(expected_HW.ravel(), minlength=256))
    unknown_HW3 = np.full((2500, 2000, 3), 7, np.uint8)
    with pytest.raises(DataError, match=r"unknown colour \(7, 7, 7\): 5000000 pixels"):
        encoding_of(classes).decode_pixels(unknown_HW3)
