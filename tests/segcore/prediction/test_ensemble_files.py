import json

import pytest
import safetensors.torch
import torch

from segcore.errors import CheckpointError, StorageError
from segcore.machine import Machine
from segcore.prediction.ensemble_files import (
    load_ensemble,
    read_ensemble_notes,
    save_ensemble,
    save_members,
    save_note,
    save_options,
)
from segcore.prediction.member_files import MemberWeights, write_members
from segcore.prediction.options import PredictOptions

MACHINE = Machine()
OVERLAP = {"mode": "overlap", "tile_size": 32, "overlap": 0.25, "flip": True, "scales": [1.0, 1.5]}


class Killed(BaseException):
    """The process ends here."""


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


def test_weight_that_layers_share_is_written_for_each(config, tmp_path):
    shared = torch.arange(4.0)
    tensors = {"one": shared, "other": shared, "mean_3": torch.zeros(3), "std_3": torch.ones(3)}
    write_members(tmp_path, iter([MemberWeights(tensors=tensors, config=config)]), half=False)
    found = safetensors.torch.load_file(tmp_path / "member_0.safetensors")
    assert found["one"].tolist() == found["other"].tolist() == [0, 1, 2, 3]


def test_model_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path, members, config, classes):
    (tmp_path / "afile").write_text("mine")
    for place in (tmp_path / "afile", tmp_path / "afile" / "model"):
        states = iter([members[0].state_dict()])
        with pytest.raises(StorageError, match=r"(cannot be written|something else) .*; .*choose another folder"):
            save_ensemble(place, states, config=config, classes=classes, notes={})
    assert [file.name for file in tmp_path.iterdir()] == ["afile"]
    assert (tmp_path / "afile").read_text() == "mine"


def test_model_that_is_replaced_is_whole_though_the_process_dies_as_it_deletes(
    folder, members, config, classes, monkeypatch
):
    def die(deleted, ignore_errors):
        if deleted.is_dir():
            (deleted / "member_0.safetensors").unlink()
            raise Killed

    monkeypatch.setattr("segcore.prediction.ensemble_files.shutil.rmtree", die)
    states = iter([members[0].state_dict()])
    with pytest.raises(Killed):
        save_ensemble(folder, states, config=config, classes=classes, notes={})
    monkeypatch.undo()
    assert len(load_ensemble(folder, MACHINE).members) == 1
    save_ensemble(folder, iter([members[0].state_dict()]), config=config, classes=classes, notes={})
    assert [file.name for file in folder.parent.iterdir()] == ["model"]


def test_model_of_the_same_networks_keeps_how_it_predicts_and_what_was_added(folder, members, config, classes):
    """Of other networks, or damaged options, nothing is kept."""

    def write(states, notes):
        save_ensemble(folder, iter(states), config=config, classes=classes, notes=notes)

    states = [member.state_dict() for member in members]
    save_options(folder, PredictOptions(flip=True))
    save_note(folder, "run", "http://h/1")
    (folder / "tune_predict.csv").write_text("mine")
    write(states, {"trial": 3})
    assert load_ensemble(folder, MACHINE).options == PredictOptions(flip=True)
    assert read_ensemble_notes(folder)["notes"] == {"trial": 3}
    assert (folder / "tune_predict.csv").exists()
    write(states[::-1], {"trial": 3})
    assert load_ensemble(folder, MACHINE).options == PredictOptions()
    assert not (folder / "tune_predict.csv").exists()
    _edit(folder, lambda document: document.update(predict={"tiles": 3}))
    write(states[::-1], {"trial": 3})
    assert load_ensemble(folder, MACHINE).options == PredictOptions()
    assert [each.name for each in folder.parent.iterdir()] == ["model"]


def test_damaged_weights_are_written_anew(folder, members, config, classes):
    (folder / "member_1.safetensors").write_bytes(b"torn")
    states = iter([member.state_dict() for member in members])
    save_ensemble(folder, states, config=config, classes=classes, notes={})
    assert len(load_ensemble(folder, MACHINE).members) == 3


def test_model_takes_the_place_of_nothing_else(tmp_path, members, config, classes):
    own = tmp_path / "model" / "code.py"
    own.parent.mkdir()
    own.write_text("my own")
    with pytest.raises(StorageError, match="model is to become the model, and something else is there"):
        save_ensemble(own.parent, iter([members[0].state_dict()]), config=config, classes=classes, notes={})
    assert own.read_text() == "my own"
    assert list(tmp_path.iterdir()) == [own.parent]


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


@pytest.mark.parametrize("listed", [[], {}, "", None, [3]])
def test_model_without_networks_is_refused(folder, listed):
    _edit(folder, lambda document: document.update(members=listed))
    with pytest.raises(CheckpointError, match="cannot be used as a model"):
        load_ensemble(folder, MACHINE)


@pytest.mark.parametrize("form", ["street-ensemble-1", "street-ensemble-2", "street-ensemble-3"])
@pytest.mark.parametrize("damage", [{"config": []}, {"config": "ce"}, {"configs": [[]]}, {"configs": 3}])
def test_configuration_that_is_none_is_refused_with_the_folder(folder, form, damage):
    _edit(folder, lambda document: document.update({"format": form, **damage}))
    with pytest.raises(CheckpointError, match="is no model directory"):
        load_ensemble(folder, MACHINE)


def test_weights_of_another_network_are_refused_in_a_line(folder):
    weights = safetensors.torch.load_file(folder / "member_0.safetensors")
    safetensors.torch.save_file(dict(list(weights.items())[::2]), folder / "member_0.safetensors")
    message = r"member_0\.safetensors is of another network than its configuration makes \(Missing key"
    with pytest.raises(CheckpointError, match=message) as caught:
        load_ensemble(folder, MACHINE)
    # Half of a network's tensors are missing, of which PyTorch names each.
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder, value):
    """Every probability would be none, and every pixel silently the first class."""
    weights = safetensors.torch.load_file(folder / "member_1.safetensors")
    name = next(name for name, tensor in weights.items() if tensor.ndim == 4)
    weights[name][0, 0, 0, 0] = value
    safetensors.torch.save_file(weights, folder / "member_1.safetensors")
    with pytest.raises(CheckpointError, match=rf"member_1\.safetensors holds .* in 1 tensor, '{name}' first: .*anew"):
        load_ensemble(folder, MACHINE)


@pytest.mark.parametrize("kind", ["int8", "float8_e4m3fn"])
def test_quantised_weights_are_refused(folder, kind):
    weights = safetensors.torch.load_file(folder / "member_1.safetensors")
    name = next(name for name, tensor in weights.items() if tensor.ndim == 4)
    weights[name] = weights[name].to(getattr(torch, kind))
    safetensors.torch.save_file(weights, folder / "member_1.safetensors")
    with pytest.raises(CheckpointError, match=rf"member_1\.safetensors holds {kind} in '{name}', and of what scale"):
        load_ensemble(folder, MACHINE)


def test_model_whose_document_is_nested_without_end_is_refused(folder):
    (folder / "ensemble.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="is no model directory"):
        load_ensemble(folder, MACHINE)


def test_folder_around_a_model_is_refused_with_the_model(folder):
    with pytest.raises(CheckpointError, match=rf"is no model directory .*; {folder} is one; give one"):
        load_ensemble(folder.parent, MACHINE)


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
