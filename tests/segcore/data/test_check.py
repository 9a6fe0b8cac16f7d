import shutil

import pytest
from PIL import Image

from segcore.data.check import inspect_dataset
from segcore.data.dividing.division import Division
from segcore.errors import DataError


def inspect(folder, folds=2):
    return inspect_dataset(folder, Division(kind="folds", folds=folds), lambda done, total: None)


def test_sound_data_set_is_counted_case_by_case(dataset_folder):
    report = inspect(dataset_folder)
    assert report.problems == ()
    assert len(report.cases) == 12
    assert report.sizes == {(64, 96): 12}
    # Twelve cases over two groups and two conditions.
    assert report.strata == {
        (group, time): 3 for group in ("Saitama", "Tokyo1") for time in ("day", "night")
    }  # fmt: skip
    assert sum(report.pixels_of_class.values()) == 12 * 64 * 96
    # Each mask has a void corner of 4x4; one may not hide a sky pixel, which fills the upper third, 21 rows.
    assert report.pixels_of_class["(void)"] == 12 * 16
    assert report.pixels_of_class["sky"] == 12 * 21 * 96
    assert report.images_of_class == {"road": 12, "car": 12, "person": 12, "sky": 12, "(void)": 12}
    assert report.findings.alike == ()
    assert sorted(report.findings.split.fold_of.values()).count(0) == 6
    assert report.findings.leakage.divided_blocks == 0


def test_every_problem_is_in_one_list_and_the_rest_is_still_counted(make_dataset):
    folder = make_dataset(*[(32, 48)] * 6)
    (folder / "seg_train_annotations" / "train_0001.png").unlink()
    (folder / "seg_train_images" / "train_0002.jpg").write_bytes(b"no jpeg")
    report = inspect(folder)
    assert len(report.cases) == 4
    assert [problem.split(":")[0] for problem in report.problems] == ["train_0001.png", "train_0002.jpg"]


def test_same_image_under_two_names_is_told(make_dataset):
    folder = make_dataset(*[(32, 48)] * 4)
    images = folder / "seg_train_images"
    shutil.copy(images / "train_0000.jpg", images / "train_0003.jpg")
    assert inspect(folder).findings.alike == (("train_0000", "train_0003"),)


@pytest.mark.parametrize(
    ("size", "orientation", "turned"),
    [((32, 48), 3, ("train_0000",)), ((32, 32), 6, ("train_0000",)), ((32, 48), 6, ()), ((32, 48), 1, ())],
)
def test_image_that_may_have_been_turned_away_from_its_mask_is_named(make_dataset, size, orientation, turned):
    """Upside down or square, its size fits a mask that was drawn over it as it lies."""
    folder = make_dataset(*[size] * 4)
    file = folder / "seg_train_images" / "train_0000.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(file) as image:
        stored = image.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else image.copy()
    stored.save(file, exif=exif)
    report = inspect(folder)
    assert (report.turned, report.problems) == (turned, ())


def test_folds_that_cannot_be_made_are_a_problem(make_dataset):
    report = inspect(make_dataset(*[(32, 48)] * 4), folds=7)
    assert report.findings.split is None
    assert "folds=7: the data has only 4 blocks" in report.problems[0]


def test_folder_without_data_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no data set"):
        inspect(tmp_path)
