import pytest

from segcore.data.dataset import decode_case, read_dataset, scan_dataset
from segcore.errors import DataError

CLASS_DICT = "name,r,g,b\nAnimal,64,128,64\nCar,64,0,128\nVoid,0,0,0\n"
LABEL_COLOURS = "64 128 64\tAnimal\n64 0 128\t\tCar\n0 0 0\t\tVoid\n128 64 128\tRoad\n"


def _facts(dataset):
    return [(case.name, case.group, case.frame, case.split) for case in dataset.cases]


def test_segnets_form_is_numbers_of_eleven_classes_with_its_split(put_pair, tmp_path):
    put_pair(tmp_path / "train" / "0001TP_006690.png", tmp_path / "trainannot" / "0001TP_006690.png", [[0, 10, 11]])
    put_pair(tmp_path / "val" / "0016E5_07959.png", tmp_path / "valannot" / "0016E5_07959.png", [[3, 255]])
    put_pair(tmp_path / "test" / "Seq05VD_f00000.png", tmp_path / "testannot" / "Seq05VD_f00000.png")
    dataset = read_dataset(tmp_path)
    assert dataset.layout == "camvid"
    assert _facts(dataset) == [("0001TP_006690", "0001TP", 6690, "train"), ("0016E5_07959", "0016E5", 7959, "val")]
    assert [decode_case(case).mask_HW.tolist() for case in dataset.cases] == [[[0, 10, 255]], [[3, 255]]]
    assert (dataset.classes.names[0], dataset.classes.names[10], len(dataset.classes)) == ("sky", "bicyclist", 11)
    assert dataset.classes.colours[3] == (128, 64, 128)
    assert "left out: test/, which is for testing" in dataset.notes


def test_side_without_masks_is_left_out_and_said(put, put_pair, tmp_path):
    put_pair(tmp_path / "train" / "0001TP_006690.png", tmp_path / "trainannot" / "0001TP_006690.png")
    put(tmp_path / "val" / "0016E5_07959.png")
    assert "left out: val/, which has no masks beside it" in read_dataset(tmp_path).notes


def test_number_beyond_segnets_void_is_refused(put_pair, tmp_path):
    put_pair(tmp_path / "train" / "0001TP_006690.png", tmp_path / "trainannot" / "0001TP_006690.png", [[12]])
    with pytest.raises(DataError, match="unknown number 12"):
        decode_case(read_dataset(tmp_path).cases[0])


def test_original_form_is_colours_of_label_colors_with_void(put_pair, tmp_path):
    colours = [[(64, 128, 64), (128, 64, 128), (0, 0, 0), (64, 0, 128)]]
    for name in ("0006R0_f01470", "Seq05VD_f02910"):
        put_pair(
            tmp_path / "701_StillsRaw_full" / f"{name}.png",
            tmp_path / "LabeledApproved_full" / f"{name}_L.png",
            colours,
        )
    (tmp_path / "label_colors.txt").write_text(LABEL_COLOURS)
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("Animal", "Car", "Road")
    assert dataset.classes.void == ((0, 0, 0),)
    assert _facts(dataset) == [("0006R0_f01470", "0006R0", 1470, ""), ("Seq05VD_f02910", "Seq05VD", 2910, "")]
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 2, 255, 1]]


def test_list_of_colours_may_lie_beside_the_masks(put_pair, tmp_path):
    masks = tmp_path / "LabeledApproved_full"
    put_pair(tmp_path / "701_StillsRaw_full" / "a.png", masks / "a_L.png", [[(64, 128, 64)]])
    (masks / "label_colors.txt").write_text(LABEL_COLOURS)
    (case,) = read_dataset(tmp_path).cases
    # A name that is not of CamVid's form stands alone.
    assert (case.name, case.group, case.frame) == ("a", "all", None)


def test_kaggles_form_is_colours_of_class_dict_with_its_split(put_pair, tmp_path):
    for side in ("train", "val", "test"):
        put_pair(
            tmp_path / side / f"0001TP_00{len(side)}.png",
            tmp_path / f"{side}_labels" / f"0001TP_00{len(side)}_L.png",
            [[(64, 0, 128), (0, 0, 0)]],
        )
    (tmp_path / "class_dict.csv").write_text(CLASS_DICT.replace("name,r,g,b", "name, r, g, b"))
    dataset = read_dataset(tmp_path)
    assert _facts(dataset) == [("0001TP_003", "0001TP", 3, "val"), ("0001TP_005", "0001TP", 5, "train")]
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[1, 255]]
    assert "classes: 2, named in class_dict.csv" in dataset.notes


def test_classes_json_is_heard_before_everything_else(put_pair, tmp_path):
    put_pair(tmp_path / "train" / "a.png", tmp_path / "trainannot" / "a.png", [[0, 1]])
    (tmp_path / "classes.json").write_text('{"classes": [{"name": "a", "id": 0}, {"name": "b", "id": 1}]}')
    assert read_dataset(tmp_path).classes.names == ("a", "b")


def test_list_of_names_is_heard_before_segnets_classes(put_pair, tmp_path):
    put_pair(tmp_path / "train" / "0001TP_006690.png", tmp_path / "trainannot" / "0001TP_006690.png", [[0, 1]])
    (tmp_path / "names.txt").write_text("road\ncar\n")
    dataset = read_dataset(tmp_path)
    assert (dataset.classes.names, dataset.classes.scored) == (("road", "car"), ("road", "car"))
    assert decode_case(dataset.cases[0]).mask_HW.tolist() == [[0, 1]]


def test_own_data_in_segnets_folders_does_not_get_camvids_classes(put_pair, tmp_path):
    """Their number 0 would be the sky."""
    put_pair(tmp_path / "train" / "town_0001.png", tmp_path / "trainannot" / "town_0001.png", [[0, 3, 255]])
    dataset = read_dataset(tmp_path)
    assert dataset.classes.names == ("background", "class_3")
    assert any(note.startswith("folders: SegNet's, but files are not called") for note in dataset.notes)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "has no label_colors.txt"),
        ("64 128\tAnimal", r"label_colors\.txt cannot be read .*the line '64 128\\tAnimal'"),
        ("64 128 999 Animal\n1 2 3 Car", r"label_colors\.txt cannot be used:\n  - a colour has a part outside 0..255"),
        ("64 128 64 Animal\n64 128 64 Car", r"label_colors\.txt cannot be used:\n  - colour \(64, 128, 64\) occurs"),
    ],
)
def test_list_of_colours_that_cannot_be_used_is_named(put_pair, tmp_path, content, complaint):
    put_pair(tmp_path / "701_StillsRaw_full" / "a.png", tmp_path / "LabeledApproved_full" / "a_L.png", [[(1, 2, 3)]])
    if content is not None:
        (tmp_path / "label_colors.txt").write_text(content)
    with pytest.raises(DataError, match=complaint):
        scan_dataset(tmp_path)


@pytest.mark.parametrize("content", ["", "name,r,g\nCar,1,2\n", "name,r,g,b\nCar,1,2\n", "name,r,g,b\nCar,1,2,x\n"])
def test_class_dict_that_cannot_be_used_is_named_with_its_form(put_pair, tmp_path, content):
    put_pair(tmp_path / "train" / "a.png", tmp_path / "train_labels" / "a_L.png", [[(1, 2, 3)]])
    (tmp_path / "class_dict.csv").write_text(content)
    with pytest.raises(DataError, match=r"class_dict\.csv cannot be (used|read)"):
        scan_dataset(tmp_path)


def test_train_and_train_labels_without_class_dict_are_not_camvids(put_pair, tmp_path):
    put_pair(tmp_path / "train" / "a.png", tmp_path / "train_labels" / "a_L.png", [[0, 1]])
    with pytest.raises(DataError, match="is no data set of a known layout"):
        scan_dataset(tmp_path)
