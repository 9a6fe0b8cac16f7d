import numpy as np
import pytest

from segcore.data.dataset import decode_case, read_dataset, scan_dataset
from segcore.data.sources.cityscapes import CITYSCAPES_CLASSES
from segcore.errors import DataError


@pytest.fixture
def put_frame(put_pair, tmp_path):
    """Return a function that writes a frame and its fine mask."""

    def put_frame(side, name, numbers=((7, 0),), ending="gtFine_labelIds"):
        city = name.split("_")[0]
        image = tmp_path / "leftImg8bit" / side / city / f"{name}_leftImg8bit.png"
        put_pair(image, tmp_path / "gtFine" / side / city / f"{name}_{ending}.png", numbers)

    return put_frame


def test_benchmarks_classes_have_its_names_ids_and_colours():
    id_of = dict(zip(CITYSCAPES_CLASSES.names, CITYSCAPES_CLASSES.ids, strict=True))
    assert len(id_of) == 19
    assert (id_of["road"], id_of["traffic light"], id_of["train"], id_of["bicycle"]) == (7, 19, 31, 33)
    colour_of = dict(zip(CITYSCAPES_CLASSES.names, CITYSCAPES_CLASSES.colours, strict=True))
    assert (colour_of["road"], colour_of["car"], colour_of["bicycle"]) == ((128, 64, 128), (0, 0, 142), (119, 11, 32))
    assert CITYSCAPES_CLASSES.scored == CITYSCAPES_CLASSES.names


def test_official_split_cities_and_places_in_the_drive_are_read_from_the_names(put_frame, tmp_path):
    put_frame("train", "aachen_000001_000019")
    put_frame("train", "hamburg_000000_000629")
    put_frame("val", "munster_000002_000019")
    dataset = read_dataset(tmp_path)
    assert dataset.layout == "cityscapes"
    assert [(case.name, case.group, case.frame, case.split) for case in dataset.cases] == [
        ("aachen_000001_000019", "aachen", 1_000_019, "train"),
        ("hamburg_000000_000629", "hamburg", 629, "train"),
        ("munster_000002_000019", "munster", 2_000_019, "val"),
    ]


def test_evaluated_labels_are_classes_and_all_others_void(put_frame, tmp_path):
    # Road, bicycle, ego vehicle, ground, parking, a trailer, and the number plate's -1 in 8 bits.
    put_frame("train", "aachen_000000_000019", [[7, 33, 1, 6, 9, 30, 255]])
    dataset = read_dataset(tmp_path)
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 18, 255, 255, 255, 255, 255]]
    assert dataset.classes is CITYSCAPES_CLASSES
    assert "masks: numbers, labelIds" in dataset.notes


def test_label_that_cityscapes_has_not_is_refused(put_frame, tmp_path):
    put_frame("train", "aachen_000000_000019", [[34, 7]])
    with pytest.raises(DataError, match="unknown number 34: 1 pixels"):
        decode_case(read_dataset(tmp_path).cases[0])


def test_train_ids_under_the_name_of_label_ids_are_refused(put_frame, tmp_path):
    """Read as labelIds, road (0) would be void and a traffic sign (7) a road."""
    for sequence in range(3):
        put_frame("train", f"aachen_{sequence:06}_000019", [[0, 0, 2, 7, 8, 13, 255]])
    with pytest.raises(DataError, match=r"seem to hold labelTrainIds: call them \.\.\._gtFine_labelTrainIds\.png"):
        read_dataset(tmp_path)
    put_frame("train", "aachen_000002_000019", [[0, 0, 2, 7, 8, 26, 255]])
    put_frame("val", "munster_000000_000019", [[0, 1]])
    with pytest.raises(DataError, match="seem to hold labelTrainIds"):
        read_dataset(tmp_path)
    put_frame("val", "munster_000000_000019", [[7, 26]])
    assert "masks: numbers, labelIds" in read_dataset(tmp_path).notes


def test_damaged_mask_does_not_hide_that_the_others_hold_train_ids(put_frame, tmp_path):
    for sequence in range(2):
        put_frame("train", f"aachen_{sequence:06}_000019", [[0, 1, 7]])
    next(tmp_path.rglob("aachen_000000*labelIds.png")).write_bytes(b"no image")
    with pytest.raises(DataError, match="seem to hold labelTrainIds"):
        read_dataset(tmp_path)


def test_train_ids_are_read_where_there_are_no_label_ids(put_frame, tmp_path):
    put_frame("train", "aachen_000000_000019", [[0, 18, 255]], "gtFine_labelTrainIds")
    dataset = read_dataset(tmp_path)
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 18, 255]]
    assert "masks: numbers, labelTrainIds, 255 is void" in dataset.notes


@pytest.mark.parametrize("ending", ["gtFine_labelIds", "gtFine_labelTrainIds"])
def test_list_of_names_is_heard_before_the_benchmarks_classes(put_frame, tmp_path, ending):
    """Read as Cityscapes', number 1 would be a sidewalk, or void."""
    put_frame("train", "graz_000000_000001", [[0, 1, 255]], ending)
    (tmp_path / "names.txt").write_text("lane\nkerb\n")
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("lane", "kerb")
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 1, 255]]


def test_label_ids_are_preferred_and_the_other_pictures_of_a_mask_are_no_masks(put, put_frame, tmp_path):
    put_frame("train", "aachen_000000_000019", [[33, 7]])
    for ending in ("color", "instanceIds", "labelTrainIds"):
        put(tmp_path / "gtFine" / "train" / "aachen" / f"aachen_000000_000019_gtFine_{ending}.png", [[5, 5]])
    dataset = read_dataset(tmp_path)
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[18, 0]]
    assert not any("files" in note for note in dataset.notes)


def test_dummy_and_coarse_masks_are_left_out_and_said(put, put_frame, tmp_path):
    put_frame("train", "aachen_000000_000019")
    put_frame("test", "berlin_000000_000019")
    put(tmp_path / "leftImg8bit" / "train_extra" / "bonn" / "bonn_000000_000019_leftImg8bit.png")
    put(tmp_path / "gtCoarse" / "train" / "aachen" / "aachen_000000_000019_gtCoarse_labelIds.png")
    dataset = read_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["aachen_000000_000019"]
    assert [note for note in dataset.notes if note.startswith("left out")] == [
        "left out: leftImg8bit/test/, whose masks are dummies",
        "left out: leftImg8bit/train_extra/, which has coarse masks only",
        "left out: gtCoarse/, whose masks leave borders out",
    ]


def test_frame_without_a_mask_and_mask_without_a_frame_are_named(put, put_frame, tmp_path):
    put_frame("train", "aachen_000000_000019")
    put(tmp_path / "leftImg8bit" / "train" / "aachen" / "aachen_000001_000019_leftImg8bit.png")
    put(tmp_path / "gtFine" / "train" / "aachen" / "aachen_000002_000019_gtFine_labelIds.png")
    _, problems = scan_dataset(tmp_path)
    assert [problem.split(" in /")[0] for problem in sorted(problems)] == [
        "aachen_000001_000019_leftImg8bit.png: no mask of that name",
        "aachen_000002_000019_gtFine_labelIds.png: a mask without an image of that name",
    ]


def test_images_without_fine_masks_say_what_to_unpack(put, tmp_path):
    put(tmp_path / "leftImg8bit" / "train" / "aachen" / "aachen_000000_000019_leftImg8bit.png")
    with pytest.raises(DataError, match=r"has no gtFine/train/; unpack .* gtFine_trainvaltest\.zip"):
        scan_dataset(tmp_path)
    with pytest.raises(DataError, match=r"has no leftImg8bit/train/ or leftImg8bit/val/"):
        scan_dataset(_only_test(tmp_path / "other"))


def test_own_frames_of_other_names_are_grouped_by_their_folder(put_pair, tmp_path):
    image = tmp_path / "leftImg8bit" / "train" / "drive 3" / "x_leftImg8bit.png"
    put_pair(image, tmp_path / "gtFine" / "train" / "drive 3" / "x_gtFine_labelIds.png", [[7]])
    (case,) = read_dataset(tmp_path).cases
    assert (case.name, case.group, case.frame) == ("x", "drive 3", None)


def test_frames_of_a_city_stay_in_blocks_of_neighbours(put_frame, tmp_path):
    from segcore.data.dividing.folds import make_folds

    for sequence in range(16):
        put_frame("train", f"aachen_{sequence:06}_000019")
    split = make_folds(read_dataset(tmp_path).cases, 2)
    folds = [split.fold_of[f"aachen_{sequence:06}_000019"] for sequence in range(16)]
    # Sixteen in two folds of two blocks each: four blocks of four.
    assert [len(set(folds[start : start + 4])) for start in range(0, 16, 4)] == [1, 1, 1, 1]
    assert np.mean(folds) == 0.5


def _only_test(folder):
    (folder / "leftImg8bit" / "test").mkdir(parents=True)
    return folder


def test_masks_of_colours_are_left_to_the_command_that_finds_them(put_pair, tmp_path):
    image = tmp_path / "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
    put_pair(image, tmp_path / "gtFine/train/aachen/aachen_000000_000019_gtFine_color.png", [[(128, 64, 128)]])
    with pytest.raises(DataError, match=r"has a mask; 'python -m segcore init .* --force' looks for masks of other"):
        read_dataset(tmp_path)
