import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from segcore.__main__ import app
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.check import inspect_dataset
from segcore.data.classes import CONTEST_CLASSES, ClassTable, find_class_table
from segcore.data.dataset import decode_case, read_dataset
from segcore.data.dividing.division import Division
from segcore.data.dividing.folds import make_folds
from segcore.data.extra import read_extra
from segcore.errors import ConfigError, DataError, LeftOutError, StorageError
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import load_ensemble, save_ensemble
from segcore.prediction.pseudo_label import PseudoOptions, add_void_colour, label_sure_pixels, write_pseudo_labels

VOID = 255
GREY = ClassTable(names=("a", "b"), colours=((0, 0, 0), (1, 1, 1)), scored=("a",))


def _draw_states(config, outputs, count=1):
    """Random weights of networks that are sure of some pixels and not of others."""
    torch.manual_seed(3)
    for _ in range(count):
        weights = build_architecture(config, outputs).state_dict()
        weights["network.segmentation_head.0.weight"] *= 30
        yield weights


@pytest.fixture(scope="module")
def folder(make_config, classes, tmp_path_factory):
    """A model of two random networks, sure of some pixels."""
    config = make_config()
    place = tmp_path_factory.mktemp("model") / "model"
    save_ensemble(place, _draw_states(config, 4, 2), config=config, classes=classes, notes={})
    return place


@pytest.fixture(scope="module")
def ensemble(folder):
    return load_ensemble(folder, Machine())


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Eight images of two sizes, one a PNG; none is of the shared data set."""
    place = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(1)
    for number in range(8):
        size = (40, 56, 3) if number % 2 else (48, 64, 3)
        image_HW3 = (random.integers(0, 200, 3) + random.integers(0, 56, size)).astype(np.uint8)
        Image.fromarray(image_HW3).save(place / (f"new_{number}.png" if number == 5 else f"new_{number}.jpg"))
    return place


def _write(ensemble, images, out, **options):
    return write_pseudo_labels(ensemble, images, out, PseudoOptions(**options), lambda done, total: None)


def test_pixels_below_the_confidence_are_void():
    # Rows are outputs, columns pixels: sure of 0, exactly sure of 1, unsure, sure of the background.
    probabilities_CHW = torch.tensor([[0.95, 0.05, 0.5, 0.0], [0.03, 0.9, 0.3, 0.0], [0.02, 0.05, 0.2, 1.0]])[:, None]
    class_of_output = torch.tensor([7, 4, VOID], dtype=torch.uint8)
    labels_HW = label_sure_pixels(probabilities_CHW, class_of_output, 0.9)
    assert labels_HW.dtype == torch.uint8
    assert labels_HW.tolist() == [[7, 4, VOID, VOID]]
    assert label_sure_pixels(probabilities_CHW, class_of_output, 0.5).tolist() == [[7, 4, 7, VOID]]


def test_probability_that_is_no_number_is_void():
    probabilities_CHW = torch.full((2, 1, 1), float("nan"))
    assert label_sure_pixels(probabilities_CHW, torch.tensor([0, 1], dtype=torch.uint8), 0.1).tolist() == [[VOID]]


def test_data_set_holds_the_sure_pixels_of_the_mean_of_the_members(ensemble, images, tmp_path):
    report = _write(ensemble, images, tmp_path / "out", confidence=0.5, min_share=0.0)
    dataset = read_dataset(tmp_path / "out")
    assert [case.name for case in dataset.cases] == [f"new_{number}" for number in range(8)]
    counts, images_with = np.zeros(256, int), np.zeros(256, int)
    for case in dataset.cases:
        decoded = decode_case(case)
        probabilities_CHW = ensemble.probabilities(decoded.image_HW3).numpy()
        expected_HW = np.where(probabilities_CHW.max(axis=0) >= 0.5, probabilities_CHW.argmax(axis=0), VOID)
        np.testing.assert_array_equal(decoded.mask_HW, expected_HW)
        counts += np.bincount(decoded.mask_HW.ravel(), minlength=256)
        images_with[np.unique(decoded.mask_HW)] += 1
    assert 0 < counts[VOID] < counts.sum()
    assert report.images == 8 and report.skipped == ()
    assert report.pixels == counts.sum() == 4 * 48 * 64 + 4 * 40 * 56
    assert list(report.pixels_of_class.values()) == counts[:4].tolist()
    assert list(report.images_of_class.values()) == images_with[:4].tolist()


def test_images_keep_their_bytes_and_masks_are_marked_as_pseudo(ensemble, images, tmp_path):
    _write(ensemble, images, tmp_path / "out", confidence=0.4, min_share=0.0, prefix="p_")
    for file in images.iterdir():
        assert (tmp_path / "out" / "seg_train_images" / f"p_{file.name}").read_bytes() == file.read_bytes()
    document = json.loads((tmp_path / "out" / "seg_train_annotations" / "p_new_3.json").read_text())
    attributes = {"route": "pseudo", "timeofday": "unknown", "pseudo": True, "confidence": 0.4}
    assert document == {"attributes": attributes, "frameIndex": 3}
    assert all(case.pseudo for case in read_dataset(tmp_path / "out").cases)


def test_images_with_few_sure_pixels_are_left_out_by_name(ensemble, images, tmp_path):
    shares = {}
    for file in sorted(images.iterdir()):
        with Image.open(file) as image:
            probabilities_CHW = ensemble.probabilities(np.array(image.convert("RGB")))
        shares[file.name] = float((probabilities_CHW.max(dim=0).values >= 0.5).float().mean())
    ordered = sorted(shares.values())
    middle = (ordered[3] + ordered[4]) / 2
    assert ordered[3] < middle < ordered[4]
    report = _write(ensemble, images, tmp_path / "out", confidence=0.5, min_share=middle)
    assert report.skipped == tuple(name for name, share in shares.items() if share < middle)
    assert report.images == len(read_dataset(tmp_path / "out").cases) == 4


@pytest.mark.parametrize("min_share", [0.05, 0.0])
def test_nothing_is_written_when_no_image_is_sure(ensemble, images, tmp_path, min_share):
    with pytest.raises(DataError, match=f"None of 8 images has {min_share:.1%} sure pixels at a confidence of 1"):
        _write(ensemble, images, tmp_path / "out", confidence=1.0, min_share=min_share)
    assert list(tmp_path.iterdir()) == []


def _copy_and_damage(images, place, damaged):
    place.mkdir()
    for file in images.iterdir():
        (place / file.name).write_bytes(b"no image" if file.name in damaged else file.read_bytes())
    return place


def test_damaged_image_is_left_out_and_told(ensemble, images, tmp_path):
    place = _copy_and_damage(images, tmp_path / "in", {"new_4.jpg"})
    steps, options = [], PseudoOptions(confidence=0.4, min_share=0.0)
    report = write_pseudo_labels(
        ensemble, place, tmp_path / "out", options, lambda done, total: steps.append((done, total))
    )
    assert steps == [(done, 8) for done in range(1, 9)]
    assert report.images == 7 and report.skipped == ()
    (problem,) = report.unread
    assert problem.startswith("new_4.jpg: cannot be decoded")
    assert [case.name for case in read_dataset(tmp_path / "out").cases] == [f"new_{n}" for n in range(8) if n != 4]


def test_nothing_is_written_when_every_image_is_damaged(ensemble, images, tmp_path):
    place = _copy_and_damage(images, tmp_path / "in", {file.name for file in images.iterdir()})
    with pytest.raises(DataError, match=r"None of 8 images can be read:\n  - new_0\.jpg"):
        _write(ensemble, place, tmp_path / "out", confidence=0.4)
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


def test_command_goes_on_past_a_damaged_image_counts_what_it_does_not_read_and_ends_with_1(folder, images, tmp_path):
    place = _copy_and_damage(images, tmp_path / "in", {"new_4.jpg"})
    (place / "film.gif").write_bytes(b"")
    arguments = ["pseudo-label", str(folder), str(place), str(tmp_path / "out"), "--confidence", "0.4", "--cpus", "1"]
    result = CliRunner().invoke(app, [*arguments, "--min-share", "0", "--device", "cpu"])
    assert "1 file is not read (.gif: 1)" in result.output
    assert isinstance(result.exception, LeftOutError)
    assert str(result.exception).startswith("1 of 8 images cannot be read, and were left out:\n  - new_4.jpg")
    assert len(read_dataset(tmp_path / "out").cases) == 7


def test_folder_that_holds_something_is_refused_and_kept(ensemble, images, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="holds something already"):
        _write(ensemble, images, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    (tmp_path / "out" / "mine.txt").unlink()
    assert _write(ensemble, images, tmp_path / "out", confidence=0.4, min_share=0.0).images == 8


def test_labels_are_written_into_the_present_folder(ensemble, images, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    _write(ensemble, images, Path(), confidence=0.4, min_share=0.0)
    assert len(read_dataset(tmp_path / "out").cases) == 8


def test_folder_beside_the_labels_is_kept(ensemble, images, tmp_path):
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "mine.txt").write_text("mine")
    _write(ensemble, images, tmp_path / "out", confidence=0.4, min_share=0.0)
    assert (tmp_path / "out.part" / "mine.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"confidence": 0.0},
        {"confidence": 1.1},
        {"min_share": -0.1},
        {"prefix": "../x"},
        {"prefix": "a/"},
        {"prefix": ".hidden"},
        {"prefix": "a\nb"},
    ],
)
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options)).replace("_", "-")):
        PseudoOptions(**options)


def test_masks_are_of_colours_where_those_of_the_data_are_of_numbers(ensemble, images, tmp_path):
    numbered = dataclasses.replace(ensemble, classes=dataclasses.replace(ensemble.classes, ids=(7, 8, 9, 10)))
    _write(numbered, images, tmp_path / "numbered", confidence=0.5, min_share=0.0)
    _write(ensemble, images, tmp_path / "plain", confidence=0.5, min_share=0.0)
    for name in ("classes.json", "seg_train_annotations/new_0.png"):
        assert (tmp_path / "numbered" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_void_colour_is_no_class_colour(classes):
    assert add_void_colour(classes) == classes
    assert add_void_colour(CONTEST_CLASSES).void == ((0, 0, 0),)
    assert add_void_colour(GREY).void == ((255, 255, 255),)


def test_void_is_written_in_a_colour_of_its_own_where_black_is_a_class(make_config, images, tmp_path):
    config = make_config()
    save_ensemble(tmp_path / "m", _draw_states(config, 2), config=config, classes=GREY, notes={})
    report = _write(load_ensemble(tmp_path / "m", Machine()), images, tmp_path / "out", confidence=0.6, min_share=0.0)
    dataset = read_dataset(tmp_path / "out")
    masks = [decode_case(case).mask_HW for case in dataset.cases]
    assert find_class_table(tmp_path / "out").void == ((255, 255, 255),)
    assert sum(int((mask_HW == 0).sum()) for mask_HW in masks) == report.pixels_of_class["a"]
    assert any((mask_HW == VOID).any() for mask_HW in masks)


def test_background_of_a_model_of_scored_labels_is_void(make_config, classes, images, tmp_path):
    config = make_config(labels="scored")
    save_ensemble(tmp_path / "m", _draw_states(config, 3), config=config, classes=classes, notes={})
    scored = load_ensemble(tmp_path / "m", Machine())
    report = _write(scored, images, tmp_path / "out", confidence=0.01, min_share=0.0)
    dataset = read_dataset(tmp_path / "out")
    seen = {int(index) for case in dataset.cases for index in np.unique(decode_case(case).mask_HW)}
    assert VOID in seen and seen <= {1, 2, VOID}
    assert report.pixels_of_class["road"] == 0


def test_labels_can_be_trained_on_beside_real_data_but_never_be_validated(ensemble, images, dataset_folder, tmp_path):
    _write(ensemble, images, tmp_path / "out", confidence=0.4, min_share=0.0)
    (pseudo,) = read_extra(read_dataset(dataset_folder), [tmp_path / "out"])
    assert len(PixelCache(prepare_cache(pseudo, tmp_path / "cache"))) == 8
    with pytest.raises(DataError, match=r"8 cases are pseudo labels, 'new_0' first(?s:.*)--extra"):
        make_folds(pseudo.cases, 2)


def test_check_finds_no_problem_in_pseudo_labels_and_makes_no_folds(ensemble, images, tmp_path):
    _write(ensemble, images, tmp_path / "out", confidence=0.4, min_share=0.0)
    report = inspect_dataset(tmp_path / "out", Division(kind="folds", folds=7), lambda done, total: None)
    assert report.problems == ()
    assert len(report.cases) == 8 and report.findings.split is None


def test_check_names_pseudo_labels_among_real_data(ensemble, images, make_dataset, tmp_path):
    real = make_dataset(*[(32, 48)] * 4)
    file = real / "seg_train_annotations" / "train_0002.json"
    document = json.loads(file.read_text())
    document["attributes"]["pseudo"] = True
    file.write_text(json.dumps(document))
    (problem,) = inspect_dataset(real, Division(kind="folds", folds=2), lambda done, total: None).problems
    assert "1 case is a pseudo label, 'train_0002' first" in problem


def test_command_labels_says_how_much_and_names_what_it_left_out(folder, images, tmp_path):
    arguments = ["pseudo-label", str(folder), str(images), str(tmp_path / "out"), "--confidence", "0.4", "--cpus", "1"]
    result = CliRunner().invoke(app, [*arguments, "--min-share", "0", "--prefix", "p_", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "of the pixels are sure" in result.output and "8 images" in result.output
    assert len(read_dataset(tmp_path / "out").cases) == 8
