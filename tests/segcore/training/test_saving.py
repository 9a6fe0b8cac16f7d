"""A checkpoint written beside a validation: whole when it is finished, else torn; nothing waits for the disk."""

import json
import threading

import pytest
import torch

import segcore.training.saving
from segcore.errors import CheckpointError, StorageError
from segcore.machine import Machine
from segcore.prediction.cases import predict_cases
from segcore.training.checkpoint import load_state, save_state
from segcore.training.saving import SCORE_FILE, STATE_FILE, StateWriter, load_checkpoint
from segcore.training.state import new_state
from segcore.training.train import train_epochs

MACHINE = Machine()
SECONDS = 600


def _config(make_config, **values):
    return make_config(input_mode="resize", scale=0.5, batch_size=4, **values)


def _train(state, cache, writer):
    yield from train_epochs(state, cache, range(6), [6, 7], MACHINE, writer)


def test_a_training_that_goes_on_from_what_was_written_ends_as_one_that_was_never_stopped(make_config, cache, tmp_path):
    config = _config(make_config, epochs=2, ema_decay=0.5, rate_schedule="cyclic", cycles=2)
    whole = new_state(config, 4, MACHINE)
    with StateWriter(tmp_path) as writer:
        results = _train(whole, cache, writer)
        next(results)
        writer.finish(whole)
        resumed = load_checkpoint(tmp_path, config, MACHINE)
        assert (resumed.epoch, resumed.scores, resumed.train_losses) == (1, whole.scores, whole.train_losses)
        next(results)
    list(train_epochs(resumed, cache, range(6), [6, 7], MACHINE))
    assert resumed.scores == whole.scores
    assert len(resumed.snapshots) == len(whole.snapshots) == 2
    for name, tensor in whole.final_model.state_dict().items():
        assert torch.equal(tensor, resumed.final_model.state_dict()[name])
        assert torch.equal(tensor, whole.snapshots[-1][name]), "a cycle ends in the mean, as the training does"


def test_a_training_whose_device_fills_up_goes_back_to_what_was_written(make_config, cache, tmp_path):
    state = new_state(_config(make_config, epochs=2), 4, MACHINE)
    with StateWriter(tmp_path) as writer:
        results = _train(state, cache, writer)
        next(results)
        writer.finish(state)

        def fail_once(network, images):
            hook.remove()
            raise torch.OutOfMemoryError("CUDA out of memory")

        hook = state.model.network.register_forward_pre_hook(fail_once)
        result = next(results)
        assert (result.epoch, result.micro_batches) == (2, 2)
        writer.finish(state)
    assert load_checkpoint(tmp_path, state.config, MACHINE).micro_batches == 2


def test_validation_goes_on_while_the_checkpoint_is_written(make_config, cache, tmp_path, monkeypatch):
    """Events in order, no clock: the disk is not done before the first image was seen."""
    seen, scored, order = threading.Event(), threading.Event(), []

    def save_slowly(state, file):
        assert seen.wait(SECONDS) and scored.wait(SECONDS), "the validation waits for the disk"
        assert state.scores == [], "what is written is that of before the validation, however late"
        save_state(state, file)
        order.append("written")

    def predict(*arguments):
        for prediction_HW in predict_cases(*arguments):
            order.append("seen")
            seen.set()
            yield prediction_HW

    monkeypatch.setattr(segcore.training.saving, "save_state", save_slowly)
    monkeypatch.setattr("segcore.training.validation.predict_cases", predict)
    state = new_state(_config(make_config, epochs=1), 4, MACHINE)
    with StateWriter(tmp_path) as writer:
        for _ in _train(state, cache, writer):
            scored.set()
            writer.finish(state)
            order.append("reported")
    assert order[0] == "seen"
    assert order.index("written") < order.index("reported")


def test_what_was_begun_and_not_finished_is_torn(make_config, cache, tmp_path):
    config = make_config()
    state = new_state(config, 4, MACHINE)
    state.epoch, state.train_losses = 1, [1.0]
    with StateWriter(tmp_path) as writer:
        writer.begin(state)
    with pytest.raises(CheckpointError, match=r"score.json cannot be read .*No such file"):
        load_checkpoint(tmp_path, config, MACHINE)
    # As when the next epoch's state is there and the score is still the last one's.
    (tmp_path / SCORE_FILE).write_text(json.dumps({"epoch": 7, "score": 0.5}))
    with pytest.raises(CheckpointError, match="it is of epoch 7, the state of epoch 1"):
        load_checkpoint(tmp_path, config, MACHINE)
    # No validation scores that: where nothing is there to count it says 0.
    (tmp_path / SCORE_FILE).write_text('{"epoch": 1, "score": NaN}')
    with pytest.raises(CheckpointError, match="its score is nan"):
        load_checkpoint(tmp_path, config, MACHINE)


def test_what_was_written_has_the_last_score_in_the_metric_that_decides(make_config, tmp_path):
    config = make_config()
    state = new_state(config, 4, MACHINE, metric="miou")
    state.epoch, state.train_losses, state.scores = 2, [1.0, 1.0], [0.9]
    with StateWriter(tmp_path) as writer:
        writer.begin(state)
        state.scores.append(0.4)
        writer.finish(state)
    loaded = load_checkpoint(tmp_path, config, MACHINE, "miou")
    assert (loaded.scores, loaded.metric) == ([0.9, 0.4], "miou")


def test_a_checkpoint_that_is_whole_by_itself_is_read(make_config, tmp_path):
    config = make_config()
    state = new_state(config, 4, MACHINE)
    state.epoch, state.scores, state.train_losses = 1, [0.25], [1.0]
    save_state(state, tmp_path / STATE_FILE)
    assert (
        load_checkpoint(tmp_path, config, MACHINE).scores == load_state(tmp_path / STATE_FILE, config, MACHINE).scores
    )


def test_a_disk_that_is_full_is_told_when_the_checkpoint_is_wanted(make_config, tmp_path):
    state = new_state(make_config(), 4, MACHINE)
    with StateWriter(tmp_path / "missing") as writer:
        writer.begin(state)
        with pytest.raises(StorageError, match="make room"):
            writer.finish(state)
