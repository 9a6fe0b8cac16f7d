"""What masks mean by what lies beside them; data of one class and everything else is an ordinary case."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segcore.data.dataset import decode_case, read_dataset
from segcore.data.sources.tables import find_table

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


def test_grey_levels_are_read_by_the_grey_colours_that_name_them(tmp_path):
    mask = save(tmp_path, Image.fromarray(np.array([[0, 100, 200]], np.uint8)))
    classes = [{"name": name, "rgb": [level] * 3} for name, level in (("sky", 200), ("road", 100))]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": classes, "void": [[0, 0, 0]]}), encoding="utf-8")
    table = find_table(tmp_path, [mask])
    assert table.encoding.decode(mask).tolist() == [[255, 1, 0]]
    assert "masks: read by the grey levels, which are the colours of the classes" in table.notes
