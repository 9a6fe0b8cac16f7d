import json
import weakref

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import segcore.prediction.predict
from segcore.__main__ import app
from segcore.errors import CheckpointError, ConfigError, DeviceMemoryError, StorageError
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble import load_ensemble, read_ensemble_notes, save_ensemble, save_note, save_options
from segcore.prediction.options import PredictOptions
from segcore.prediction.predict import predict_probabilities

MACHINE = Machine()
OVERLAP = {"mode": "overlap", "tile_size": 32, "overlap": 0.25, "flip": True, "scales": [1.0, 1.5]}


@pytest.fixture(scope="module")
def config(make_config):
    return make_config(input_mode="crop", crop_size=64)


@pytest.fixture(scope="module")
def members(config):
    networks = []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(build_architecture(config, 4).eval())
    return networks


@pytest.fixture
def folder(tmp_path, members, config, classes):
    states = (member.state_dict() for member in members)
    save_ensemble(tmp_path / "model", states, config=config, classes=classes, notes={})
    return tmp_path / "model"


@pytest.fixture
def image_HW3(cache):
    return np.array(cache.image_HW3(0))


def _edit(folder, change):
    document = json.loads((folder / "ensemble.json").read_text())
    change(document)
    (folder / "ensemble.json").write_text(json.dumps(document))


@pytest.mark.parametrize(("first", "today"), [("bce+jaccard", "ce+jaccard"), ("binary", "bce")])
def test_model_of_the_first_format_is_read_with_the_loss_that_it_meant(folder, first, today):
    _edit(folder, lambda document: document.update(format="street-ensemble-1"))
    _edit(folder, lambda document: document["config"].update(loss=first))
    assert load_ensemble(folder, MACHINE).config.loss == today
    save_options(folder, PredictOptions(flip=True))
    assert load_ensemble(folder, MACHINE).config.loss == today, "once, not at every writing"


def test_a_note_is_written_beside_the_others(folder):
    before = read_ensemble_notes(folder)
    save_note(folder, "run", "http://h/1")
    save_note(folder, "run", "http://h/2")
    assert read_ensemble_notes(folder) == {**before, "notes": {**before["notes"], "run": "http://h/2"}}


def test_model_whose_notes_were_edited_on_windows_is_read(folder):
    file = folder / "ensemble.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(load_ensemble(folder, MACHINE).members) == 3


def test_model_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path, members, config, classes):
    (tmp_path / "afile").write_text("mine")
    for place in (tmp_path / "afile", tmp_path / "afile" / "model"):
        states = iter([members[0].state_dict()])
        with pytest.raises(StorageError, match=r"cannot be written .*; make room or choose another folder"):
            save_ensemble(place, states, config=config, classes=classes, notes={})
    assert [file.name for file in tmp_path.iterdir()] == ["afile"]
    assert (tmp_path / "afile").read_text() == "mine"


@pytest.mark.parametrize("values", [{}, OVERLAP])
def test_ensemble_predicts_the_class_of_the_greatest_mean_probability(folder, members, config, image_HW3, values):
    ensemble = load_ensemble(folder, MACHINE).with_options(values)
    options = PredictOptions.from_values(values)
    parts = [predict_probabilities(member, image_HW3, config, MACHINE, options) for member in members]
    classes_HW = ensemble.predict(image_HW3)
    assert classes_HW.dtype == np.uint8
    assert np.array_equal(classes_HW, sum(parts).argmax(dim=0).numpy())
    assert not np.array_equal(classes_HW, parts[0].argmax(dim=0).numpy()), "one network alone would do"


@pytest.mark.parametrize("values", [{}, OVERLAP])
def test_probabilities_of_finished_networks_are_not_kept(folder, image_HW3, monkeypatch, values):
    """One running sum: while a network predicts, at most that sum is alive, however many networks came before."""
    made, alive = [], []
    classify = segcore.prediction.predict.classify

    def spy(*arguments):
        alive.append(sum(reference() is not None for reference in made))
        probabilities_NCHW = classify(*arguments)
        made.append(weakref.ref(probabilities_NCHW))
        return probabilities_NCHW

    monkeypatch.setattr(segcore.prediction.predict, "classify", spy)
    load_ensemble(folder, MACHINE).with_options(values).predict(image_HW3)
    # The first probabilities are the sum; with a list of them it would be 0, 1, 2.
    assert alive[:3] == [0, 1, 1]
    # In tiles, those of the tiles before are there until the next are made.
    assert max(alive) == (2 if values else 1)


def test_image_that_is_too_large_ends_in_a_message_with_the_remedy(folder, image_HW3):
    ensemble = load_ensemble(folder, MACHINE)

    def fail(module, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    ensemble.members[1].network.decoder.register_forward_pre_hook(fail)
    message = "cpu ran out of memory predicting an image of 96x64 .* use --mode overlap --tile-size 512"
    with pytest.raises(DeviceMemoryError, match=message):
        ensemble.predict(image_HW3)


def test_options_come_from_the_models_file(folder):
    assert load_ensemble(folder, MACHINE).options == PredictOptions()
    _edit(folder, lambda document: document.update(predict=OVERLAP))
    assert load_ensemble(folder, MACHINE).options == PredictOptions.from_values(OVERLAP)
    _edit(folder, lambda document: document.update(predict={"flip": True}))
    assert load_ensemble(folder, MACHINE).options == PredictOptions(flip=True)
    # Models of before there were options.
    _edit(folder, lambda document: document.pop("predict"))
    assert load_ensemble(folder, MACHINE).options == PredictOptions()


def test_options_are_saved_with_a_model(tmp_path, members, config, classes):
    options = PredictOptions.from_values(OVERLAP)
    states = iter([members[0].state_dict()])
    save_ensemble(tmp_path / "model", states, config=config, classes=classes, notes={}, options=options)
    assert load_ensemble(tmp_path / "model", MACHINE).options == options


@pytest.mark.parametrize("predict", [{"overlap": 3}, {"tiles": 3}, ["flip"], None])
def test_damaged_options_are_refused_with_the_folder(folder, predict):
    _edit(folder, lambda document: document.update(predict=predict))
    with pytest.raises(CheckpointError, match="cannot be used as a model"):
        load_ensemble(folder, MACHINE)


def _predict(*arguments):
    # More threads than conftest.py allows would slow down all tests after this one.
    return CliRunner().invoke(app, ["predict", *map(str, arguments), "--device", "cpu", "--cpus", "1"])


def test_command_line_overrides_the_models_options(folder, members, config, classes, image_HW3, tmp_path):
    _edit(folder, lambda document: document.update(predict={"flip": True, "tile_size": 64}))
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(image_HW3).save(images / "street.png")
    # The rest of the options stays as in the file: flip, but tiles of another size.
    result = _predict(folder, images, tmp_path / "a", "--mode", "overlap", "--tile-size", 32, "--scales", "1,1.5")
    assert result.exit_code == 0, result.output
    expected = PredictOptions(mode="overlap", tile_size=32, flip=True, scales=(1.0, 1.5))
    _require_mask(tmp_path / "a", members, config, image_HW3, expected, classes)
    result = _predict(folder, images, tmp_path / "b", "--no-flip", "--mode", "resize", "--scale", 0.5)
    assert result.exit_code == 0, result.output
    _require_mask(
        tmp_path / "b", members, config, image_HW3, PredictOptions(mode="resize", scale=0.5, tile_size=64), classes
    )


def _require_mask(out, members, config, image_HW3, options, classes):
    parts = [predict_probabilities(member, image_HW3, config, MACHINE, options) for member in members]
    colours_HW3 = np.array(classes.colours, np.uint8)[sum(parts).argmax(dim=0).numpy()]
    assert np.array_equal(cv2.imread(str(out / "masks" / "street.png"))[..., ::-1], colours_HW3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode", "tile"), "mode='tile'"),
        (("--overlap", "0.99"), "overlap=0.99"),
        (("--scales", "1;2"), "joined by commas"),
        (("--tile-size", "8"), "tile_size=8"),
    ],
)
def test_wrong_option_on_the_command_line_is_a_config_error(folder, dataset_folder, tmp_path, arguments, message):
    result = _predict(folder, dataset_folder / "seg_train_images", tmp_path / "out", *arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("listed", [[], {}, "", None, [3]])
def test_model_without_networks_is_refused(folder, listed):
    _edit(folder, lambda document: document.update(members=listed))
    with pytest.raises(CheckpointError, match="cannot be used as a model"):
        load_ensemble(folder, MACHINE)


def test_model_whose_document_is_nested_without_end_is_refused(folder):
    (folder / "ensemble.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="is no model directory"):
        load_ensemble(folder, MACHINE)
