import dataclasses
import json
import os
import re

import pytest

from segcore.data.classes import (
    CONTEST_CLASSES,
    class_table_from_json,
    class_table_to_json,
    find_class_table,
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
        ({"names": ("road",), "colours": ((1, 1, 1),), "scored": ("road",)}, "1 class: a table has 2 to 254"),
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
    table = find_class_table(tmp_path)
    assert table.scored == ("a", "b")
    assert table.void == ()


def test_folder_without_a_table_has_none(tmp_path):
    assert find_class_table(tmp_path) is None


TWO = '"classes": [{"name": "a", "rgb": [1, 2, 3]}, {"name": "b", "rgb": [4, 5, 6]}]'


@pytest.mark.parametrize("content", ["{", "[" * 100_000, b"\xff", f'{{"scored": ["a"], {TWO}, "scored": ["b"]}}'])
def test_unreadable_table_is_named_with_the_form_it_must_have(tmp_path, content):
    (tmp_path / "classes.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=r'classes\.json cannot be read .* a table is \{"classes"'):
        find_class_table(tmp_path)


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
        find_class_table(tmp_path)
    assert caught.value.problems[0].startswith(problem)
    assert caught.value.problems[-1].startswith('a table is {"classes": [{"name": "car"')


def test_table_that_a_pipe_would_give_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "classes.json")
    with pytest.raises(DataError, match=r"classes\.json is no regular file"):
        find_class_table(tmp_path)


def test_table_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "classes.json").write_text(f"{{{TWO}}}", encoding="utf-8-sig")
    assert find_class_table(tmp_path).names == ("a", "b")


def test_huge_table_says_its_size_alone(tmp_path):
    classes = [{"name": f"class {number}", "rgb": [0, 0, 0]} for number in range(50_000)]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes}))
    with pytest.raises(DataError) as caught:
        find_class_table(tmp_path)
    assert caught.value.problems == (
        "50,000 classes: a table has 2 to 254; make several one class by their 'ids' in a dataset.json",
    )


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
        find_class_table(tmp_path)
    assert caught.value.problems == ("colour (1, 2, 3) occurs twice",)


def test_a_link_that_leads_nowhere_is_not_taken_for_no_table(tmp_path):
    (tmp_path / "classes.json").symlink_to(tmp_path / "gone.json")
    with pytest.raises(DataError, match=r"classes\.json is no regular file"):
        find_class_table(tmp_path)
