import unicodedata

import numpy as np
import pytest
from PIL import Image

from segcore.data.dataset import decode_case, read_dataset
from segcore.errors import DataError
from segcore.scoring.masks import read_colour_masks, score_masks
from segcore.scoring.submission import write_submission


@pytest.fixture
def truths(dataset_folder):
    """Class indices of every case."""
    dataset = read_dataset(dataset_folder)
    return {case.name: decode_case(case).mask_HW for case in dataset.cases}


def save_masks(folder, masks, classes):
    folder.mkdir(exist_ok=True)
    for name, mask_HW in masks.items():
        Image.fromarray(classes.palette_N3[mask_HW]).save(folder / f"{name}.png")
    return folder


def test_the_truth_as_masks_scores_one(dataset_folder, truths, classes, tmp_path):
    result = score_masks(dataset_folder, save_masks(tmp_path / "masks", truths, classes))
    assert (result.metrics["iou"], result.metrics["miou"]) == (1.0, 1.0)
    assert (result.images, result.missing) == (12, ())


def test_submission_scores_like_the_masks_it_was_made_of(dataset_folder, truths, classes, tmp_path):
    # Every car is called background (black): cars score 0 and persons 1, so each image has (0 + 1) / 2.
    wrong = {name: np.where(mask_HW == 1, 255, mask_HW).astype(np.uint8) for name, mask_HW in truths.items()}
    folder = save_masks(tmp_path / "masks", wrong, classes)
    file = tmp_path / "submission.json"
    write_submission(((f"{name}.jpg", mask_HW) for name, mask_HW in read_colour_masks(folder, classes)), file, classes)
    by_masks, by_submission = score_masks(dataset_folder, folder), score_masks(dataset_folder, file)
    assert by_masks.metrics["iou"] == by_submission.metrics["iou"] == pytest.approx(0.5)
    assert by_masks.metrics["iou/car"] == 0.0
    # Editors of Windows write a mark of three bytes first.
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert score_masks(dataset_folder, file).metrics == by_submission.metrics
    assert "miou" not in by_submission.metrics, "a submission holds the scored classes alone"


def test_cases_without_a_mask_are_named_and_left_out(dataset_folder, truths, classes, tmp_path):
    some = {name: mask_HW for name, mask_HW in truths.items() if name != "train_0003"}
    result = score_masks(dataset_folder, save_masks(tmp_path / "masks", some, classes))
    assert (result.images, result.missing, result.metrics["iou"]) == (11, ("train_0003",), 1.0)


def test_mask_of_another_size_is_refused(dataset_folder, truths, classes, tmp_path):
    folder = save_masks(tmp_path / "masks", {"train_0000": truths["train_0000"][:32]}, classes)
    with pytest.raises(DataError, match="train_0000: the mask has 96x32 pixels, the truth 96x64; predict at"):
        score_masks(dataset_folder, folder)


def test_mask_with_unknown_colours_is_refused_with_its_name(dataset_folder, tmp_path):
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.full((64, 96, 3), 7, np.uint8)).save(tmp_path / "masks" / "train_0000.png")
    with pytest.raises(DataError, match=r"unknown colour \(7, 7, 7\): 6144 pixels"):
        score_masks(dataset_folder, tmp_path / "masks")


def test_masks_of_other_images_are_refused(dataset_folder, truths, classes, tmp_path):
    folder = save_masks(tmp_path / "masks", {"elsewhere": truths["train_0000"]}, classes)
    with pytest.raises(DataError, match="has no mask for any of the 12 cases"):
        score_masks(dataset_folder, folder)


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_folder_without_masks_is_refused(classes, tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no PNG mask; give the folder that"):
        list(read_colour_masks(tmp_path / place, classes))


def test_masks_match_cases_whichever_way_an_accent_is_written(dataset_folder, truths, classes, tmp_path, make_dataset):
    folder = make_dataset((32, 48))
    composed, divided = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    for file in (*folder.glob("seg_train_images/*"), *folder.glob("seg_train_annotations/*")):
        file.rename(file.with_name(f"{divided}{file.suffix}"))
    (case,) = read_dataset(folder).cases
    masks = {composed: decode_case(case).mask_HW}
    assert score_masks(folder, save_masks(tmp_path / "masks", masks, classes)).metrics["iou"] == 1.0
    write_submission([(f"{composed}.jpg", masks[composed])], tmp_path / "s.json", classes)
    assert score_masks(folder, tmp_path / "s.json").metrics["iou"] == 1.0


def test_masks_of_upper_case_suffix_are_read_and_ghosts_are_not(classes, truths, tmp_path):
    folder = save_masks(tmp_path / "masks", {"a": truths["train_0000"]}, classes)
    (folder / "a.png").rename(folder / "a.PNG")
    (folder / "._a.png").write_bytes(b"Mac OS X")
    ((name, mask_HW),) = read_colour_masks(folder, classes)
    assert name == "a"
    np.testing.assert_array_equal(mask_HW, truths["train_0000"])
