"""A first `dataset.json`: names where something says them, else names to fill in; it can be read as it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data.dataset import decode_case, read_dataset
from segcore.data.sources.draft import Draft, draft_description, save_draft
from segcore.data.sources.mask_values import count_values
from segcore.data.sources.match import Patterns

PATTERNS = Patterns(images="photos/{name}.png", masks="truth/{name}.png")


def write(folder: Path, mask: Image.Image) -> Draft:
    for part in ("photos", "truth"):
        (folder / part).mkdir()
    Image.new("RGB", mask.size).save(folder / "photos/a.png")
    mask.save(folder / "truth/a.png")
    masks = [folder / "truth/a.png"]
    draft = draft_description(folder, PATTERNS, count_values(masks, lambda done, total: None), masks)
    save_draft(draft, folder)
    return draft


def decode(folder: Path) -> tuple[tuple[str, ...], list[list[int]]]:
    dataset = read_dataset(folder)
    return dataset.classes.names, decode_case(dataset.cases[0]).mask_HW.tolist()


def test_numbers_that_nobody_names_have_names_to_fill_in(tmp_path):
    draft = write(tmp_path, Image.fromarray(np.array([[3, 7, 9, 255]], np.uint8)))
    assert draft.unnamed == 3 and draft.source == ""
    assert decode(tmp_path) == (("TODO_class_3", "TODO_class_7", "TODO_class_9"), [[0, 1, 2, 255]])
    assert json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))["void"] == [255]


def test_minus_one_in_16_bits_is_void(tmp_path):
    draft = write(tmp_path, Image.fromarray(np.array([[1, 2, 65535]], np.uint16)))
    assert draft.void == (65535,)
    assert decode(tmp_path) == (("TODO_class_1", "TODO_class_2"), [[0, 1, 255]])


def test_names_of_a_list_are_taken_even_of_classes_that_do_not_occur(tmp_path):
    (tmp_path / "names.txt").write_text("sky\nroad\ncar\n", encoding="utf-8")
    draft = write(tmp_path, Image.fromarray(np.array([[0, 2, 5]], np.uint8)))
    assert draft.source == "names.txt"
    assert decode(tmp_path) == (("sky", "road", "car", "TODO_class_5"), [[0, 2, 3]])


def test_a_table_of_colours_names_colours_and_void(tmp_path):
    table = {"classes": [{"name": "car", "rgb": [0, 0, 9]}, {"name": "sky", "rgb": [1, 1, 1]}], "void": [[0, 0, 0]]}
    (tmp_path / "classes.json").write_text(json.dumps(table), encoding="utf-8")
    mask = np.array([[[0, 0, 0], [0, 0, 9], [1, 1, 1], [5, 6, 7]]], np.uint8)
    draft = write(tmp_path, Image.fromarray(mask))
    assert draft.unnamed == 1
    assert decode(tmp_path) == (("car", "sky", "TODO_class_5_6_7"), [[255, 0, 1, 2]])


@pytest.mark.parametrize("value", [1, 255])
def test_of_two_numbers_0_is_the_background(tmp_path, value):
    write(tmp_path, Image.fromarray(np.array([[0, value]], np.uint8)))
    assert decode(tmp_path) == (("background", f"TODO_class_{value}"), [[0, 1]])
    assert read_dataset(tmp_path).classes.scored == (f"TODO_class_{value}",)


def test_the_colours_of_a_palette_are_kept(tmp_path):
    mask = Image.fromarray(np.array([[0, 1, 255]], np.uint8), mode="P")
    mask.putpalette([10, 20, 30, 200, 100, 0] + [7] * (254 * 3))
    draft = write(tmp_path, mask)
    assert draft.content["encoding"] == "palette"
    assert read_dataset(tmp_path).classes.colours == ((10, 20, 30), (200, 100, 0))


def test_a_file_to_edit_has_a_class_on_each_line(tmp_path):
    write(tmp_path, Image.fromarray(np.array([[3, 7]], np.uint8)))
    lines = (tmp_path / "dataset.json").read_text(encoding="utf-8").splitlines()
    told = [line.split(",")[0].strip() for line in lines if "ids" in line]
    assert told == ['{"name": "TODO_class_3"', '{"name": "TODO_class_7"']
