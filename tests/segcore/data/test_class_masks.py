"""Masks of one class each become index masks, or nothing is written."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data.class_masks import ClassMasksReport, import_class_masks
from segcore.data.dataset import decode_case, read_dataset
from segcore.errors import DataError, StorageError

IMAGES = "images/{name}.jpg"
MASKS = "masks/{class}/{name}.png"


def put_image(folder: Path, path: str, width: int = 4) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((1, width, 3), 90, np.uint8)).save(folder / path)


def put_mask(folder: Path, path: str, row: list[int], white: int = 255) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([row], np.uint8) * white).save(folder / path)


def put_together(folder: Path, images: str = IMAGES, masks: str = MASKS) -> ClassMasksReport:
    return import_class_masks(folder / "in", images, masks, folder / "out", lambda done, total: None)


def refuse(folder: Path, images: str = IMAGES, masks: str = MASKS) -> str:
    with pytest.raises(DataError) as refused:
        put_together(folder, images, masks)
    assert not (folder / "out").exists() and list(folder.glob("out.*")) == []
    return str(refused.value)


def decode(folder: Path) -> dict[str, list[int]]:
    cases = read_dataset(folder / "out").cases
    return {case.name: decode_case(case).mask_HW[0].tolist() for case in cases}


def test_classes_are_numbered_in_their_names_order_after_the_background(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    put_mask(tmp_path, "in/masks/road/a.png", [0, 0, 1, 1], white=1)
    put_mask(tmp_path, "in/masks/car/a.png", [0, 1, 0, 0])
    report = put_together(tmp_path)
    assert decode(tmp_path) == {"a": [0, 1, 2, 2]}
    assert read_dataset(tmp_path / "out").classes.names == ("background", "car", "road")
    assert report.pixels == {0: 1, 1: 1, 2: 2} and report.images_of == {0: 1, 1: 1, 2: 1}
    assert report.overlapping == 0 and (tmp_path / "out/images/a.jpg").is_file()


def test_of_classes_that_overlap_the_smaller_of_all_images_is_on_top_in_each(tmp_path):
    """In image b the road is the smaller one, and in all masks it has 4 pixels, the car 3."""
    for name, road, car in (("a", [1, 1, 1, 0], [0, 0, 1, 0]), ("b", [0, 1, 0, 0], [0, 1, 1, 0])):
        put_image(tmp_path, f"in/images/{name}.jpg")
        put_mask(tmp_path, f"in/masks/road/{name}.png", road)
        put_mask(tmp_path, f"in/masks/car/{name}.png", car)
    assert put_together(tmp_path).overlapping == 2
    assert decode(tmp_path) == {"a": [2, 2, 1, 0], "b": [0, 1, 1, 0]}


def test_where_every_pixel_has_a_class_there_is_no_background(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    for name, row in (("car", [1, 1, 0, 0]), ("road", [0, 0, 1, 0]), ("ignore", [0, 0, 0, 1])):
        put_mask(tmp_path, f"in/masks/{name}/a.png", row)
    put_together(tmp_path)
    assert read_dataset(tmp_path / "out").classes.names == ("car", "road")
    assert decode(tmp_path) == {"a": [0, 0, 1, 255]}


def test_what_is_called_void_lies_above_all_and_background_below(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    put_mask(tmp_path, "in/masks/void/a.png", [1, 1, 1, 0])
    put_mask(tmp_path, "in/masks/background/a.png", [0, 1, 1, 1])
    put_mask(tmp_path, "in/masks/car/a.png", [0, 0, 1, 1])
    report = put_together(tmp_path)
    assert decode(tmp_path) == {"a": [255, 255, 255, 1]} and report.void == ("void",)


@pytest.mark.parametrize(
    ("masks", "path"),
    [
        ("masks/{name}_{class}.png", "masks/{}_{}.png"),
        ("masks/{name}/{class}.png", "masks/{}/{}.png"),
        ("{class}/{name}.png", "{1}/{0}.png"),
        ("masks_{class}/{name}.*", "masks_{1}/{0}.png"),
    ],
)
def test_the_class_may_stand_anywhere_in_the_path(tmp_path, masks, path):
    put_image(tmp_path, "in/images/day_1.jpg")
    put_mask(tmp_path, "in/" + path.format("day_1", "traffic_light"), [0, 1, 1, 0])
    put_together(tmp_path, masks=masks)
    assert decode(tmp_path) == {"day_1": [0, 1, 1, 0]}
    assert read_dataset(tmp_path / "out").classes.names == ("background", "traffic_light")


def test_images_and_masks_may_lie_side_by_side_and_say_facts(tmp_path):
    for side in ("train", "val"):
        put_image(tmp_path, f"in/{side}/a.png")
        put_mask(tmp_path, f"in/{side}/a_car.png", [0, 1, 0, 0])
    put_together(tmp_path, "{split}/{name}.png", "{split}/{name}_{class}.png")
    assert {case.name: case.split for case in read_dataset(tmp_path / "out").cases} == {
        "train_a": "train",
        "val_a": "val",
    }


def test_an_image_without_any_mask_is_left_out_and_one_without_some_has_not_these_classes(tmp_path):
    for name in "abc":
        put_image(tmp_path, f"in/images/{name}.jpg")
    put_mask(tmp_path, "in/masks/car/a.png", [1, 0, 0, 0])
    put_mask(tmp_path, "in/masks/road/a.png", [0, 1, 0, 0])
    put_mask(tmp_path, "in/masks/road/b.png", [0, 0, 0, 0])
    assert put_together(tmp_path).bare == 1
    assert decode(tmp_path) == {"a": [1, 2, 0, 0], "b": [0, 0, 0, 0]}


def test_masks_of_objects_of_a_class_are_united_where_a_star_tells_them_apart(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    put_mask(tmp_path, "in/masks/a_car_0.png", [1, 0, 0, 0])
    put_mask(tmp_path, "in/masks/a_car_1.png", [1, 1, 0, 0])
    put_mask(tmp_path, "in/masks/a_road_0.png", [0, 0, 0, 1])
    report = put_together(tmp_path, masks="masks/{name}_{class}_*.png")
    assert decode(tmp_path) == {"a": [1, 1, 0, 2]}
    assert report.names == {0: "background", 1: "car", 2: "road"} and report.pixels == {0: 1, 1: 2, 2: 1}
    # Objects of one class may cover each other.
    assert report.overlapping == 0


def test_every_mask_of_objects_that_cannot_be_used_is_told(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    put_mask(tmp_path, "in/masks/a_car_0.png", [1, 0, 0])
    put_mask(tmp_path, "in/masks/a_car_1.png", [1, 0, 0, 0, 0])
    told = refuse(tmp_path, masks="masks/{name}_{class}_*.png")
    assert "class 'car': a_car_0.png: 3x1 pixels, but a.jpg has 4x1" in told and "a_car_1.png: 5x1 pixels" in told


def test_two_masks_of_a_class_are_refused_where_no_star_tells_them_apart(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    for suffix in ("png", "bmp"):
        put_mask(tmp_path, f"in/masks/car/a.{suffix}", [1, 0, 0, 0])
    assert "{name} 'a' and {class} 'car', as a.bmp; remove one" in refuse(tmp_path, masks="masks/{class}/{name}.*")


def test_a_mask_of_more_colours_is_none_of_one_class(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    put_mask(tmp_path, "in/masks/car/a.png", [0, 1, 2, 2], white=100)
    assert "class 'car': a.png: has 3 values (200, " in refuse(tmp_path)
    put_mask(tmp_path, "in/masks/car/a.png", [1, 2, 2, 2], white=100)
    assert "class 'car': a.png: has 2 values" in refuse(tmp_path)


@pytest.mark.parametrize("row", [[0, 1, 1, 0], [0, 65535, 65535, 0]])
def test_masks_of_16_bits_and_of_a_palette_are_read(tmp_path, row):
    put_image(tmp_path, "in/images/a.jpg")
    (tmp_path / "in/masks/car").mkdir(parents=True)
    Image.fromarray(np.array([row], np.uint16)).save(tmp_path / "in/masks/car/a.png")
    picture = Image.fromarray(np.array([[1, 0, 0, 0]], np.uint8))
    picture.putpalette([0, 0, 0, 9, 200, 9])
    (tmp_path / "in/masks/road").mkdir()
    picture.save(tmp_path / "in/masks/road/a.png")
    put_together(tmp_path)
    assert decode(tmp_path) == {"a": [2, 1, 1, 0]}


def test_masks_that_are_all_black_say_nothing(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    put_mask(tmp_path, "in/masks/car/a.png", [0, 0, 0, 0])
    assert "are black" in refuse(tmp_path)


def test_every_mask_that_does_not_fit_is_named_and_nothing_is_written(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    put_mask(tmp_path, "in/masks/car/a.png", [0, 1, 0])
    put_mask(tmp_path, "in/masks/road/a.png", [0, 1])
    told = refuse(tmp_path)
    assert "class 'car': a.png: 3x1 pixels, but a.jpg has 4x1" in told and "class 'road': a.png: 2x1" in told
    put_mask(tmp_path, "in/masks/car/b.png", [0, 1, 0])
    assert "masks/car/b.png: a mask without an image" in refuse(tmp_path)


def test_a_folder_without_such_files_is_refused(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    assert "there is no folder" in refuse(tmp_path)
    put_mask(tmp_path, "in/masks/background/a.png", [0, 1, 0, 0])
    assert "0 classes beside background and void" in refuse(tmp_path)


def test_images_are_no_masks(tmp_path):
    put_image(tmp_path, "in/images/a.png")
    assert "no file fits but the images" in refuse(tmp_path, "images/{name}.png", "{class}/{name}.png")


def test_a_folder_that_holds_something_is_not_written_to(tmp_path):
    put_image(tmp_path, "in/images/a.jpg")
    put_mask(tmp_path, "in/masks/car/a.png", [0, 1, 0, 0])
    put_together(tmp_path)
    with pytest.raises(StorageError, match="holds something already"):
        put_together(tmp_path)
