import os
from unicodedata import normalize

import numpy as np
import pytest

from segcore.data.dataset import decode_case, read_dataset, scan_dataset
from segcore.data.sources.voc import VOC_CLASSES, voc_colour
from segcore.errors import DataError

VOC_PALETTE = [part for place in range(256) for part in voc_colour(place)]
OTHER_PALETTE = [part for place in range(256) for part in (place, 9, 9)]


@pytest.fixture
def put_photo(put_pair, tmp_path):
    """Return a function that writes an image and its mask."""

    def put_photo(name, numbers=((0, 1, 255),), palette=OTHER_PALETTE, masks="SegmentationClass"):
        put_pair(tmp_path / "JPEGImages" / f"{name}.jpg", tmp_path / masks / f"{name}.png", numbers, palette=palette)

    return put_photo


@pytest.fixture
def put_list(tmp_path):
    """Return a function that writes a list of names."""

    def put_list(title, *names, encoding="utf-8"):
        place = tmp_path / "ImageSets" / "Segmentation"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{title}.txt").write_text("\n".join(names) + "\n", encoding=encoding)

    return put_list


def _left_out(dataset):
    return [note for note in dataset.notes if note.startswith("left out")]


def test_palette_is_computed_as_the_benchmark_does():
    # Of its own table: aeroplane, person, tvmonitor, border.
    assert [voc_colour(place) for place in (0, 1, 15, 20, 255)] == [
        (0, 0, 0), (128, 0, 0), (192, 128, 128), (0, 64, 128), (224, 224, 192)
    ]  # fmt: skip
    assert len(VOC_CLASSES) == 21
    assert (VOC_CLASSES.names[15], VOC_CLASSES.colours[15]) == ("person", (192, 128, 128))


def test_files_of_vocs_names_and_palette_have_its_classes_and_a_void_border(put_photo, put_list, tmp_path):
    put_photo("2007_000032", [[0, 1, 15, 255]], VOC_PALETTE)
    put_photo("2007_000039", [[20, 20, 20, 20]], VOC_PALETTE)
    put_list("train", "2007_000032")
    put_list("val", "2007_000039")
    put_list("trainval", "2007_000032", "2007_000039")
    dataset = read_dataset(tmp_path)
    assert dataset.layout == "voc"
    assert dataset.classes == VOC_CLASSES
    assert [(case.name, case.split) for case in dataset.cases] == [("2007_000032", "train"), ("2007_000039", "val")]
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 1, 15, 255]]
    assert "classes: Pascal VOC's 21, by its palette" in dataset.notes
    assert _left_out(dataset) == []


def test_vocs_colours_in_other_files_are_not_taken_for_vocs_classes(put_photo, tmp_path):
    # labelme draws any classes in them.
    put_photo("street_1", [[0, 1, 2, 255]], VOC_PALETTE)
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("class_0", "class_1", "class_2")
    assert dataset.classes.colours == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 1, 2, 255]]
    assert any(note.startswith("classes: not named") for note in dataset.notes)
    assert any(note.startswith("palette: Pascal VOC's, in which other programs draw too") for note in dataset.notes)


def test_another_palette_is_classes_by_place_in_its_colours(put_photo, tmp_path):
    put_photo("2007_000032", [[0, 3, 7, 255]])
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("class_0", "class_3", "class_7")
    assert dataset.classes.colours == ((0, 9, 9), (3, 9, 9), (7, 9, 9))
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 1, 2, 255]]


def test_names_come_from_a_file_where_there_is_one(put_photo, tmp_path):
    put_photo("2007_000032", [[0, 1, 2, 255]], VOC_PALETTE)
    (tmp_path / "labels.txt").write_text("nothing\nroad\ncar\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("nothing", "road", "car")
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 1, 2, 255]]


def test_vocs_colours_without_a_palette_are_read_by_colour(put_photo, tmp_path):
    row = [voc_colour(0), voc_colour(20), voc_colour(255)]
    put_photo("2007_000032", [row], ())
    dataset = read_dataset(tmp_path)
    assert dataset.classes == VOC_CLASSES
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 20, 255]]


@pytest.mark.parametrize(("name", "colour"), [("2007_000032", (1, 2, 3)), ("street_1", (128, 0, 0))])
def test_colours_that_nothing_names_are_refused(put_photo, tmp_path, name, colour):
    put_photo(name, [[(0, 0, 0), colour]], ())
    with pytest.raises(DataError, match=r"masks have colours, and no classes\.json says what they mean"):
        scan_dataset(tmp_path)


def test_label_map_of_cvat_names_colours(put_photo, put_list, tmp_path):
    put_photo("a b", [[(128, 64, 128), (0, 0, 142), (0, 0, 0)]], ())
    put_list("default", "a b")
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\nside: car:0,0,142::\n"
    )
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "road", "side: car")
    assert dataset.classes.scored == ("road", "side: car")
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[1, 2, 0]]
    assert [(case.name, case.split) for case in dataset.cases] == [("a b", "")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("road\ncar", r"labelmap\.txt cannot be read"),
        ("road:1,2::\ncar:3,4,5::", r"labelmap\.txt cannot be read .*a line such as 'road:128,64,128::'"),
        ("road:1,2,3::\ncar:1,2,3::", r"labelmap\.txt cannot be used:\n  - colour \(1, 2, 3\) occurs twice"),
    ],
)
def test_label_map_that_cannot_be_used_is_named(put_photo, tmp_path, content, complaint):
    put_photo("a", [[(1, 2, 3)]], ())
    (tmp_path / "labelmap.txt").write_text(content)
    with pytest.raises(DataError, match=complaint):
        scan_dataset(tmp_path)


def test_what_is_in_no_list_or_has_no_mask_or_is_for_testing_is_left_out_and_counted(
    put, put_photo, put_list, tmp_path
):
    for name in ("a", "b", "c", "d"):
        put_photo(name)
    for name in ("detection 1", "detection 2", "detection 3"):
        put(tmp_path / "JPEGImages" / f"{name}.jpg")
    put_list("train", "a")
    put_list("trainval", "a", "b")
    put_list("test", "d")
    put_list("trainaug", "a", "sbd")
    dataset = read_dataset(tmp_path)
    # What trainval alone names is on no side.
    assert [(case.name, case.split) for case in dataset.cases] == [("a", "train"), ("b", "")]
    assert _left_out(dataset) == [
        "left out: what only trainaug.txt name",
        "left out: 1 image of test.txt, which is for testing",
        "left out: 1 mask of SegmentationClass/ that no list names",
        "left out: 3 images of JPEGImages/ without a mask",
    ]


def test_a_list_for_testing_alone_leaves_its_images_out(put_photo, put_list, tmp_path):
    put_photo("a")
    put_photo("b")
    put_list("test", "b")
    dataset = read_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["a"]
    assert _left_out(dataset) == ["left out: 1 image of test.txt, which is for testing"]


def test_list_that_is_a_pipe_is_not_waited_for(put_photo, put_list, tmp_path):
    put_photo("a")
    put_list("train", "a")
    os.mkfifo(tmp_path / "ImageSets" / "Segmentation" / "val.txt")
    assert [case.split for case in read_dataset(tmp_path).cases] == ["train"]


def test_without_lists_every_image_with_a_mask_is_taken(put, put_photo, tmp_path):
    put_photo("a")
    put(tmp_path / "JPEGImages" / "b.jpg")
    dataset = read_dataset(tmp_path)
    assert [(case.name, case.split) for case in dataset.cases] == [("a", "")]
    assert "lists: none; all images with a mask are taken" in dataset.notes


def test_names_in_lists_that_have_no_image_or_mask_or_two_sides_are_named(put, put_photo, put_list, tmp_path):
    put_photo("a")
    put(tmp_path / "JPEGImages" / "b.jpg")
    put(tmp_path / "SegmentationClass" / "c.png")
    put_list("train", "a", "b", "c")
    put_list("val", "a")
    put_list("test", "a")
    _, problems = scan_dataset(tmp_path)
    assert sorted(problems) == [
        "a: train.txt and test.txt both name it; take it out of one",
        "a: train.txt and val.txt both name it; take it out of one",
        "a: val.txt and test.txt both name it; take it out of one",
        "b: SegmentationClass/ has no such mask, though a list names it",
        "c: JPEGImages/ has no such image",
    ]


def test_lists_of_windows_and_mac_and_with_suffixes_name_the_same_files(put_photo, put_list, tmp_path):
    put_photo(normalize("NFC", "caf\u00e9"))
    put_photo("b")
    put_photo("c.d")
    put_list("train", normalize("NFD", "caf\u00e9"), "", "b.JPG", "c.d ", encoding="utf-8-sig")
    assert [case.split for case in read_dataset(tmp_path).cases] == ["train"] * 3


def test_list_that_is_no_text_is_named(put_photo, put_list, tmp_path):
    put_photo("a")
    put_list("train", "a")
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"val\.txt cannot be read"):
        scan_dataset(tmp_path)


def test_arrays_in_the_folder_of_masks_lead_to_the_pictures_beside(put_photo, tmp_path):
    put_photo("a", masks="SegmentationClassPNG")
    (tmp_path / "SegmentationClass").mkdir()
    np.save(tmp_path / "SegmentationClass" / "a.npy", np.zeros((1, 3)))
    assert read_dataset(tmp_path).cases[0].mask.parent.name == "SegmentationClassPNG"


def test_names_of_labelme_begin_with_what_it_ignores(put_photo, tmp_path):
    put_photo("a", [[0, 1, 255]], VOC_PALETTE)
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncar\n")
    dataset = read_dataset(tmp_path)
    # labelme numbers __ignore__ -1, which is 255 in a file.
    assert dataset.classes.names == ("_background_", "car")
    assert dataset.classes.scored == ("car",)
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 1, 255]]


@pytest.mark.parametrize(
    "form",
    [
        "JPEGImages/{}.jpg",
        "/JPEGImages/{0}.jpg /SegmentationClass/{0}.png",
        "JPEGImages\\{}.jpg",
        "./JPEGImages/{0}.jpg,SegmentationClass/{0}.png",
        "{}  1",
    ],
)
def test_lists_may_have_paths_and_more_columns(put_photo, put_list, tmp_path, form):
    for name in ("a", "b"):
        put_photo(name)
    put_list("train", form.format("a"))
    put_list("val", form.format("b"))
    assert [(case.name, case.split) for case in read_dataset(tmp_path).cases] == [("a", "train"), ("b", "val")]


def test_letters_of_a_lists_name_do_not_matter(put_photo, put_list, tmp_path):
    """Test.txt would be trained on."""
    for name in ("a", "b", "c"):
        put_photo(name)
    for title, name in (("Train", "a"), ("VAL", "b"), ("Test", "c")):
        put_list(title, name)
    dataset = read_dataset(tmp_path)
    assert [(case.name, case.split) for case in dataset.cases] == [("a", "train"), ("b", "val")]
    assert _left_out(dataset) == ["left out: 1 image of test.txt, which is for testing"]


def test_lists_that_name_nothing_are_said_to_leave_all_out(put_photo, put_list, tmp_path):
    put_photo("a")
    put_list("train")
    with pytest.raises(DataError) as refused:
        read_dataset(tmp_path)
    assert refused.value.problems == ("lists: train.txt", "left out: 1 mask of SegmentationClass/ that no list names")


def test_lists_that_cvat_calls_otherwise_are_those_of_a_split(put_photo, put_list, tmp_path):
    for number, title in enumerate(("Train", "Validation", "Test")):
        put_photo(f"f{number}", [[(0, 0, 0), (1, 2, 3)]], ())
        put_list(title, f"f{number}")
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\nroad:1,2,3::\n")
    dataset = read_dataset(tmp_path)
    assert [(case.name, case.split) for case in dataset.cases] == [("f0", "train"), ("f1", "val")]
    assert "left out: 1 image of test.txt, which is for testing" in dataset.notes
