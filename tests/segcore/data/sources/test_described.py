"""A folder of any layout that a `dataset.json` describes."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segcore.data.case import DataSet
from segcore.data.dataset import decode_case, read_dataset, scan_dataset
from segcore.errors import DataError

VOID = 255
CLASSES = [{"name": "road", "ids": [7, 8]}, {"name": "car", "ids": [26], "rgb": [0, 0, 142]}]
BASE: dict[str, Any] = {"images": "photos/{name}.jpg", "masks": "truth/{name}_L.png", "encoding": "index"}


def save_pair(folder: Path, name: str, mask: np.ndarray, *, image: str = "photos/{}.jpg", truth: str = "") -> None:
    place, mask_place = folder / image.format(name), folder / (truth or "truth/{}_L.png").format(name)
    for file in (place, mask_place):
        file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*mask.shape[:2], 3), 90, np.uint8)).save(place)
    Image.fromarray(mask).save(mask_place)


def describe(folder: Path, **changes: Any) -> None:
    content = {key: value for key, value in {**BASE, "classes": CLASSES, **changes}.items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def decode(dataset: DataSet) -> list[list[list[int]]]:
    return [decode_case(case).mask_HW.tolist() for case in dataset.cases]


def test_several_ids_are_one_class_and_what_is_void_is_said(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 8, 26], [0, 255, 7]], np.uint8))
    describe(tmp_path, void=[0, 255], scored=["car"])
    dataset = read_dataset(tmp_path)
    assert decode(dataset) == [[[0, 0, 1], [VOID, VOID, 0]]]
    assert (dataset.layout, dataset.classes.names, dataset.classes.ids) == ("described", ("road", "car"), (7, 26))
    assert dataset.classes.colours[1] == (0, 0, 142) and dataset.classes.scored == ("car",)
    assert [case.name for case in dataset.cases] == ["a"]


def test_a_number_that_nothing_names_is_refused(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 9], [26, 26]], np.uint8))
    describe(tmp_path)
    with pytest.raises(DataError) as refused:
        decode(read_dataset(tmp_path))
    assert "unknown number 9: 1 pixels" in str(refused.value)


def test_several_colours_are_one_class_and_an_ignored_class_is_void(tmp_path):
    colours = [[128, 64, 128], [244, 35, 232], [0, 0, 142], [70, 130, 180]]
    save_pair(tmp_path, "a", np.array([colours], np.uint8))
    classes = [
        {"name": "ground", "colours": colours[:2]},
        {"name": "car", "colours": [colours[2]]},
        {"name": "sky", "colours": [colours[3]]},
    ]
    describe(tmp_path, encoding="rgb", classes=classes, ignored=["sky"])
    dataset = read_dataset(tmp_path)
    assert decode(dataset) == [[[0, 0, 1, VOID]]]
    assert dataset.classes.names == ("ground", "car")
    assert dataset.classes.colours == ((128, 64, 128), (0, 0, 142))
    assert dataset.classes.void == ((70, 130, 180),)


def test_zero_is_void_and_the_rest_counts_from_it_where_labels_are_reduced(tmp_path):
    save_pair(tmp_path, "a", np.array([[0, 1, 2, 255]], np.uint8))
    describe(tmp_path, classes=[{"name": "wall"}, {"name": "tree"}], reduce_zero_label=True)
    dataset = read_dataset(tmp_path)
    assert decode(dataset) == [[[VOID, 0, 1, VOID]]]
    # Predictions are written with the numbers of the masks.
    assert dataset.classes.ids == (1, 2)


def test_a_palette_is_read_by_place_and_its_colours_are_shown(tmp_path):
    mask = Image.fromarray(np.array([[0, 1, 255]], np.uint8), mode="P")
    palette = [10, 20, 30, 200, 100, 0] + [7] * (254 * 3)
    mask.putpalette(palette)
    save_pair(tmp_path, "a", np.zeros((1, 3), np.uint8))
    mask.save(tmp_path / "truth/a_L.png")
    describe(tmp_path, encoding="palette", classes=[{"name": "sky", "ids": [1]}, {"name": "ground", "ids": [0]}])
    dataset = read_dataset(tmp_path)
    assert decode(dataset) == [[[1, 0, VOID]]]
    assert dataset.classes.colours == ((200, 100, 0), (10, 20, 30))


def test_masks_without_a_palette_are_told_where_one_is_said(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 26]], np.uint8))
    describe(tmp_path, encoding="palette")
    with pytest.raises(DataError, match="do not share a palette; write index"):
        read_dataset(tmp_path)


def test_paths_tell_group_condition_and_split(tmp_path):
    mask = np.array([[7, 26]], np.uint8)
    for part, name in (("train/bern", "1"), ("val/bern", "2"), ("test/genf", "3")):
        save_pair(tmp_path, name, mask, image=f"im/{part}/{{}}_day.jpg", truth=f"gt/{part}/{{}}.png")
    (tmp_path / "gt/test/genf/3.png").unlink()
    describe(tmp_path, images="im/{split}/{group}/{name}_{condition}.jpg", masks="gt/{split}/{group}/{name}.png")
    dataset = read_dataset(tmp_path)
    assert "left out: 1 image of the split test" in dataset.notes
    assert [(case.name, case.split, case.group, case.condition) for case in dataset.cases] == [
        ("1", "train", "bern", "day"),
        ("2", "val", "bern", "day"),
    ]


def test_a_split_that_is_none_is_told(tmp_path):
    save_pair(tmp_path, "1", np.array([[7, 26]], np.uint8), image="im/fold1/{}.jpg", truth="gt/fold1/{}.png")
    describe(tmp_path, images="im/{split}/{name}.jpg", masks="gt/{split}/{name}.png")
    with pytest.raises(DataError, match="'fold1'; call it train, val or test, or write \\* there"):
        read_dataset(tmp_path)


def test_lists_divide_and_leave_out(tmp_path):
    for name in "abcd":
        save_pair(tmp_path, name, np.array([[7, 26]], np.uint8))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("a\nphotos/b.jpg\n\n", encoding="utf-8-sig")
    (tmp_path / "lists/val.txt").write_text("c", encoding="utf-8")
    describe(tmp_path, splits={"train": "lists/train.txt", "val": "lists/val.txt"})
    dataset = read_dataset(tmp_path)
    assert [(case.name, case.split) for case in dataset.cases] == [("a", "train"), ("b", "train"), ("c", "val")]
    assert "left out: 1 image that is on no list of train or val" in dataset.notes


@pytest.mark.parametrize(
    "line", ["./photos/{}.jpg", "photos/{0}.jpg truth/{0}_L.png", "{0}.jpg\t{0}_L.png", "{},truth"]
)
def test_lists_may_name_the_mask_in_a_second_column(tmp_path, line):
    for name in ("a", "b c"):
        save_pair(tmp_path, name, np.array([[7, 26]], np.uint8))
    (tmp_path / "train.txt").write_text(line.format("a"), encoding="utf-8")
    (tmp_path / "val.txt").write_text("photos/b c.jpg\n", encoding="utf-8")
    describe(tmp_path, splits={"train": "train.txt", "val": "val.txt"})
    assert [(case.name, case.split) for case in read_dataset(tmp_path).cases] == [("a", "train"), ("b c", "val")]


def test_names_on_lists_that_nothing_has_are_told(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 26]], np.uint8))
    (tmp_path / "train.txt").write_text("a\nz\n", encoding="utf-8")
    (tmp_path / "val.txt").write_text("a\n", encoding="utf-8")
    describe(tmp_path, splits={"train": "train.txt", "val": "val.txt"})
    with pytest.raises(DataError) as refused:
        read_dataset(tmp_path)
    assert "1 name that no image with a mask has (one is called 'a'), to be taken out: z" in str(refused.value)
    assert "val.txt: 'a' stands in another list too" in str(refused.value)


def test_image_that_two_lists_name_differently_is_told(tmp_path):
    """It would be trained on, though the other list keeps it for validation."""
    save_pair(tmp_path, "a", np.array([[7, 26]], np.uint8))
    (tmp_path / "train.txt").write_text("a\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("photos/a.jpg\n", encoding="utf-8")
    describe(tmp_path, splits={"train": "train.txt", "test": "test.txt"})
    with pytest.raises(DataError, match="a: the lists of train and test name it; leave it in one"):
        read_dataset(tmp_path)


def test_equal_names_in_two_folders_are_told_apart_by_their_paths(tmp_path):
    for part in ("x", "y"):
        save_pair(
            tmp_path, "1", np.array([[7, 26]], np.uint8), image=f"im/{part}/{{}}.jpg", truth=f"gt/{part}/{{}}.png"
        )
    describe(tmp_path, images="im/**/{name}.jpg", masks="gt/**/{name}.png")
    cases = read_dataset(tmp_path).cases
    assert [(case.name, case.group) for case in cases] == [("x_1", "x"), ("y_1", "y")]


def test_images_and_masks_may_lie_side_by_side(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 26]], np.uint8), image="{}.jpg", truth="{}.png")
    describe(tmp_path, images="{name}.jpg", masks="{name}.png")
    assert decode(read_dataset(tmp_path)) == [[[0, 1]]]


def test_an_image_without_a_mask_and_a_mask_without_an_image_are_told(tmp_path):
    for name in "abc":
        save_pair(tmp_path, name, np.array([[7, 26]], np.uint8))
    (tmp_path / "truth/a_L.png").unlink()
    (tmp_path / "photos/b.jpg").unlink()
    describe(tmp_path)
    with pytest.raises(DataError) as refused:
        read_dataset(tmp_path)
    assert "photos/a.jpg: no file of truth/{name}_L.png belongs to it; add one, or take" in str(refused.value)
    assert "truth/b_L.png: a mask without an image of photos/{name}.jpg" in str(refused.value)


def test_facts_come_from_a_table_too(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 26]], np.uint8))
    (tmp_path / "cases.csv").write_text("name,group,frame\na,tram,3\n", encoding="utf-8")
    describe(tmp_path)
    (case,) = read_dataset(tmp_path).cases
    assert (case.group, case.frame) == ("tram", 3)


def test_every_fault_of_a_file_is_told_at_once(tmp_path):
    describe(
        tmp_path, images=None, encoding="idx", void=["x"], lables=3, **{"cl[": 1}, classes=[{"name": "a", "id": [1]}]
    )
    with pytest.raises(DataError) as refused:
        read_dataset(tmp_path)
    told = str(refused.value)
    for line in (
        "images is missing",
        "encoding is 'idx': input should be 'index', 'rgb' or 'palette'",
        "void[0] is 'x'",
        "lables is no key",
        "cl[ is no key",
        "if another program wrote it, say which layout the folder has with --layout",
        "classes[0].id is no key; did you mean ids?",
    ):
        assert line in told


@pytest.mark.parametrize("content", ['{"labels": {}, "channel_names": {}}', '{"images": [], "annotations": []}'])
def test_file_of_another_program_is_told_from_one_with_faults(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"dataset\.json is another program's: .*link what lies beside it"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "content",
    ['{"images": "images/{name}.jpg"}', '{"image": "images/{name}.jpg", "mask": "x"}', '{"classes": []}', "{}", "[]"],
)
def test_file_with_any_key_or_pattern_of_ours_is_ours(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"dataset\.json cannot be used"):
        read_dataset(tmp_path)


def test_contradictions_of_a_file_are_told_at_once(tmp_path):
    describe(
        tmp_path,
        masks="../{name}.png",
        classes=[{"name": "a", "ids": [1]}, {"name": "b", "ids": [1, 2]}, {"name": "c", "colours": [[1, 2, 3]]}],
        void=[2],
        ignored=["d"],
        splits={"train": "../train.txt"},
    )
    with pytest.raises(DataError) as refused:
        read_dataset(tmp_path)
    told = str(refused.value)
    for line in (
        "masks: '../{name}.png'",
        "1 belongs to 'a' and to 'b'",
        "2 belongs to 'b' and to void",
        "'c' has colours",
        "ignored: 'd' is no class",
        "splits.train: '../train.txt'",
    ):
        assert line in told


@pytest.mark.parametrize("text", ["{", "[]", '{"images": "a", "images": "b"}'])
def test_a_file_of_another_form_is_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"dataset\.json cannot be"):
        read_dataset(tmp_path)


def test_classes_that_nobody_has_named_are_usable_and_told(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 26]], np.uint8))
    describe(tmp_path, classes=[{"name": "TODO_class_7", "ids": [7]}, {"name": "car", "ids": [26]}])
    assert any(note.startswith("names: 1 class is called TODO_") for note in read_dataset(tmp_path).notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": [{"name": f"c{number}", "ids": [number]} for number in range(10_000)]}, "10000 are not ignored"),
        ({"classes": [{"name": f"c{number}"} for number in range(10_000)]}, "10000 are not ignored, and at most 254"),
        ({"void": [1] * 10_000}, "1 belongs to void twice"),
        ({"classes": [[]] * 10_000}, "should be an object"),
    ],
)
def test_ten_thousand_of_something_are_refused_in_few_lines(tmp_path, changes, message):
    save_pair(tmp_path, "a", np.zeros((1, 1), np.uint8))
    describe(tmp_path, **changes)
    with pytest.raises(DataError) as refused:
        read_dataset(tmp_path)
    assert message in str(refused.value)
    assert len(refused.value.problems) <= 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ignored": ["car"], "scored": ["car"]}, "scored: 'car' is ignored too; take it out of one"),
        ({"ignored": ["road", "car"]}, "ignored: every class is; leave those that are to be learnt"),
        ({"classes": [{"name": "road", "ids": [7, 7]}]}, "7 belongs to 'road' twice; leave it to one"),
        ({"classes": ["road", "car"]}, 'its form is {"images": "images/{name}.jpg", '),
    ],
)
def test_classes_that_contradict_each_other_are_refused_with_what_to_do(tmp_path, changes, message):
    save_pair(tmp_path, "a", np.zeros((1, 1), np.uint8))
    describe(tmp_path, **changes)
    with pytest.raises(DataError) as refused:
        read_dataset(tmp_path)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("pixels", "void", "told"),
    [([0, 1], [0, 255], "void has 0, which is 'road'"), ([0, 255], [255], "void has 255, which is 'car'")],
)
def test_void_with_a_number_of_the_order_is_refused(tmp_path, pixels, void, told):
    save_pair(tmp_path, "a", np.array([pixels], np.uint8))
    describe(tmp_path, classes=[{"name": "road"}, {"name": "car"}], void=void)
    with pytest.raises(DataError, match=rf"dataset\.json: {told} by the order of the classes"):
        read_dataset(tmp_path)


def test_many_numbers_may_be_ignored(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 26, 99]], np.uint8))
    others = [{"name": f"c{number}", "ids": [number]} for number in range(30, 330)]
    describe(tmp_path, classes=[*CLASSES, *others], ignored=[other["name"] for other in others])
    assert decode(read_dataset(tmp_path)) == [[[0, 1, VOID]]]


def test_the_example_of_the_docs_means_what_it_says(tmp_path):
    paper = (Path(__file__).parents[4] / "docs" / "own-data.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(\{\n  \"images\".*?)```", paper, re.DOTALL)
    (tmp_path / "dataset.json").write_text(example, encoding="utf-8")
    for name, side in (("1", "train"), ("2", "val")):
        mask = np.array([[7, 8, 26, 23, 0, 255]], np.uint8)
        save_pair(tmp_path, name, mask, image="left/bern/{}.jpg", truth="truth/bern/{}_ids.png")
        (tmp_path / f"{side}.txt").write_text(name, encoding="utf-8")
    dataset = read_dataset(tmp_path)
    assert decode(dataset) == [[[0, 0, 1, VOID, VOID, VOID]]] * 2
    assert [(case.split, case.group) for case in dataset.cases] == [("train", "bern"), ("val", "bern")]


def test_nothing_is_said_twice(tmp_path):
    save_pair(tmp_path, "a", np.zeros((1, 1), np.uint8))
    describe(tmp_path)
    notes = read_dataset(tmp_path).notes
    assert len(set(notes)) == len(notes)


def test_classes_that_contradict_each_other_are_refused_with_the_file(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 26]], np.uint8))
    describe(tmp_path, classes=[{"name": "car", "ids": [7]}, {"name": "car", "ids": [26]}])
    with pytest.raises(DataError, match=r"dataset\.json: The class table cannot be used:\s+- class name 'car' occurs"):
        read_dataset(tmp_path)


def test_numbers_in_grey_palettes_beside_grey_levels_are_their_levels(put_pair, tmp_path):
    put_pair(tmp_path / "images/a.png", tmp_path / "masks/a.png", [[7, 26]])
    put_pair(tmp_path / "images/b.png", tmp_path / "masks/b.png", [[0, 1]], palette=[26, 26, 26, 7, 7, 7])
    classes = [{"name": "road", "ids": [7]}, {"name": "car", "ids": [26]}]
    content = {"images": "images/{name}.png", "masks": "masks/{name}.png", "encoding": "index", "classes": classes}
    (tmp_path / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    assert [decode_case(case).mask_HW.tolist() for case in read_dataset(tmp_path).cases] == [[[0, 1]], [[1, 0]]]


def test_what_shows_a_mask_is_left_out_and_said(tmp_path):
    mask = np.array([[7, 26]], np.uint8)
    save_pair(tmp_path, "a", mask, truth="truth/{}.png")
    Image.fromarray(mask).save(tmp_path / "truth/a_color.png")
    describe(tmp_path, masks="truth/{name}.png")
    dataset, problems = scan_dataset(tmp_path)
    assert (len(dataset.cases), problems) == (1, [])
    assert "left out: 1 file that shows other masks or objects, such as a_color" in dataset.notes


def test_masks_of_other_endings_beside_those_that_are_told_are_left_out(tmp_path):
    """Of a_labelTrainIds.png beside a.png, whoever wrote the pattern has said that the latter is meant."""
    mask = np.array([[7, 26]], np.uint8)
    save_pair(tmp_path, "a", mask, truth="truth/{}.png")
    for name in ("a_labelTrainIds", "b_labelTrainIds"):
        Image.fromarray(mask).save(tmp_path / f"truth/{name}.png")
    describe(tmp_path, masks="truth/{name}.png")
    dataset, problems = scan_dataset(tmp_path)
    assert len(dataset.cases) == 1
    assert problems == ["truth/b_labelTrainIds.png: a mask without an image of photos/{name}.jpg; take it away"]


def test_a_side_without_any_mask_is_left_out_and_said(tmp_path):
    for name in ("train/a", "val/b"):
        save_pair(tmp_path, name, np.array([[7, 26]], np.uint8))
    (tmp_path / "truth/val/b_L.png").unlink()
    describe(tmp_path, images="photos/{split}/{name}.jpg", masks="truth/{split}/{name}_L.png")
    dataset, problems = scan_dataset(tmp_path)
    assert ([case.name for case in dataset.cases], problems) == (["a"], [])
    assert "left out: 1 image of val, which has no masks" in dataset.notes


def test_sides_whose_names_differ_are_problems_of_both(tmp_path):
    for name in ("train/a", "val/b"):
        save_pair(tmp_path, name, np.array([[7, 26]], np.uint8))
    (tmp_path / "truth/train").rename(tmp_path / "truth/Train")
    describe(tmp_path, images="photos/{split}/{name}.jpg", masks="truth/{split}/{name}_L.png")
    _, problems = scan_dataset(tmp_path)
    assert problems == ["truth/Train/a_L.png: a mask without an image of photos/{split}/{name}.jpg; take it away"]


def test_frame_in_a_path_is_that_of_the_image(tmp_path):
    mask = np.array([[7, 26]], np.uint8)
    for drive in ("d1", "d2"):
        for frame in ("0009", "0010"):
            save_pair(tmp_path, f"{drive}/{frame}", mask, image="photos/{}.jpg", truth="truth/{}_L.png")
    describe(tmp_path, images="photos/{group}/{frame}.jpg", masks="truth/{group}/{frame}_L.png")
    cases = read_dataset(tmp_path).cases
    assert [(case.name, case.group, case.frame) for case in cases] == [
        ("d1_0009", "d1", 9),
        ("d1_0010", "d1", 10),
        ("d2_0009", "d2", 9),
        ("d2_0010", "d2", 10),
    ]
    assert [case.mask.relative_to(tmp_path).as_posix() for case in cases[:2]] == [
        "truth/d1/0009_L.png",
        "truth/d1/0010_L.png",
    ]


def test_name_of_a_file_with_a_frame_is_kept_where_no_other_has_it(tmp_path):
    save_pair(tmp_path, "a_7", np.array([[7, 26]], np.uint8))
    describe(tmp_path, images="photos/{group}_{frame}.jpg", masks="truth/{group}_{frame}_L.png")
    assert [(case.name, case.frame) for case in read_dataset(tmp_path).cases] == [("a_7", 7)]


def test_frame_beside_a_name_does_not_pair_them(tmp_path):
    save_pair(tmp_path, "1", np.array([[7, 26]], np.uint8))
    describe(tmp_path, images="photos/{frame}.jpg")
    with pytest.raises(DataError, match=r"share neither \{name\} nor \{frame\}"):
        read_dataset(tmp_path)


def test_image_beside_the_others_that_fits_no_pattern_is_told(tmp_path):
    for name in ("a_1", "b1"):
        save_pair(tmp_path, name, np.array([[7, 26]], np.uint8))
    describe(tmp_path, images="photos/{group}_{name}.jpg", masks="truth/{group}_{name}_L.png")
    dataset = read_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["1"]
    assert "left out: 1 file beside the images that fits neither pattern, such as b1.jpg" in dataset.notes


def test_masks_of_objects_beside_those_of_classes_are_left_out(tmp_path):
    for name in ("a", "a_inst"):
        save_pair(tmp_path, name, np.array([[7, 26]], np.uint8), truth="truth/{}_label.png")
    (tmp_path / "photos/a_inst.jpg").unlink()
    describe(tmp_path, masks="truth/{name}_label.png")
    dataset, problems = scan_dataset(tmp_path)
    assert [case.mask.name for case in dataset.cases] == ["a_label.png"] and problems == []
    assert "left out: 1 file that shows other masks or objects, such as a_inst" in dataset.notes


def test_pictures_of_masks_in_one_folder_with_the_images_are_left_out(tmp_path):
    save_pair(tmp_path, "a", np.array([[7, 26]], np.uint8), image="{}.png", truth="{}_mask.png")
    Image.fromarray(np.full((1, 2, 3), 90, np.uint8)).save(tmp_path / "a_overlay.png")
    describe(tmp_path, images="{name}.png", masks="{name}_mask.png")
    dataset, problems = scan_dataset(tmp_path)
    assert [case.image.name for case in dataset.cases] == ["a.png"] and problems == []
    assert "left out: 1 file that shows other masks or objects, such as a_overlay" in dataset.notes


def test_of_several_images_of_one_mask_the_pattern_is_to_name_one(tmp_path):
    for fog in ("0.01", "0.02"):
        save_pair(tmp_path, f"a_{fog}", np.array([[7, 26]], np.uint8), truth="truth/a_L.png")
    describe(tmp_path, images="photos/{name}_*.jpg")
    _, (problem,) = scan_dataset(tmp_path)
    assert problem.endswith("has {name} 'a', as a_0.01.jpg; remove one, or write into the pattern what one alone has")
    describe(tmp_path, images="photos/{name}_0.02.jpg")
    assert [case.image.name for case in read_dataset(tmp_path).cases] == ["a_0.02.jpg"]


def test_numbers_of_palettes_that_differ_are_told_of(tmp_path):
    for name, colours in (("a", [0, 0, 0, 9, 0, 0]), ("b", [9, 0, 0, 0, 0, 0])):
        save_pair(tmp_path, name, np.array([[0, 1]], np.uint8))
        mask = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
        mask.putpalette(colours)
        mask.save(tmp_path / f"truth/{name}_L.png")
    describe(tmp_path, classes=[{"name": "road", "ids": [0]}, {"name": "car", "ids": [1]}])
    told = "palettes: each mask has its own, and its numbers are read whatever their colours"
    assert any(note.startswith(told) for note in read_dataset(tmp_path).notes)
    (tmp_path / "truth/b_L.png").write_bytes((tmp_path / "truth/a_L.png").read_bytes())
    assert not any(note.startswith(told) for note in read_dataset(tmp_path).notes)
