import shutil

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from segcore.__main__ import app
from tests.conftest import paint


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def said(result):
    return " ".join(result.output.split())


def test_pictures_show_every_group_and_condition_and_rare_classes(dataset_folder, tmp_path, read_page):
    out = tmp_path / "new" / "look.html"
    result = run("check", dataset_folder, "--folds", 3, "--pictures", out)
    assert result.exit_code == 0 and f"pictures: {out}" in result.output, result.output
    page = out.read_text(encoding="utf-8")
    text = read_page(page)
    # Twelve images of four strata, and two of each of the four classes, each once with a legend of the classes.
    assert page.count("<img ") == 12 + 4 * 2
    assert text.count("road car * person * sky void or background") == 2
    assert "Tokyo1, day (train_0000.jpg)" in text and "There are none." in text


def test_images_that_look_the_same_are_shown_side_by_side(make_dataset, tmp_path, read_page):
    folder = make_dataset(*[(32, 48)] * 6)
    images = folder / "seg_train_images"
    shutil.copy(images / "train_0001.jpg", images / "train_0004.jpg")
    result = run("check", folder, "--folds", 2, "--pictures", tmp_path / "look.html")
    assert "the same picture: train_0001, train_0004" in said(result)
    text = read_page((tmp_path / "look.html").read_text(encoding="utf-8"))
    assert "group 1 (train_0001.jpg)" in text and "group 1 (train_0004.jpg)" in text


def test_check_says_what_was_understood_before_it_counts(make_dataset):
    folder = make_dataset(*[(32, 48)] * 6)
    result = run("check", folder, "--folds", 2)
    assert f"{folder}: layout contest, 6 labelled images, 4 classes, scored: car, person" in said(result)
    # The colour that is the class in masks, and images of each fold that have it.
    assert "car (0, 0, 255)" in said(result) and "with car 3 3" in said(result)
    assert said(result).endswith("No problem found.")


def test_data_with_a_warning_is_not_called_sound(make_dataset):
    folder = make_dataset(*[(32, 48)] * 6)
    Image.fromarray(paint(np.full((32, 48), 255, np.uint8))).save(folder / "seg_train_annotations/train_0002.png")
    result = run("check", folder, "--folds", 2)
    assert result.exit_code == 0
    assert "1 image is all void, nothing is learnt of them: train_0002" in said(result)
    assert "No problem found" not in result.output
    assert said(result).endswith("It can be trained on; look at the 1 warning above.")
