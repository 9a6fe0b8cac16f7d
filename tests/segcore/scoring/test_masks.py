import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segcore.data.dataset import decode_case, read_dataset
from segcore.errors import DataError
from segcore.scoring.mask_files import read_masks, save_mask, write_mask_notes
from segcore.scoring.masks import score_masks
from segcore.scoring.submission import write_submission


@pytest.fixture
def truths(dataset_folder):
    """Class indices of every case."""
    dataset = read_dataset(dataset_folder)
    return {case.name: decode_case(case).mask_HW for case in dataset.cases}


def save_masks(folder, masks, classes):
    folder.mkdir(exist_ok=True)
    for name, mask_HW in masks.items():
        save_mask(mask_HW, folder / f"{name}.png", classes)
    return folder


def make_pairs(folder, pairs):
    """Write images of 32x32, the n-th all of class n, and return the folder and its class table."""
    for number, (image, mask) in enumerate(pairs.items()):
        for part, name, mode in (("images", image, "RGB"), ("masks", mask, "L")):
            (folder / part / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new(mode, (32, 32), number if mode == "L" else (9, 9, 9)).save(folder / part / name)
    return folder, read_dataset(folder).classes


def test_the_truth_as_masks_scores_one(dataset_folder, truths, classes, tmp_path):
    result = score_masks(dataset_folder, save_masks(tmp_path / "masks", truths, classes))
    assert (result.metrics["iou"], result.metrics["miou"]) == (1.0, 1.0)
    assert (result.images, result.missing) == (12, ())


def test_borders_are_counted_only_when_asked(dataset_folder, truths, classes, tmp_path):
    masks = save_masks(tmp_path / "masks", truths, classes)
    assert "boundary_iou" not in score_masks(dataset_folder, masks).metrics
    assert score_masks(dataset_folder, masks, boundaries=True).metrics["boundary_iou"] == 1.0


def test_submission_scores_like_the_masks_it_was_made_of(dataset_folder, truths, classes, tmp_path):
    # Every car is called background (black): cars score 0 and persons 1, so each image has (0 + 1) / 2.
    wrong = {name: np.where(mask_HW == 1, 255, mask_HW).astype(np.uint8) for name, mask_HW in truths.items()}
    folder = save_masks(tmp_path / "masks", wrong, classes)
    file = tmp_path / "submission.json"
    write_submission(((f"{name}.jpg", mask_HW) for name, mask_HW in read_masks(folder, classes)), file, classes)
    by_masks, by_submission = score_masks(dataset_folder, folder), score_masks(dataset_folder, file)
    assert by_masks.metrics["iou"] == by_submission.metrics["iou"] == pytest.approx(0.5)
    assert by_masks.metrics["iou/car"] == 0.0
    # Editors of Windows write a mark of three bytes first.
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert score_masks(dataset_folder, file).metrics == by_submission.metrics
    assert "miou" not in by_submission.metrics, "a submission holds the scored classes alone"


def test_cases_without_a_mask_are_named_and_count_as_background(dataset_folder, truths, classes, tmp_path):
    some = {name: mask_HW for name, mask_HW in truths.items() if name != "train_0003"}
    file = tmp_path / "s.json"
    write_submission(((f"{name}.jpg", mask_HW) for name, mask_HW in some.items()), file, classes)
    for masks in (save_masks(tmp_path / "masks", some, classes), file):
        result = score_masks(dataset_folder, masks)
        # Eleven images score 1 and one 0.
        assert (result.images, result.missing, result.metrics["iou"]) == (12, ("train_0003",), pytest.approx(11 / 12))
        # Every image has 21 x 32 pixels of cars.
        assert result.metrics["iou/car"] < 1


def test_masks_of_no_image_are_named(dataset_folder, truths, classes, tmp_path):
    folder = save_masks(tmp_path / "masks", {**truths, "elsewhere": truths["train_0000"]}, classes)
    assert score_masks(dataset_folder, folder).surplus == ("elsewhere",)


def test_masks_of_a_network_that_learnt_the_scored_classes_alone_have_no_miou(
    dataset_folder, truths, classes, tmp_path
):
    # Classes 1 and 2 are scored.
    alone = {
        name: np.where(np.isin(mask_HW, (1, 2)), mask_HW, 255).astype(np.uint8) for name, mask_HW in truths.items()
    }
    result = score_masks(dataset_folder, save_masks(tmp_path / "masks", alone, classes))
    assert not result.every_class
    assert result.metrics["iou"] == result.metrics["miou_scored"] == 1.0
    assert "miou" not in result.metrics and "iou/road" not in result.metrics
    # One pixel of road says that it was learnt, and then its lack elsewhere is wrong, and that of the sky.
    row, column = np.argwhere(truths["train_0000"] == 0)[0]
    alone["train_0000"][row, column] = 0
    result = score_masks(dataset_folder, save_masks(tmp_path / "masks", alone, classes))
    assert result.every_class and 0.5 < result.metrics["miou"] < 0.51


def test_missing_masks_do_not_say_that_background_was_predicted(dataset_folder, truths, tmp_path, classes):
    only_scored = {"train_0000": np.where(truths["train_0000"] == 2, 2, 1).astype(np.uint8)}
    assert score_masks(dataset_folder, save_masks(tmp_path / "masks", only_scored, classes)).every_class


def test_mask_is_matched_by_its_images_name_where_the_case_has_a_shorter_one(tmp_path):
    data, table = make_pairs(
        tmp_path / "data", {"a/0_leftImg8bit.png": "a/0_gt.png", "b/1_leftImg8bit.png": "b/1_gt.png"}
    )
    masks = {f"{number}_leftImg8bit": np.full((32, 32), number, np.uint8) for number in (0, 1)}
    result = score_masks(data, save_masks(tmp_path / "masks", masks, table))
    assert (result.metrics["miou"], result.missing) == (1.0, ())


def test_name_that_two_images_share_is_no_match(tmp_path):
    data, table = make_pairs(tmp_path / "data", {"a/0.png": "a/0.png", "b/0.png": "b/0.png"})
    assert [case.name for case in read_dataset(data).cases] == ["a_0", "b_0"]
    masks = {"a_0": np.zeros((32, 32), np.uint8), "0": np.zeros((32, 32), np.uint8)}
    result = score_masks(data, save_masks(tmp_path / "masks", masks, table))
    assert (result.missing, result.surplus) == (("b_0",), ("0",))


def test_masks_that_say_255_for_the_one_class_whose_number_is_1_are_refused(tmp_path):
    data, table = make_pairs(tmp_path / "data", {"a.png": "a.png", "b.png": "b.png"})
    masks = save_masks(tmp_path / "masks", {"a": np.zeros((32, 32), np.uint8)}, table)
    Image.new("L", (32, 32), 255).save(masks / "b.png")
    with pytest.raises(DataError, match=r"1 mask has the number 255, .* 1, which is 'class_1' in the data; write 1"):
        score_masks(data, masks)
    # Of such that a prediction noted, 255 is what its network knows no class for.
    write_mask_notes(save_masks(tmp_path / "noted", {}, table), [data / "images" / "a.png"], table)
    for name in ("a.png", "b.png"):
        (masks / name).rename(tmp_path / "noted" / name)
    assert score_masks(data, tmp_path / "noted").metrics["iou"] == 0.0
    # Of such that hold 1, too, it is what their program is not sure of.
    both_HW = np.eye(32, dtype=np.uint8)
    Image.new("L", (32, 32), 255).save(save_masks(tmp_path / "unsure", {"a": both_HW}, table) / "b.png")
    assert score_masks(data, tmp_path / "unsure").missing == ()


def test_mask_of_another_size_is_refused(dataset_folder, truths, classes, tmp_path):
    folder = save_masks(tmp_path / "masks", {"train_0000": truths["train_0000"][:32]}, classes)
    with pytest.raises(DataError, match="train_0000: the mask has 96x32 pixels, the truth 96x64; predict at"):
        score_masks(dataset_folder, folder)


def test_mask_with_unknown_colours_is_refused_with_its_name(dataset_folder, tmp_path):
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.full((64, 96, 3), 7, np.uint8)).save(tmp_path / "masks" / "train_0000.png")
    with pytest.raises(DataError, match=r"unknown colour \(7, 7, 7\): 6144 pixels"):
        score_masks(dataset_folder, tmp_path / "masks")


def test_masks_that_were_written_with_other_classes_are_refused(dataset_folder, truths, classes, tmp_path):
    """Their cars have the colour of the data's people, so that every pixel of both would count as a mistake."""
    road, car, person, sky = classes.colours
    for name, colours in (("same", classes.colours), ("other", (road, person, car, sky))):
        (tmp_path / name).mkdir()
        write_mask_notes(tmp_path / name, [], replace(classes, colours=colours))
        save_masks(tmp_path / name, truths, classes)
    assert score_masks(dataset_folder, tmp_path / "same").metrics["miou"] == 1
    with pytest.raises(
        DataError, match=r"of other classes than the data's .*'person' in the masks and 'car' in the data"
    ):
        score_masks(dataset_folder, tmp_path / "other")


def test_masks_of_other_images_are_refused(dataset_folder, truths, classes, tmp_path):
    folder = save_masks(tmp_path / "masks", {"elsewhere": truths["train_0000"]}, classes)
    with pytest.raises(DataError, match="has no mask for any of the 12 cases"):
        score_masks(dataset_folder, folder)


def test_submission_whose_names_end_otherwise_is_refused_with_how_to_write_it_anew(tmp_path):
    data, table = make_pairs(tmp_path / "data", {"0.png": "0.png", "1.png": "1.png"})
    file = tmp_path / "s.json"
    for name in ("1.jpg", "1"):
        write_submission([(name, np.ones((32, 32), np.uint8))], file, table)
        with pytest.raises(DataError, match="names must end as the images' do") as caught:
            score_masks(data, file)
        assert f"it has '{name}', and an image is '0.png'" in str(caught.value)
        assert f"'python -m segcore submit MASKS {file} --images {data / 'images'}'" in str(caught.value)
    for masks, told in (({"2.png": np.ones((32, 32), np.uint8)}, "it has '2.png', and an image"), ({}, "it is empty")):
        write_submission(masks.items(), file, table)
        with pytest.raises(DataError, match=told):
            score_masks(data, file)


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
