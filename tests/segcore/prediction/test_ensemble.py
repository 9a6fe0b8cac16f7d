import json
import weakref

import cv2
import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from typer.testing import CliRunner

import segcore.prediction.predict
from segcore.__main__ import app
from segcore.errors import CheckpointError, ConfigError, DeviceMemoryError, StorageError
from segcore.machine import Machine
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble import (
    load_ensemble,
    read_ensemble_notes,
    save_ensemble,
    save_members,
    save_note,
    save_options,
)
from segcore.prediction.member_files import MemberWeights
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


class Killed(BaseException):
    """The process ends here."""


def test_model_that_is_replaced_is_whole_though_the_process_dies_as_it_deletes(
    folder, members, config, classes, monkeypatch
):
    def die(deleted, ignore_errors):
        if deleted.is_dir():
            (deleted / "member_0.safetensors").unlink()
            raise Killed

    monkeypatch.setattr("segcore.prediction.ensemble.shutil.rmtree", die)
    states = iter([members[0].state_dict()])
    with pytest.raises(Killed):
        save_ensemble(folder, states, config=config, classes=classes, notes={})
    monkeypatch.undo()
    assert len(load_ensemble(folder, MACHINE).members) == 1
    save_ensemble(folder, iter([members[0].state_dict()]), config=config, classes=classes, notes={})
    assert [file.name for file in folder.parent.iterdir()] == ["model"]


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


@pytest.fixture
def mixed(tmp_path, members, config, make_config, classes):
    """A model of two networks that see whole images, of which one counts three times, and one that sees small ones."""
    parts = zip(members, (config, config, make_config(input_mode="resize", scale=0.5)), (1, 3, 2), strict=True)
    written = (MemberWeights(tensors=part.state_dict(), config=each, weight=weight) for part, each, weight in parts)
    save_members(tmp_path / "mixed", written, classes=classes, notes={})
    return tmp_path / "mixed"


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


def test_model_of_like_networks_says_nothing_of_weights(folder):
    document = read_ensemble_notes(folder)
    assert document["format"] == "street-ensemble-2"
    assert not {"weights", "configs", "config_of_member"} & document.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [1, 2]}, "it has 3 members, 2 weights and 3 configurations"),
        ({"weights": [1, 0, 2]}, r"weights \[1, 0, 2\] are not whole numbers of at least 1"),
        ({"weights": [1, 1.5, 2]}, "are not whole numbers"),
        ({"config_of_member": [0, 0, 2]}, r"config_of_member \[0, 0, 2\] names none of its 2 configurations"),
        ({"members": []}, "it has no members"),
    ],
)
def test_damaged_weights_are_refused_with_what_is_wrong(mixed, change, message):
    _edit(mixed, lambda document: document.update(change))
    with pytest.raises(CheckpointError, match=message):
        load_ensemble(mixed, MACHINE)


def test_configurations_that_learn_other_labels_are_refused(mixed):
    _edit(mixed, lambda document: document["configs"][1].update(labels="scored"))
    with pytest.raises(CheckpointError, match="learn other labels"):
        load_ensemble(mixed, MACHINE)


def test_model_of_halved_weights_is_half_as_large_and_predicts_alike(folder, members, config, classes, image_HW3):
    halved = folder.with_name("halved")
    written = (MemberWeights(tensors=member.state_dict(), config=config) for member in members)
    save_members(halved, written, classes=classes, notes={}, half=True)
    whole, half = (sum(file.stat().st_size for file in each.glob("*.safetensors")) for each in (folder, halved))
    # A network this small has many vectors, which stay whole.
    assert 0.5 < half / whole < 0.6
    whole_CHW, half_CHW = (load_ensemble(each, MACHINE).probabilities(image_HW3) for each in (folder, halved))
    assert whole_CHW.dtype == half_CHW.dtype == torch.float32
    assert (whole_CHW - half_CHW).abs().max() < 2e-3


def test_matrix_that_16_bits_cannot_hold_stays_whole(tmp_path, members, config, classes):
    tensors = members[0].state_dict()
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    tensors = {**tensors, name: torch.full_like(tensors[name], 1e5)}
    written = iter([MemberWeights(tensors=tensors, config=config)])
    save_members(tmp_path / "m", written, classes=classes, notes={}, half=True)
    stored = safetensors.torch.load_file(tmp_path / "m" / "member_0.safetensors")
    assert torch.equal(stored[name], tensors[name])
    assert sum(tensor.dtype == torch.float16 for tensor in stored.values()) > 10
