import json

import pytest

from segcore.data.dataset import decode_case, read_dataset, scan_dataset
from segcore.errors import DataError


def _label(name, colour, *, evaluate=True, readable=""):
    return {"name": f"x--{name}", "readable": readable or name, "evaluate": evaluate, "color": colour}


LABELS = [
    _label("Road", [128, 64, 128]),
    _label("Ego Vehicle", [120, 10, 10], evaluate=False),
    _label("Car", [0, 0, 142]),
    _label("Unlabeled", [0, 0, 0], evaluate=False),
]

PALETTE = [part for place in range(256) for part in (place, 0, 0)]


@pytest.fixture
def put_street(put_pair, tmp_path):
    """Return a function that writes an image and its mask, and the configuration that the mask belongs to."""

    def put_street(side, name, numbers, labels="labels", config="config.json", names=LABELS):
        image = tmp_path / side / "images" / f"{name}.jpg"
        put_pair(image, tmp_path / side / labels / f"{name}.png", numbers, palette=PALETTE)
        (tmp_path / config).write_text(json.dumps({"labels": names, "version": "1.2"}))

    return put_street


def test_numbers_are_places_in_the_labels_and_what_is_not_evaluated_is_void(put_street, tmp_path):
    put_street("training", "a", [[0, 1, 2, 3]])
    put_street("validation", "b", [[2, 2]])
    dataset = read_dataset(tmp_path)
    assert dataset.layout == "mapillary"
    assert dataset.classes.names == ("Road", "Car")
    assert dataset.classes.ids == (0, 2)
    assert dataset.classes.colours == ((128, 64, 128), (0, 0, 142))
    assert [(case.name, case.split, case.group, case.frame) for case in dataset.cases] == [
        ("a", "train", "all", None), ("b", "val", "all", None)
    ]  # fmt: skip
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 255, 1, 255]]
    assert "classes: 2, evaluated by config.json; its 2 others are void" in dataset.notes


@pytest.mark.parametrize("number", [4, 255])
def test_number_behind_the_last_label_is_refused(put_street, tmp_path, number):
    put_street("training", "a", [[0, number]])
    with pytest.raises(DataError, match=f"unknown number {number}: 1 pixels"):
        decode_case(read_dataset(tmp_path).cases[0])


def test_newest_version_is_taken_and_the_other_said_and_had_by_name(put_street, tmp_path):
    put_street("training", "a", [[0, 2]], "v1.2/labels", "config_v1.2.json")
    more = [*LABELS, _label("Curb", [1, 1, 1])]
    put_street("training", "a", [[4, 2]], "v2.0/labels", "config_v2.0.json", more)
    newest = read_dataset(tmp_path)
    assert newest.classes.names == ("Road", "Car", "Curb")
    assert decode_case(newest.cases[0]).mask_HW.tolist() == [[2, 1]]
    assert "left out: the masks of v1.2; --layout mapillary-v1.2 takes them" in newest.notes
    older = read_dataset(tmp_path, "mapillary-v1.2")
    assert older.classes.names == ("Road", "Car")
    assert decode_case(older.cases[0]).mask_HW.tolist() == [[0, 1]]
    assert "left out: the masks of v2.0" in older.notes


def test_one_version_is_recognised_whichever_it_is(put_street, tmp_path):
    put_street("training", "a", [[0, 2]], "labels", "config_v1.2.json")
    assert [note for note in read_dataset(tmp_path).notes if "left out" in note] == []
    with pytest.raises(DataError, match=r"has not the layout mapillary-v1\.2"):
        (tmp_path / "config_v1.2.json").rename(tmp_path / "config_v2.0.json")
        read_dataset(tmp_path, "mapillary-v1.2")


def test_images_without_masks_of_the_version_are_left_out_and_said(put, put_street, tmp_path):
    put_street("training", "a", [[0, 2]], "v2.0/labels", "config_v2.0.json")
    put(tmp_path / "validation" / "images" / "b.jpg")
    put(tmp_path / "testing" / "images" / "c.jpg")
    assert [note for note in read_dataset(tmp_path).notes if note.startswith("left out")] == [
        "left out: validation/, which has no masks of v2.0",
        "left out: testing/, which has no masks of v2.0",
    ]


def test_names_that_a_person_reads_are_taken_unless_two_are_equal(put_street, tmp_path):
    labels = [_label("a", [1, 1, 1], readable="Same"), _label("b", [1, 1, 1], readable="Same"), _label("c", [2, 2, 2])]
    put_street("training", "a", [[0, 1, 2]], names=labels)
    table = read_dataset(tmp_path).classes
    assert table.names == ("x--a", "x--b", "x--c")
    # Of two equal colours one is another now: masks are numbers.
    assert (table.colours[0], table.colours[2]) == ((1, 1, 1), (2, 2, 2))
    assert len(set(table.colours)) == 3


@pytest.mark.parametrize(
    "labels", ["x", [3], [{"name": "a"}], [{**LABELS[0], "color": [1, 2]}], [{**LABELS[0], "evaluate": "yes"}]]
)
def test_configuration_of_another_form_is_named(put_street, tmp_path, labels):
    put_street("training", "a", [[0, 2]], "labels", "config_v1.2.json")
    (tmp_path / "config_v1.2.json").write_text(json.dumps({"labels": labels}))
    with pytest.raises(DataError, match=r"config_v1\.2\.json is no configuration of Mapillary Vistas; its form is"):
        scan_dataset(tmp_path)


def test_configuration_that_cannot_be_a_table_is_named(put_street, tmp_path):
    put_street("training", "a", [[0, 2]], "labels", "config_v1.2.json", [_label("Road", [1, 2, 3])])
    with pytest.raises(DataError, match=r"config_v1\.2\.json cannot be used:\n  - 1 class: a table has 2 to 254"):
        scan_dataset(tmp_path)


def test_config_json_of_another_program_makes_no_mapillary(put_pair, tmp_path):
    put_pair(tmp_path / "train" / "images" / "a.png", tmp_path / "train" / "labels" / "a.png")
    put_pair(tmp_path / "training" / "images" / "a.png", tmp_path / "training" / "labels" / "a.png")
    (tmp_path / "config.json").write_text('{"learning_rate": 0.1}')
    with pytest.raises(DataError, match="has not the layout mapillary"):
        read_dataset(tmp_path, "mapillary")
