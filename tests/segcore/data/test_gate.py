import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.check import inspect_dataset
from segcore.data.dataset import read_dataset
from segcore.data.dividing.division import Division
from segcore.data.dividing.folds import make_folds
from segcore.data.dividing.own_folds import OwnFolds
from segcore.data.gate import describe_findings, pass_gate
from segcore.errors import DataError
from tests.conftest import paint

ROAD, CAR, PERSON, SKY, VOID = 0, 1, 2, 3, 255


def set_mask(folder, number, *indices):
    """Give a case a mask of equal columns of classes, 32x48."""
    mask_HW = np.repeat(np.array(indices, np.uint8), 48 // len(indices))[None].repeat(32, axis=0)
    Image.fromarray(paint(mask_HW)).save(folder / "seg_train_annotations" / f"train_{number:04}.png")


def set_image(folder, number, image):
    image.save(folder / "seg_train_images" / f"train_{number:04}.jpg", quality=95)


def open_image(folder, number):
    with Image.open(folder / "seg_train_images" / f"train_{number:04}.jpg") as image:
        return image.convert("RGB")


def inspect(folder, folds=2):
    return inspect_dataset(folder, Division(kind="folds", folds=folds), lambda done, total: None)


def divide_by(fold_of):
    """Return the division of a user's own folds."""
    own = OwnFolds(file=Path("folds.json"), fold_of=fold_of, block_of={name: name for name in fold_of})
    return Division(kind="own", folds=own.folds, own=own)


@pytest.fixture
def judge(tmp_path):
    """Return a function that asks the gate of a folder's cache, and checks that `check` says the same."""

    def ask(folder, folds=2, own=None):
        dataset = read_dataset(folder)
        cache = PixelCache(prepare_cache(dataset, tmp_path / "cache"))
        division = own or Division(kind="folds", folds=folds)
        report = inspect_dataset(folder, division, lambda done, total: None)
        try:
            split, findings = pass_gate(dataset, cache, division)
        except DataError as error:
            assert tuple(error.problems) == report.problems
            raise
        assert report.findings == findings
        assert findings.split is split
        return findings

    return ask


def refuse(judge, folder, match, folds=2):
    with pytest.raises(DataError, match="cannot be trained on") as caught:
        judge(folder, folds)
    (problem,) = caught.value.problems
    assert match in problem
    return problem


def test_sound_data_passes_without_a_warning(judge, make_dataset):
    findings = judge(make_dataset(*[(32, 48)] * 8))
    assert (findings.warnings, findings.problems, findings.alike, findings.notes) == ((), (), (), ())
    # Every image has a car and a person.
    assert findings.images_of_fold == {"car": (4, 4), "person": (4, 4)}


def test_masks_that_nobody_could_read_are_not_called_void(make_dataset):
    folder = make_dataset()
    for mask in (folder / "seg_train_annotations").glob("*.png"):
        mask.write_bytes(b"no image")
    report = inspect(folder)
    assert report.problems[-1] == "no image with its mask is left that can be read, so there is nothing to learn"
    assert len(report.problems) == 5 and report.findings.warnings == ()


def test_data_without_a_scored_class_is_refused(judge, make_dataset):
    folder = make_dataset()
    for number in range(4):
        set_mask(folder, number, ROAD, SKY)
    refuse(judge, folder, "no mask has a scored class (car, person)")


def test_copies_are_kept_in_one_fold(judge, make_dataset):
    folder = make_dataset(*[(32, 48)] * 12)
    for number, (source, change) in enumerate(
        [(6, lambda image: image), (7, lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]
    ):
        set_image(folder, number, change(open_image(folder, source)))
    findings = judge(folder)
    assert findings.alike == (("train_0000", "train_0006"), ("train_0001", "train_0007"))
    for group in findings.alike:
        assert len({findings.split.fold_of[name] for name in group}) == 1
    # Otherwise they would be divided.
    apart = make_folds(read_dataset(folder).cases, 2)
    assert any(len({apart.fold_of[name] for name in group}) > 1 for group in findings.alike)
    assert findings.warnings == () and "4 in 2 groups" in findings.notes[0]


def test_images_that_were_made_of_one_stay_in_one_fold(tmp_path):
    """Turned and recoloured they have no pixel in common, and still show one scene."""
    noise = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(12):
        name = f"scene{number % 4}_jpg.rf.{number:032x}.png"
        Image.fromarray(noise.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "images" / name)
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / "masks" / name)
    findings = inspect(tmp_path, folds=4).findings
    assert findings.split is not None
    fold_of_scene = {(name.split("_")[0], fold) for name, fold in findings.split.fold_of.items()}
    assert len(fold_of_scene) == 4
    assert any(
        note.startswith("images that were made of one, by their names: 12 in 4 groups") for note in findings.notes
    )


def test_camera_that_stands_still_is_divided_all_the_same_and_told(judge, make_dataset):
    folder = make_dataset(*[(32, 48)] * 20)
    for number in range(18):
        shutil.copy(folder / "seg_train_images" / "train_0019.jpg", folder / f"seg_train_images/train_{number:04}.jpg")
    findings = judge(folder)
    assert sorted(findings.split.fold_of.values()) == [0] * 10 + [1] * 10
    assert findings.warnings[0].startswith("19 of 20 images look the same, as from a camera that stands still")


def test_mask_that_was_drawn_once_for_a_camera_keeps_no_few_images_from_being_divided(tmp_path):
    noise, slope_HW1 = np.random.default_rng(0), np.arange(64).repeat(64).reshape(64, 64, 1) * 2
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(6):
        image = Image.fromarray((slope_HW1 + noise.integers(0, 128, (64, 64, 3))).astype(np.uint8))
        image.save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(np.eye(64, dtype=np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    findings = inspect(tmp_path, folds=3).findings
    assert findings.split is not None and findings.problems == ()


def test_copies_that_a_given_split_divides_are_told(judge, make_dataset):
    folder = make_dataset(*[(32, 48)] * 4)
    set_image(folder, 0, open_image(folder, 3))
    names = [f"train_{number:04}" for number in range(4)]
    fold_of = dict(zip(names, (0, 0, 1, 1), strict=True))
    findings = judge(folder, own=divide_by(fold_of))
    assert findings.split.fold_of == fold_of
    assert findings.warnings[0].startswith("divided by the given split: 1 group of images that show the same")


def test_given_val_without_a_scored_class_is_refused_and_no_number_of_folds_is_named(make_dataset, tmp_path):
    folder = make_dataset(*[(32, 48)] * 4)
    set_mask(folder, 0, ROAD)
    dataset = read_dataset(folder)
    cache = PixelCache(prepare_cache(dataset, tmp_path / "cache"))
    names = [f"train_{number:04}" for number in range(4)]
    sides = dict(zip(names, (0, None, None, None), strict=True))
    with pytest.raises(DataError, match="cannot be trained on") as caught:
        pass_gate(dataset, cache, divide_by(sides))
    assert caught.value.problems == (
        "fold 0 of the given division: no image to validate on has a scored class (car, person), so no score could be "
        "given there; divide otherwise, or score other classes",
    )


def test_pseudo_labels_alone_are_not_divided_and_no_problem(make_dataset):
    folder = make_dataset()
    for file in (folder / "seg_train_annotations").glob("*.json"):
        document = json.loads(file.read_text())
        document["attributes"]["pseudo"] = True
        file.write_text(json.dumps(document))
    report = inspect(folder)
    assert report.problems == () and report.findings.split is None


def test_what_was_understood_is_told_with_the_warnings_last(judge, make_dataset):
    folder = make_dataset()
    for number in range(4):
        set_mask(folder, number, ROAD, CAR)
    dataset = read_dataset(folder)
    lines = describe_findings(dataset, judge(folder))
    assert lines == [
        (f"{folder}: layout contest, 4 labelled images, 4 classes, scored: car, person", False),
        ("  in no mask: sky", False),
        ("scored, but in no mask: person", True),
    ]


def test_frames_of_a_drive_that_nobody_numbered_are_told_of(tmp_path):
    passed_HW3 = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 24, 3), dtype=np.uint8), (480, 32))
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(24):
        Image.fromarray(passed_HW3[:, 4 * number :][:, :48]).save(tmp_path / f"images/x{number}.png")
        Image.fromarray(np.eye(32, 48, dtype=np.uint8)).save(tmp_path / f"masks/x{number}.png")
    (warning,) = inspect(tmp_path).findings.warnings
    assert "images look like the one before them by name, which another fold has (x0 and x1 first)" in warning
    assert warning.endswith("or in a cases.csv, which frame each is")
    (tmp_path / "cases.csv").write_text("name,frame\n" + "".join(f"x{number},{number}\n" for number in range(24)))
    assert inspect(tmp_path).findings.warnings == ()
