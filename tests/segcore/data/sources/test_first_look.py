"""Images and masks are found in folders of any names, and nothing is taken where several answers are as good."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data.sources.first_look import find_patterns
from segcore.data.sources.patterns import find_files
from segcore.errors import DataError


def save_photo(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)


def save_mask(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.eye(64, dtype=np.uint8)).save(file)


def find(folder: Path) -> tuple[str, str]:
    patterns = find_patterns(folder)
    return patterns.images, patterns.masks


def test_the_folders_may_have_any_names(tmp_path):
    for name in "abc":
        save_photo(tmp_path / f"daten/fotos/{name}.jpg")
        save_mask(tmp_path / f"daten/wahrheit/{name}_L.png")
    save_photo(tmp_path / "more/a.jpg")
    assert find(tmp_path) == ("daten/fotos/{name}.jpg", "daten/wahrheit/{name}_L.png")


@pytest.mark.parametrize(
    "side",
    [
        ("{}/photos", "{}/truth"),
        ("photos/{}", "truth/{}"),
        ("{}_images", "{}_masks"),
        ("x/images-{}", "x/labels-{}"),
        ("{}", "{}_labels"),
        ("city_{}/photos", "city_{}/truth"),
        ("photos/{}_set_a", "truth/{}_parts"),
    ],
)
def test_folders_of_a_split_are_named_as_such(tmp_path, side):
    for split in ("train", "valid"):
        save_photo(tmp_path / side[0].format(split) / "a.jpg")
        save_mask(tmp_path / side[1].format(split) / "a.png")
    save_photo(tmp_path / side[0].format("test") / "z.jpg")
    assert find(tmp_path) == (f"{side[0].format('{split}')}/{{name}}.jpg", f"{side[1].format('{split}')}/{{name}}.png")


@pytest.mark.parametrize("sides", [("train", "valid", "test"), ("train2017", "val2017", "test2017")])
def test_sides_of_a_split_are_named_where_images_and_masks_lie_side_by_side(tmp_path, sides):
    """As two stars they would all be trained on, those for testing too."""
    for split in sides:
        save_photo(tmp_path / split / "a.jpg")
        save_mask(tmp_path / split / "a_mask.png")
    assert find(tmp_path) == ("{split}/{name}.jpg", "{split}/{name}_mask.png")


@pytest.mark.parametrize(
    ("below", "said"),
    [
        ("{place}/{split}", "**/{split}"),
        ("{place}/{split}/{drive}", "**/{split}/{group}"),
        ("x/{split}/{place}/{drive}", "x/{split}/**"),
    ],
)
def test_sides_of_a_split_are_named_below_other_folders(tmp_path, below, said):
    for place, split, drive in (("a", "train", "1"), ("b", "train", "2"), ("a", "val", "3"), ("b", "test", "4")):
        folder = below.format(place=place, split=split, drive=drive)
        save_photo(tmp_path / "photos" / folder / "a.png")
        save_mask(tmp_path / "truth" / folder / "a.png")
    assert find(tmp_path) == (f"photos/{said}/{{name}}.png", f"truth/{said}/{{name}}.png")


@pytest.mark.parametrize(
    ("above", "said"),
    [
        (("seq01", "seq02"), "{group}"),
        (("train/seq01", "train/seq02", "val/seq03"), "{split}/{group}"),
        (("drive/a/day", "drive/b/day"), "drive/{group}/day"),
        (("1/front", "1/rear", "2/front"), "**"),
        (("1", "2/rear"), "**"),
    ],
)
def test_images_and_masks_may_lie_side_by_side_in_each_drives_folder(tmp_path, above, said):
    for folder in above:
        save_photo(tmp_path / folder / "images/0.jpg")
        save_mask(tmp_path / folder / "masks/0.png")
    assert find(tmp_path) == (f"{said}/images/{{name}}.jpg", f"{said}/masks/{{name}}.png")


def test_drives_of_two_cameras_with_their_masks_below_are_described(tmp_path):
    for drive, camera in (("1", "left"), ("1", "right"), ("2", "left")):
        save_photo(tmp_path / f"{drive}/rgb/{camera}/0.png")
        save_mask(tmp_path / f"{drive}/gt/{camera}/0_mask.png")
    assert find(tmp_path) == ("{group}/rgb/**/{name}.png", "{group}/gt/**/{name}_mask.png")


def test_masks_of_two_kinds_in_each_drive_are_left_to_be_chosen(tmp_path):
    for drive in "12":
        save_photo(tmp_path / f"{drive}/camera/0.jpg")
        save_mask(tmp_path / f"{drive}/lanes/0.png")
        save_mask(tmp_path / f"{drive}/things/0.png")
    with pytest.raises(DataError, match="more than one pair") as caught:
        find(tmp_path)
    assert caught.value.problems[:2] == (
        "--images '{group}/camera/{name}.jpg' --masks '{group}/lanes/{name}.png'",
        "--images '{group}/camera/{name}.jpg' --masks '{group}/things/{name}.png'",
    )
    assert caught.value.problems[2].endswith("--masks '{group}/{class}/{name}.png'")


def test_folders_within_are_stars_where_they_differ(tmp_path):
    for city in ("bern", "genf"):
        save_photo(tmp_path / f"im/{city}/1.png")
        save_mask(tmp_path / f"gt/{city}/1.png")
    assert find(tmp_path) == ("im/**/{name}.png", "gt/**/{name}.png")


def test_images_and_masks_may_lie_side_by_side(tmp_path):
    for name in "ab":
        save_photo(tmp_path / f"x/{name}.png")
        save_mask(tmp_path / f"x/{name}_mask.png")
    assert find(tmp_path) == ("**/{name}.png", "**/{name}_mask.png")


def test_of_two_folders_of_masks_none_is_taken(tmp_path):
    save_photo(tmp_path / "photos/a.jpg")
    save_mask(tmp_path / "truth/a.png")
    save_mask(tmp_path / "objects/a.png")
    with pytest.raises(DataError) as refused:
        find(tmp_path)
    assert [line.split(" --masks ")[1] for line in refused.value.problems] == [
        "'objects/{name}.png'",
        "'truth/{name}.png'",
        "'{class}/{name}.png'",
    ]


@pytest.mark.parametrize("mask", ["{}_gtFine_color.png", "{}_train_id.png", "{}_gt_labelTrainIds.png", "{}.jpg.png"])
def test_endings_that_people_give_masks_are_known(tmp_path, mask):
    for name in "ab":
        save_photo(tmp_path / f"left/{name}.jpg")
        save_mask(tmp_path / "truth" / mask.format(name))
    assert find(tmp_path) == ("left/{name}.jpg", f"truth/{mask.format('{name}')}")


def test_endings_are_known_whatever_the_case_of_their_letters(tmp_path):
    for name in "ab":
        save_photo(tmp_path / f"{name}_RGB.png")
        save_mask(tmp_path / f"{name}_Label.png")
    images, masks = find(tmp_path)
    assert (images, masks) == ("{name}_rgb.png", "{name}_label.png")
    assert [one.said["name"] for one in find_files(tmp_path, masks)[0]] == ["a", "b"]


def test_files_that_may_be_masks_and_are_not_read_are_told(tmp_path):
    save_photo(tmp_path / "photos/a.jpg")
    (tmp_path / "photos/a_mask.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"files that are not read \(\.gif: 1\): save them as PNG"):
        find(tmp_path)


@pytest.mark.parametrize("label", ["labels/a.txt", "annotations.json", "photos/a.json", "Annotations/a.xml"])
def test_outlines_are_sent_to_the_import_and_not_to_be_saved_as_png(tmp_path, label):
    save_photo(tmp_path / "photos/a.jpg")
    (tmp_path / label).parent.mkdir(exist_ok=True)
    (tmp_path / label).write_text("{}")
    with pytest.raises(DataError) as refused:
        find(tmp_path)
    told = f"If the labels are outlines ({Path(label).suffix}: 1): 'python -m segcore import coco ANN.json IMAGES OUT'"
    assert told in str(refused.value) and "not read" not in str(refused.value)


def test_table_of_pairs_is_taken_for_no_mask(tmp_path):
    save_photo(tmp_path / "photos/a.jpg")
    (tmp_path / "pairs.csv").write_text("photos/a.jpg,truth/0.png")
    with pytest.raises(DataError, match=r"a_car_0\.png, 'masks/\{name\}_\{class\}_\*\.png'\.$"):
        find(tmp_path)


def test_photographs_of_two_cameras_are_no_masks(tmp_path):
    for name in "ab":
        save_photo(tmp_path / f"left/{name}.jpg")
        save_photo(tmp_path / f"right/{name}.jpg")
    with pytest.raises(DataError, match="nothing in it looks like images and masks"):
        find(tmp_path)
    save_mask(tmp_path / "truth/a.png")
    with pytest.raises(DataError, match="more than one pair"):
        find(tmp_path)


@pytest.mark.parametrize(
    ("images", "masks", "shown"),
    [
        ("images/10k", "labels/sem_seg/masks", "labels/sem_seg/colormaps"),
        ("image_2", "semantic", "semantic_rgb"),
        ("image_2", "semantic", "instance"),
        ("ds0/img", "ds0/masks_machine", "ds0/masks_human"),
    ],
)
def test_pictures_of_masks_and_of_objects_are_no_masks_where_there_are_others(tmp_path, images, masks, shown):
    for name in "abc":
        save_photo(tmp_path / images / f"{name}.jpg")
        save_mask(tmp_path / masks / f"{name}.png")
        save_mask(tmp_path / shown / f"{name}.png")
    assert find(tmp_path) == (f"{images}/{{name}}.jpg", f"{masks}/{{name}}.png")


def test_masks_of_objects_alone_are_found(tmp_path):
    save_photo(tmp_path / "photos/a.jpg")
    save_mask(tmp_path / "instance/a.png")
    assert find(tmp_path) == ("photos/{name}.jpg", "instance/{name}.png")


@pytest.mark.parametrize(
    ("image", "mask", "found"),
    [
        ("images/{town}/{name}.jpg", "masks/{name}.png", ("images/**/{name}.jpg", "masks/{name}.png")),
        ("fotos/{name}.jpg", "truth/{town}/x/{name}.png", ("fotos/{name}.jpg", "truth/**/{name}.png")),
    ],
)
def test_folders_below_that_one_side_alone_has_do_not_matter(tmp_path, image, mask, found):
    """Of one town the other's images would be left out."""
    for town, name in (("graz", "a"), ("graz", "b"), ("linz", "c"), ("linz", "d")):
        save_photo(tmp_path / image.format(town=town, name=name))
        save_mask(tmp_path / mask.format(town=town, name=name))
    assert find(tmp_path) == found


def test_folder_is_named_where_all_that_match_lies_in_it(tmp_path):
    save_photo(tmp_path / "images/a.jpg")
    save_mask(tmp_path / "labels/masks/a.png")
    assert find(tmp_path) == ("images/{name}.jpg", "labels/masks/{name}.png")


def test_masks_of_a_class_each_are_several_of_one_name_and_none_is_taken(tmp_path):
    save_photo(tmp_path / "images/a.jpg")
    for name in ("road", "car"):
        save_mask(tmp_path / f"masks/{name}/a.png")
    with pytest.raises(DataError, match="more than one pair of folders may be meant") as caught:
        find(tmp_path)
    assert [problem.rpartition(" ")[2] for problem in caught.value.problems] == [
        "'masks/car/{name}.png'", "'masks/road/{name}.png'", "'masks/{class}/{name}.png'",
    ]  # fmt: skip


def test_folders_for_testing_beside_one_of_another_name_are_left_out(tmp_path):
    for name in ("train_val/images/a", "train_val/images/b", "TEST/images/z"):
        save_photo(tmp_path / f"{name}.jpg")
        save_mask(tmp_path / f"{name.replace('images', 'masks')}.png")
    assert find(tmp_path) == ("train_val/images/{name}.jpg", "train_val/masks/{name}.png")
    assert find_patterns(tmp_path).tests == 1


@pytest.mark.parametrize(
    "folders",
    [("day", "night", "test"), ("a/b", "c/d/e", "test"), ("a/train/1/y", "b/train/2/y", "b/test/3/y")],
)
def test_folders_for_testing_that_any_pattern_takes_are_refused(tmp_path, folders):
    """As a group, or under any folders, they would be trained on."""
    for number, folder in enumerate(folders):
        save_photo(tmp_path / "images" / folder / f"{number}.jpg")
        save_mask(tmp_path / "masks" / folder / f"{number}.png")
    with pytest.raises(DataError, match=rf"1 image lies in a folder for testing, images/{folders[-1]}/2\.jpg first"):
        find_patterns(tmp_path)
