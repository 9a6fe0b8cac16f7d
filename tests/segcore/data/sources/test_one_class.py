"""Masks of one class each are noticed where one folder of them would be read as all that there is."""

from collections import Counter
from pathlib import Path

import pytest

from segcore.data.sources.mask_values import MaskValues
from segcore.data.sources.match import Patterns
from segcore.data.sources.one_class import doubt_class_masks, find_class_masks, tell_ambiguous

OF_CARS = Patterns(images="images/{name}.png", masks="masks/car/{name}.png")


def save(put, folder: Path, *paths: str) -> None:
    for path in ("images/a.png", "images/b.png", *paths):
        put(folder / path)


def counted(*values: int) -> MaskValues:
    return MaskValues(kind="index", palette=(), pixels=Counter(values), images=Counter(values), masks=2)


@pytest.mark.parametrize(
    ("paths", "masks", "told"),
    [
        (("masks/car/a.png", "masks/road/b.png"), "masks/car/{name}.png", "masks/{class}/{name}.png"),
        (("masks/car/a.png", "masks/road/b.png"), "masks/**/{name}.png", "masks/{class}/{name}.png"),
        (("car/a.png", "road/b.png"), "car/{name}.png", "{class}/{name}.png"),
        (("masks_car/a.png", "masks_road/b.png"), "masks_car/{name}.png", "masks_{class}/{name}.png"),
        (("masks/a_L.png", "masks/b_R.png"), "masks/{name}_L.png", "masks/{name}_{class}.png"),
        (("masks/a_mask.png", "masks/a_overlay.png"), "masks/{name}_mask.png", None),
        (("masks/car/a.png",), "masks/car/{name}.png", None),
        (("masks/car/a.png", "masks/road/x.png"), "masks/car/{name}.png", None),
        (("masks/a.png", "colormaps/a.png"), "masks/{name}.png", None),
    ],
)
def test_folders_with_masks_of_the_same_images_may_be_classes(put, tmp_path, paths, masks, told):
    save(put, tmp_path, *paths)
    found = find_class_masks(tmp_path, Patterns(images="images/{name}.png", masks=masks))
    assert (found and found.masks) == told


def test_masks_of_more_than_two_values_have_all_classes(put, tmp_path):
    save(put, tmp_path, "masks/car/a.png", "masks/road/a.png")
    assert list(doubt_class_masks(tmp_path, OF_CARS, counted(0, 1, 2))) == []
    (doubt,) = doubt_class_masks(tmp_path, OF_CARS, counted(0, 255))
    assert "(car, road)" in doubt and "--masks 'masks/{class}/{name}.png'" in doubt


def test_folders_that_are_no_classes_are_not_called_so(put, tmp_path):
    save(put, tmp_path, "labels/road/masks/a.png", "labels/lanes/masks/a.png", "labels/all/bits/a.png")
    paths = ("labels/road/masks", "labels/lanes/masks", "labels/all/bits")
    found = [Patterns(images="images/{name}.png", masks=f"{path}/{{name}}.png") for path in paths]
    assert list(tell_ambiguous(tmp_path, found)) == []
    assert len(list(tell_ambiguous(tmp_path, found[:2]))) == 1
