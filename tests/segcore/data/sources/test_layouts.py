import pytest

from segcore.data.sources.layouts import LAYOUTS, find_layout
from segcore.errors import ConfigError, DataError


def _make(root, *folders):
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("folders", "name"),
    [
        (("seg_train_images", "seg_train_annotations"), "contest"),
        (("leftImg8bit/train", "gtFine/train"), "cityscapes"),
        (("train", "trainannot"), "camvid"),
        (("701_StillsRaw_full", "LabeledApproved_full"), "camvid"),
    ],
)
def test_special_names_are_recognised(tmp_path, folders, name):
    assert find_layout(_make(tmp_path, *folders)).name == name


def test_special_names_come_before_common_ones(put_pair, tmp_path):
    put_pair(tmp_path / "images" / "a.png", tmp_path / "masks" / "a.png")
    assert find_layout(tmp_path).name == "pairs"
    put_pair(tmp_path / "JPEGImages" / "a.png", tmp_path / "SegmentationClass" / "a.png")
    assert find_layout(tmp_path).name == "voc"
    _make(tmp_path, "seg_train_images")
    assert find_layout(tmp_path).name == "contest"
    assert find_layout(tmp_path, "voc").name == "voc"


def test_unknown_folder_is_refused_with_every_layout_and_its_form(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="is no data set of a known layout") as caught:
        find_layout(tmp_path)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [layout.name for layout in LAYOUTS]
    assert "pairs: images/ and masks/, whole or by train/ and val/" in caught.value.problems


def test_folder_around_a_data_set_is_refused_with_the_data_sets(put_pair, tmp_path):
    place = tmp_path / "VOCdevkit" / "VOC2012"
    put_pair(place / "JPEGImages" / "a.png", place / "SegmentationClass" / "a.png")
    with pytest.raises(DataError, match="VOC2012 has that of voc; "):
        find_layout(tmp_path / "VOCdevkit")


@pytest.mark.parametrize(("files", "told"), [((), "it is empty"), (("a.npy", "b.npy", "c.txt"), ".npy: 2, .txt: 1")])
def test_masks_that_are_not_read_are_told_of(put, tmp_path, files, told):
    put(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    for name in files:
        (tmp_path / "masks" / name).write_text("")
    with pytest.raises(
        DataError, match=rf"layout; masks/ has no file that is read \({told}\); 'python -m segcore init"
    ):
        find_layout(tmp_path)


def test_layout_that_the_folder_has_not_is_refused_with_its_form(tmp_path):
    with pytest.raises(DataError, match=r"has not the layout cityscapes: leftImg8bit/train/ and gtFine/train/"):
        find_layout(tmp_path, "cityscapes")


def test_layout_of_another_name_is_refused_with_all_names(tmp_path):
    with pytest.raises(ConfigError, match=r"--layout 'coco': use .*contest.*cityscapes.*pairs, or leave it out"):
        find_layout(tmp_path, "coco")


@pytest.mark.parametrize("name", ["", "pairs"])
def test_what_is_no_folder_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="it is no folder"):
        find_layout(tmp_path / "file", name)
