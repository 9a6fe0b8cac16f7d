import weakref

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import segcore.prediction.predict
from segcore.__main__ import app
from segcore.errors import ConfigError, DeviceMemoryError
from segcore.machine import Machine
from segcore.prediction.ensemble_files import (
    load_ensemble,
    read_ensemble_notes,
    save_note,
    save_options,
)
from segcore.prediction.options import PredictOptions
from segcore.prediction.predict import predict_probabilities

MACHINE = Machine()
OVERLAP = {"mode": "overlap", "tile_size": 32, "overlap": 0.25, "flip": True, "scales": [1.0, 1.5]}


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

    ensemble.members[1].network.network.decoder.register_forward_pre_hook(fail)
    message = "cpu ran out of memory predicting an image of 96x64 .* use --mode overlap --tile-size 512"
    with pytest.raises(DeviceMemoryError, match=message):
        ensemble.predict(image_HW3)


def _predict(*arguments):
    # More threads than conftest.py allows would slow down all tests after this one.
    return CliRunner().invoke(app, ["predict", *map(str, arguments), "--device", "cpu", "--cpus", "1"])


def test_command_line_overrides_the_models_options(folder, members, config, classes, image_HW3, tmp_path):
    save_options(folder, PredictOptions(flip=True, tile_size=64))
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


def test_networks_of_two_configurations_count_as_often_as_their_weights_say(mixed, members, image_HW3):
    ensemble = load_ensemble(mixed, MACHINE).with_options({"flip": True})
    assert [member.weight for member in ensemble.members] == [1, 3, 2]
    options = ensemble.options
    whole, again, small = (
        predict_probabilities(network, image_HW3, member.config, MACHINE, options)
        for network, member in zip(members, ensemble.members, strict=True)
    )
    expected_CHW = (whole + 3 * again + 2 * small) / 6
    torch.testing.assert_close(ensemble.probabilities(image_HW3), expected_CHW, atol=1e-6, rtol=1e-5)
    assert np.array_equal(ensemble.predict(image_HW3), expected_CHW.argmax(dim=0).numpy())


def test_each_network_predicts_once_however_often_it_counts(mixed, image_HW3):
    ensemble, seen = load_ensemble(mixed, MACHINE), []
    for position, member in enumerate(ensemble.members):
        member.network.register_forward_pre_hook(lambda module, inputs, position=position: seen.append(position))
    ensemble.predict(image_HW3)
    assert seen == [0, 1, 2]


def test_configurations_of_a_model_are_named_once_each(mixed, config, make_config):
    assert load_ensemble(mixed, MACHINE).configs == (config, make_config(input_mode="resize", scale=0.5))
    document = read_ensemble_notes(mixed)
    assert (document["weights"], document["config_of_member"]) == ([1, 3, 2], [0, 0, 1])
    save_note(mixed, "run", "http://h/1")
    assert read_ensemble_notes(mixed) == {**document, "notes": {"run": "http://h/1"}}
