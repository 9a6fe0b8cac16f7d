import os
from pathlib import Path

import pytest
import torch

from segcore.errors import CheckpointError, StorageError
from segcore.machine import Machine
from segcore.networks.model import require_architecture
from segcore.training.checkpoint import (
    estimate_bytes,
    load_state,
    read_member_weights,
    require_readable,
    roll_back_to_file,
    save_state,
)
from segcore.training.state import new_state, take_snapshot

MACHINE = Machine()


def _advanced_state(config):
    """A state after one optimizer step."""
    state = new_state(config, 4, MACHINE)
    state.model(torch.full((2, 64, 64, 3), 100, dtype=torch.uint8)).square().mean().backward()
    state.optimizer.step()
    state.epoch, state.train_losses, state.scores = 2, [0.5, 0.4], [0.1, 0.3]
    state.batch_size, state.micro_batches = 8, 2
    return state


def _assert_same_tensors(one, two):
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_loaded_state_is_the_saved_one(make_config, tmp_path, optimizer):
    config = make_config(optimizer=optimizer, precision="fp16")
    state = _advanced_state(config)
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 128.0})
    save_state(state, tmp_path / "state.pt")
    loaded = load_state(tmp_path / "state.pt", config, MACHINE)
    assert loaded.scaler.state_dict() == state.scaler.state_dict()
    assert loaded.scaler.get_scale() == 128
    _assert_same_tensors(state.model.state_dict(), loaded.model.state_dict())
    assert (loaded.epoch, loaded.train_losses, loaded.scores, loaded.outputs) == (2, [0.5, 0.4], [0.1, 0.3], 4)
    assert (loaded.batch_size, loaded.micro_batches) == (8, 2)
    moments, loaded_moments = state.optimizer.state_dict()["state"], loaded.optimizer.state_dict()["state"]
    assert moments.keys() == loaded_moments.keys() != set()
    for key, values in moments.items():
        _assert_same_tensors(values, loaded_moments[key])


@pytest.mark.parametrize(("first", "today", "other"), [("bce", "ce", "bce"), ("binary", "bce", "ce")])
def test_checkpoint_of_the_first_format_goes_on_with_the_loss_that_it_meant(make_config, tmp_path, first, today, other):
    save_state(new_state(make_config(), 4, MACHINE), tmp_path / "state.pt")
    content = torch.load(tmp_path / "state.pt", weights_only=True)
    content |= {"format": "street-state-3", "config": {**content["config"], "loss": first}}
    torch.save(content, tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt", make_config(loss=today), MACHINE).config.loss == today
    with pytest.raises(CheckpointError, match=r"another configuration \(loss differ\)"):
        load_state(tmp_path / "state.pt", make_config(loss=other), MACHINE)


def test_checkpoint_of_another_configuration_is_refused_with_the_fields_that_differ(make_config, tmp_path):
    save_state(_advanced_state(make_config()), tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=r"another configuration \(learning_rate, epochs differ\)"):
        load_state(tmp_path / "state.pt", make_config(epochs=3, learning_rate=0.5), MACHINE)


def test_checkpoint_cut_short_is_refused(make_config, tmp_path):
    file = tmp_path / "state.pt"
    save_state(_advanced_state(make_config()), file)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"state\.pt cannot be read .* delete it"):
        load_state(file, make_config(), MACHINE)


def test_file_that_is_no_checkpoint_is_refused_in_one_line(make_config, tmp_path):
    (tmp_path / "state.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError) as caught:
        load_state(tmp_path / "state.pt", make_config(), MACHINE)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).endswith("; delete it to start anew.")


def test_training_goes_back_to_no_other_epoch(make_config, tmp_path):
    state = new_state(make_config(backbone="test_efficientnet"), 4, MACHINE)
    save_state(state, tmp_path / "state.pt")
    state.epoch = 1
    with pytest.raises(CheckpointError, match="is of epoch 0, and this training would go back to epoch 1; write each"):
        roll_back_to_file(state, tmp_path / "state.pt", MACHINE)


def test_checkpoint_that_its_disk_does_not_give_is_told_from_a_damaged_one(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"damaged")
    require_readable(tmp_path / "state.pt")
    # Of a process's own memory the first page is there and cannot be read.
    for file in (tmp_path / "missing.pt", Path("/proc/self/mem")):
        with pytest.raises(CheckpointError, match=rf"The checkpoint {file} cannot be read \(\w*Error: "):
            require_readable(file)


def test_checkpoint_that_finds_a_full_device_is_not_called_damaged(make_config, tmp_path, monkeypatch):
    """Whoever was told to delete it would lose what it holds."""

    def fail(optimizer, content):
        raise torch.OutOfMemoryError("CUDA out of memory")

    save_state(new_state(make_config(backbone="test_efficientnet"), 4, MACHINE), tmp_path / "state.pt")
    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", fail)
    with pytest.raises(torch.OutOfMemoryError):
        load_state(tmp_path / "state.pt", make_config(backbone="test_efficientnet"), MACHINE)


def test_missing_checkpoint_is_refused(make_config, tmp_path):
    with pytest.raises(CheckpointError, match=r"state\.pt cannot be read"):
        load_state(tmp_path / "state.pt", make_config(), MACHINE)


@pytest.mark.parametrize("content", [{"format": "other"}, {}, [1, 2]])
def test_file_that_is_no_checkpoint_is_refused(make_config, tmp_path, content):
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=r"state\.pt"):
        load_state(tmp_path / "state.pt", make_config(), MACHINE)


class _Intruder:
    def __reduce__(self):
        return os.mkdir, ("intruded",)


def test_checkpoint_cannot_run_code(make_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "street-state-1", "config": _Intruder()}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError):
        load_state(tmp_path / "state.pt", make_config(), MACHINE)
    assert not (tmp_path / "intruded").exists()


def test_failed_save_leaves_the_old_checkpoint_and_no_rest(make_config, tmp_path, monkeypatch):
    file = tmp_path / "state.pt"
    state = _advanced_state(make_config())
    save_state(state, file)
    before = file.read_bytes()

    def fill_the_disk(content, stream):
        stream.write(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fill_the_disk)
    with pytest.raises(StorageError, match=r"state\.pt cannot be written .*No space left"):
        save_state(state, file)
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]


def test_checkpoint_in_a_missing_folder_is_refused(make_config, tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        save_state(_advanced_state(make_config()), tmp_path / "missing" / "state.pt")


def test_save_replaces_the_old_checkpoint(make_config, tmp_path):
    state = _advanced_state(make_config())
    save_state(state, tmp_path / "state.pt")
    state.epoch = 3
    save_state(state, tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt", make_config(), MACHINE).epoch == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]


def test_checkpoint_of_other_data_is_refused(make_config, tmp_path):
    config = make_config()
    save_state(new_state(config, 4, MACHINE, "key1+key2, fold 0 of 7"), tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt", config, MACHINE, "key1+key2, fold 0 of 7").data == "key1+key2, fold 0 of 7"
    for other in ("key1, fold 0 of 7", "key1+key2, fold 1 of 7"):
        with pytest.raises(CheckpointError, match="trained on other data") as caught:
            load_state(tmp_path / "state.pt", config, MACHINE, other)
        assert f"key1+key2, fold 0 of 7, now {other}" in str(caught.value)


def test_checkpoint_that_was_judged_by_another_metric_is_refused(make_config, tmp_path):
    save_state(new_state(make_config(), 4, MACHINE, metric="iou/car"), tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt", make_config(), MACHINE, metric="iou/car").metric == "iou/car"
    with pytest.raises(CheckpointError, match=r"by iou/car, and this .* by miou: use --objective iou/car"):
        load_state(tmp_path / "state.pt", make_config(), MACHINE, metric="miou")


def test_checkpoint_of_before_the_choice_of_metrics_was_judged_by_iou(make_config, tmp_path):
    save_state(_advanced_state(make_config()), tmp_path / "state.pt")
    content = torch.load(tmp_path / "state.pt", weights_only=True)
    del content["metric"]
    content["ious"] = content.pop("scores")
    torch.save(content, tmp_path / "state.pt")
    loaded = load_state(tmp_path / "state.pt", make_config(), MACHINE)
    assert (loaded.metric, loaded.scores) == ("iou", [0.1, 0.3])
    with pytest.raises(CheckpointError, match="judged its epochs by iou, and this training judges them by miou"):
        load_state(tmp_path / "state.pt", make_config(), MACHINE, metric="miou")


def test_caller_that_says_nothing_of_its_data_is_not_checked(make_config, tmp_path):
    config = make_config()
    save_state(new_state(config, 4, MACHINE), tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt", config, MACHINE, "key1").data == "key1"
    save_state(new_state(config, 4, MACHINE, "key1"), tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt", config, MACHINE).data == "key1"


@pytest.mark.parametrize(
    "name",
    ["config", "outputs", "learnt", "snapshots", "batch_size", "micro_batches", "epoch", "train_losses", "scores"],
)
def test_checkpoint_that_lacks_a_part_is_refused_with_its_name(make_config, tmp_path, name):
    save_state(new_state(make_config(), 4, MACHINE), tmp_path / "state.pt")
    content = torch.load(tmp_path / "state.pt", weights_only=True)
    for broken in ({key: value for key, value in content.items() if key != name}, {**content, name: None}):
        torch.save(broken, tmp_path / "broken.pt")
        for read in (lambda: load_state(tmp_path / "broken.pt", make_config(), MACHINE),
                     lambda: read_member_weights(tmp_path / "broken.pt")):  # fmt: skip
            with pytest.raises(CheckpointError, match=rf"no sound {name}.*delete it to start anew"):
                read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", {"learnt": {"optimizer": {}, "scaler": {}, "mean_model": None}}),
        ("mean_model", {"learnt": {"model": {}, "optimizer": {}, "scaler": {}}}),
        ("mean_model", {"learnt": {"model": {}, "optimizer": {}, "scaler": {}, "mean_model": [1]}}),
        ("snapshots", {"snapshots": [1]}),
        ("train_losses", {"train_losses": ["0.5"]}),
        ("scores", {"scores": [None]}),
    ],
)
def test_checkpoint_whose_part_holds_something_else_is_refused_with_its_name(make_config, tmp_path, name, value):
    file = tmp_path / "state.pt"
    save_state(new_state(make_config(), 4, MACHINE), file)
    torch.save({**torch.load(file, weights_only=True), **value}, file)
    for read in (read_member_weights, lambda file: load_state(file, make_config(), MACHINE)):
        with pytest.raises(CheckpointError, match=rf"ValueError: no sound {name}\); delete it"):
            read(file)


def test_checkpoint_whose_weights_belong_to_another_network_is_refused(make_config, tmp_path):
    save_state(new_state(make_config(), 4, MACHINE), tmp_path / "state.pt")
    content = torch.load(tmp_path / "state.pt", weights_only=True)
    torch.save({**content, "outputs": 5}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=r"(?s)cannot be read .*delete it to start anew"):
        load_state(tmp_path / "state.pt", make_config(), MACHINE)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"optimizer": "sgd"},
        {"ema_decay": 0.9},
        {"ema_decay": 0.9, "auxiliary_weight": 0.4},
        {"rate_schedule": "cyclic", "cycles": 2, "epochs": 2},
    ],
)
def test_estimated_size_of_a_checkpoint_is_near_that_of_its_file(make_config, tmp_path, values):
    config = make_config(**values)
    state = _advanced_state(config)
    for _ in range(config.cycles if config.rate_schedule == "cyclic" else 0):
        take_snapshot(state)
    save_state(state, tmp_path / "state.pt")
    estimated = estimate_bytes(config, require_architecture(config))
    assert (tmp_path / "state.pt").stat().st_size == pytest.approx(estimated, rel=0.1)


def test_auxiliary_head_is_saved_and_no_part_of_what_predicts(make_config, tmp_path):
    config = make_config(auxiliary_weight=0.4, ema_decay=0.9)
    state, without = new_state(config, 4, MACHINE), new_state(make_config(ema_decay=0.9), 4, MACHINE)
    # The network starts alike with and without it.
    _assert_same_tensors(state.model.state_dict(), without.model.state_dict())
    torch.nn.init.constant_(state.auxiliary.layers[-1].bias, 7.0)
    save_state(state, tmp_path / "state.pt")
    loaded = load_state(tmp_path / "state.pt", config, MACHINE)
    _assert_same_tensors(state.auxiliary.state_dict(), loaded.auxiliary.state_dict())
    (weights,) = read_member_weights(tmp_path / "state.pt")
    assert weights.keys() == without.model.state_dict().keys()
    save_state(without, tmp_path / "state.pt")
    assert "auxiliary" not in torch.load(tmp_path / "state.pt", weights_only=True)["learnt"]
