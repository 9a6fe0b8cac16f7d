from unicodedata import normalize

import pytest

from segcore.data.dataset import decode_case, read_dataset, scan_dataset
from segcore.errors import DataError


def _told(dataset):
    return [(case.name, case.group, case.split) for case in dataset.cases]


@pytest.mark.parametrize(
    ("images", "masks"),
    [("images", "masks"), ("img_dir", "ann_dir"), ("Image", "LABELS"), ("rgb", "gt"), ("imgs", "ground_truth")],
)
def test_folders_of_usual_names_are_pairs_in_any_case(put_pair, tmp_path, images, masks):
    put_pair(tmp_path / images / "a.jpg", tmp_path / masks / "a.png", [[0, 1]])
    put_pair(tmp_path / images / "b.TIF", tmp_path / masks / "b.PNG", [[1, 1]])
    dataset = read_dataset(tmp_path)
    assert dataset.layout == "pairs"
    assert _told(dataset) == [("a", "all", ""), ("b", "all", "")]
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 1]]
    assert dataset.images == (tmp_path / images,)


def test_folders_divided_below_give_the_split(put_pair, tmp_path):
    for side in ("train", "Val"):
        put_pair(tmp_path / "images" / side / f"{side}1.jpg", tmp_path / "masks" / side.lower() / f"{side}1.png")
    dataset = read_dataset(tmp_path)
    assert _told(dataset) == [("Val1", "all", "val"), ("train1", "all", "train")]
    assert dataset.images == (tmp_path / "images" / "Val", tmp_path / "images" / "train")


def test_folders_divided_first_give_the_split(put_pair, tmp_path):
    for side in ("training", "validation"):
        put_pair(tmp_path / side / "images" / f"{side}.jpg", tmp_path / side / "masks" / f"{side}.png")
    assert _told(read_dataset(tmp_path)) == [("training", "all", "train"), ("validation", "all", "val")]


def test_what_is_not_for_training_is_left_out_and_said(put, put_pair, tmp_path):
    for side in ("train", "test", "extra"):
        put_pair(tmp_path / "images" / side / f"{side}.jpg", tmp_path / "masks" / side / f"{side}.png")
    put(tmp_path / "images" / "loose.jpg")
    dataset = read_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["train"]
    assert [note for note in dataset.notes if note.startswith("left out")] == [
        "left out: images/extra/, which is neither train nor val",
        "left out: images/test/, which is for testing",
        "left out: 1 image directly in images/, which is divided into train and val",
    ]


def test_of_many_images_without_masks_the_first_are_told_and_the_last_masks(put, tmp_path):
    for number in range(30):
        put(tmp_path / "images" / f"{number:02}.png")
        put(tmp_path / "masks" / f"{number:02}a.png")
    with pytest.raises(DataError, match=r"no image of images/ has a mask; 'python -m segcore init") as caught:
        scan_dataset(tmp_path)
    told = [problem.split(":")[0] for problem in caught.value.problems]
    assert (told[0], told[9:12], told[-1], len(told)) == (
        "00.png",
        ["09.png", "and 40 more, and", "20a.png"],
        "29a.png",
        21,
    )


def test_folders_beside_train_that_are_no_known_side_are_left_out_and_said(put_pair, tmp_path):
    for side in ("train", "dev"):
        put_pair(tmp_path / side / "images" / f"{side}.jpg", tmp_path / side / "masks" / f"{side}.png")
    dataset = read_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["train"]
    assert "left out: dev/, which is neither train nor val" in dataset.notes


def test_sides_of_a_split_further_below_are_known_and_test_is_left_out(put_pair, tmp_path):
    for place, side in (("a", "train"), ("b", "train"), ("b", "Val"), ("a", "test")):
        put_pair(tmp_path / f"images/{place}/{side}/{place}.jpg", tmp_path / f"masks/{place}/{side}/{place}.png")
    dataset = read_dataset(tmp_path)
    assert sorted(_told(dataset)) == [
        ("a_train_a", "a/train", "train"),
        ("b_Val_b", "b/Val", "val"),
        ("b_train_b", "b/train", "train"),
    ]
    assert "left out: 1 image in folders for testing" in dataset.notes


def test_folder_of_which_only_some_are_named_after_a_side_is_one_like_others(put_pair, tmp_path):
    for folder in ("bern", "bern/train"):
        put_pair(tmp_path / f"images/{folder}/a.jpg", tmp_path / f"masks/{folder}/a.png")
    assert {case.split for case in read_dataset(tmp_path).cases} == {""}


def test_parts_without_masks_are_left_out_and_said(put, put_pair, tmp_path):
    put_pair(tmp_path / "train" / "images" / "a.jpg", tmp_path / "train" / "masks" / "a.png")
    put(tmp_path / "val" / "images" / "b.jpg")
    put(tmp_path / "test" / "images" / "c.jpg")
    dataset = read_dataset(tmp_path)
    assert [note for note in dataset.notes if note.startswith("left out")] == [
        "left out: test/, which is for testing",
        "left out: val/, in which no folder of images has one of masks beside it",
    ]


def test_images_divided_and_masks_not_is_refused(put_pair, tmp_path):
    put_pair(tmp_path / "images" / "train" / "a.jpg", tmp_path / "masks" / "a.png")
    with pytest.raises(DataError, match=r"images/train/ has no masks/train/ beside it; divide masks as images are"):
        scan_dataset(tmp_path)


def test_what_was_found_beside_test_images_is_told(put_pair, tmp_path):
    for side in ("TEST", "train_val"):
        put_pair(tmp_path / side / "images" / "a.jpg", tmp_path / side / "masks" / "a.png")
    with pytest.raises(DataError, match=r"init .* --force(?s:.*)train_val/, which is neither train nor val"):
        scan_dataset(tmp_path)


def test_test_images_alone_are_refused(put_pair, tmp_path):
    put_pair(tmp_path / "images" / "test" / "a.jpg", tmp_path / "masks" / "test" / "a.png")
    with pytest.raises(DataError, match="only images for testing were found"):
        scan_dataset(tmp_path)


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("labels", r"images/ and masks/; images/ and labels/"),
        ("img_dir", r"images/ and masks/; img_dir/ and masks/"),
        ("Masks", r"images/ and Masks/; images/ and masks/"),
        ("train", r"images/ and masks/; train/images/ and train/masks/"),
    ],
)
def test_folders_of_which_several_may_be_meant_are_refused(put, put_pair, tmp_path, folder, told):
    put_pair(tmp_path / "images" / "a.jpg", tmp_path / "masks" / "a.png")
    put_pair(tmp_path / "train" / "images" / "b.jpg", tmp_path / "train" / "masks" / "b.png")
    if folder != "train":
        put(tmp_path / folder / "a.png")
        (tmp_path / "train").rename(tmp_path / "other")
    with pytest.raises(DataError, match=rf"more than one pair of folders may be meant \({told}\)"):
        scan_dataset(tmp_path)


def test_link_to_one_of_its_folders_is_no_other_pair(put_pair, tmp_path):
    put_pair(tmp_path / "images" / "a.jpg", tmp_path / "Masks" / "a.png")
    for name in ("labels", "masks"):
        (tmp_path / name).symlink_to("Masks")
    assert len(read_dataset(tmp_path).cases) == 1


def test_pairs_of_folders_below_the_one_that_is_taken_are_left_out_and_said(put_pair, tmp_path):
    put_pair(tmp_path / "images" / "a.jpg", tmp_path / "masks" / "a.png")
    put_pair(tmp_path / "more" / "images" / "b.jpg", tmp_path / "more" / "masks" / "b.png")
    dataset = read_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["a"]
    assert "left out: more/, which has images and masks of its own" in dataset.notes


def test_labels_of_boxes_and_empty_folders_are_no_masks(put_pair, tmp_path):
    put_pair(tmp_path / "images" / "a.jpg", tmp_path / "masks" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1")
    (tmp_path / "annotations").mkdir()
    assert _told(read_dataset(tmp_path)) == [("a", "all", "")]


def test_images_and_masks_of_which_none_match_are_refused_with_all_names(put, tmp_path):
    put(tmp_path / "images" / "a.jpg")
    put(tmp_path / "masks" / "b.png")
    with pytest.raises(DataError, match="no image of images/ has a mask") as caught:
        scan_dataset(tmp_path)
    assert len(caught.value.problems) == 2


def test_folders_below_are_groups_whichever_way_their_letters_are_written(put_pair, tmp_path):
    composed, divided = (normalize(form, "Z\u00fcrich") for form in ("NFC", "NFD"))
    put_pair(tmp_path / "images" / divided / "x" / "a.jpg", tmp_path / "masks" / composed / "x" / "a.png")
    assert _told(read_dataset(tmp_path)) == [("a", f"{composed}/x", "")]


def test_facts_join_pairs(put_pair, tmp_path):
    put_pair(tmp_path / "images" / "a.jpg", tmp_path / "masks" / "a.png")
    (tmp_path / "cases.csv").write_text("name,group,condition,frame,split\na,drive 1,night,7,val\n")
    (case,) = read_dataset(tmp_path).cases
    assert (case.group, case.condition, case.frame, case.split) == ("drive 1", "night", 7, "val")


@pytest.mark.parametrize("form", ["{part}/{side}", "{side}/{part}"])
def test_sides_with_a_year_or_a_set_behind_them_are_sides_and_those_for_testing_are_left_out(put_pair, tmp_path, form):
    for side in ("train2017", "val_set", "test2017"):
        images, masks = (tmp_path / form.format(part=part, side=side) for part in ("images", "masks"))
        put_pair(images / f"{side}.jpg", masks / f"{side}.png")
    dataset = read_dataset(tmp_path)
    assert _told(dataset) == [("train2017", "all", "train"), ("val_set", "all", "val")]
    assert any("test2017/, which is for testing" in note for note in dataset.notes)
