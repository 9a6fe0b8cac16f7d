import copy
import re

import numpy as np
import pytest
import torch
from timm.layers import DropPath

from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.errors import ConfigError, DeviceMemoryError, NonFiniteLossError
from segcore.feeding.loader import TrainingLoader
from segcore.machine import Machine, build_scaler
from segcore.networks.model import SegmentationModel
from segcore.prediction.cases import predict_cases, score_cases
from segcore.prediction.options import plan_prediction
from segcore.prediction.tiling import Tiling
from segcore.training import train
from segcore.training.checkpoint import load_state, read_member_weights, save_state
from segcore.training.losses import build_loss
from segcore.training.memory import tiled_options
from segcore.training.schedule import rate_at
from segcore.training.state import TrainState, member_weights, new_state
from segcore.training.train import train_epochs

MACHINE = Machine()
TRAIN, VALID = list(range(8)), list(range(8, 12))
RESIZED = {"input_mode": "resize", "scale": 0.5}
CROPS = {"input_mode": "crop", "crop_size": 64, "batch_size": 4}


def _count_outputs(config, cache):
    return len(cache.classes) if config.labels == "full" else len(cache.classes.scored) + 1


def _start(config, cache):
    return new_state(config, _count_outputs(config, cache), MACHINE)


def _start_small(config, cache):
    """A start with a network of a single convolution, for tests of the loop alone."""
    torch.manual_seed(config.seed)
    outputs = _count_outputs(config, cache)
    network = torch.nn.Conv2d(3, outputs, 1)
    model = SegmentationModel(network, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    groups = [{"params": list(model.parameters()), "rate_factor": 1.0}]
    return TrainState(
        config=config,
        outputs=outputs,
        model=model,
        optimizer=torch.optim.SGD(groups, lr=config.learning_rate),
        scaler=build_scaler(config, MACHINE),
        mean_model=copy.deepcopy(model) if config.ema_decay else None,
    )


def _train(state, cache, machine=MACHINE):
    return list(train_epochs(state, cache, TRAIN, VALID, machine))


def _assert_same_weights(one, two):
    ours, theirs = one.model.state_dict(), two.model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def _drop_paths(state):
    """Make the encoder skip its blocks at random, as deeper backbones do; this adds no tensors."""
    blocks = [block for stage in state.model.network.encoder.model.blocks for block in stage]
    for block in blocks:
        block.drop_path = DropPath(0.5)
    return state


@pytest.mark.parametrize(
    "values",
    [
        {**CROPS, "rate_schedule": "onecycle", "optimizer": "adamw", "loss": "ce+jaccard"},
        {"batch_size": 3, "rate_schedule": "plateau", "plateau_patience_epochs": 1, "optimizer": "sgd"},
        {"input_mode": "resize", "batch_size": 4, "optimizer": "adam", "labels": "scored", "loss": "focal"},
        {**CROPS, "batch_size": 2, "accumulation_steps": 3, "ema_decay": 0.9, "gradient_clip": 1.0,
         "encoder_rate_factor": 0.1, "rate_schedule": "cosine", "auxiliary_weight": 0.4, "ohem_share": 0.5,
         "label_smoothing": 0.1, "decay_on": "kernels", "encoder_layer_decay": 0.9, "loss": "ce+boundary"},
    ],
    ids=["crop", "full", "resize", "every option"],
)  # fmt: skip
def test_killed_and_resumed_training_ends_in_the_same_weights(make_config, cache, tmp_path, values):
    config = make_config(epochs=3, **values)
    through = _drop_paths(_start(config, cache))
    results = _train(through, cache)

    killed = _drop_paths(_start(config, cache))
    steps = train_epochs(killed, cache, TRAIN, VALID, MACHINE)
    next(steps)
    save_state(killed, tmp_path / "state.pt")
    next(steps)  # this epoch is lost

    torch.manual_seed(999)  # another process has other random numbers
    resumed = _drop_paths(load_state(tmp_path / "state.pt", config, MACHINE))
    resumed_results = _train(resumed, cache)
    _assert_same_weights(through, resumed)
    assert [result.epoch for result in resumed_results] == [2, 3]
    assert [result.train_loss for result in resumed_results] == [result.train_loss for result in results[1:]]
    assert [result.metrics for result in resumed_results] == [result.metrics for result in results[1:]]
    assert resumed.scores == through.scores
    assert resumed.train_losses == through.train_losses


def test_weights_depend_on_neither_loader_processes_nor_a_restart_though_paths_are_dropped_at_random(
    make_config, cache, tmp_path
):
    config, machine = make_config(epochs=2, **CROPS), Machine(loader_workers=1)
    through = _drop_paths(_start(config, cache))
    _train(through, cache)

    killed = _drop_paths(_start(config, cache))
    next(train_epochs(killed, cache, TRAIN, VALID, machine))
    save_state(killed, tmp_path / "state.pt")
    resumed = _drop_paths(load_state(tmp_path / "state.pt", config, MACHINE))
    _train(resumed, cache, machine)
    _assert_same_weights(through, resumed)

    unbroken = _drop_paths(_start(config, cache))
    _train(unbroken, cache, machine)
    _assert_same_weights(through, unbroken)


def test_seed_changes_the_training(make_config, cache):
    one, other = (_start_small(make_config(epochs=1, seed=seed, **CROPS), cache) for seed in (0, 1))
    other.model.load_state_dict(one.model.state_dict())
    assert _train(one, cache)[0].train_loss != _train(other, cache)[0].train_loss


def test_network_learns_the_streets(make_config, cache):
    pretrained = {"backbone": "tf_efficientnet_lite0", "weights": "imagenet"}
    config = make_config(epochs=10, batch_size=4, learning_rate=0.01, **pretrained)
    results = _train(_start(config, cache), cache)
    assert results[-1].train_loss < 0.5 * results[0].train_loss
    assert results[-1].metrics["miou"] > results[0].metrics["miou"] + 0.2


def test_each_result_tells_its_epoch_and_the_state_remembers_it(make_config, cache):
    config = make_config(epochs=2, batch_size=4)
    state = _start_small(config, cache)
    weight, bias = state.model.parameters()
    # The encoder's group comes first, and may have a rate of its own.
    groups = [{"params": [weight], "rate_factor": 0.25}, {"params": [bias], "rate_factor": 1.0}]
    state.optimizer = torch.optim.SGD(groups, lr=config.learning_rate)
    results = _train(state, cache)
    assert [result.epoch for result in results] == [1, 2]
    assert state.epoch == 2
    assert state.scores == [result.metrics["iou"] for result in results]
    assert state.train_losses == [result.train_loss for result in results]
    # 8 images in batches of 4: 2 steps an epoch; the last of epoch e is step 2 e - 1 of 4.
    assert [result.learning_rate for result in results] == [
        rate_at(config, step, 4, state.train_losses) for step in (1, 3)
    ]
    assert all(0 < result.wait_share < 1 for result in results)
    assert [result.samples_per_second * result.train_seconds for result in results] == pytest.approx([8, 8])


def test_first_batches_of_the_next_epoch_are_begun_where_there_is_one(make_config, cache, monkeypatch):
    begun = []
    monkeypatch.setattr(TrainingLoader, "begin", lambda loader, epoch: begun.append(epoch))
    _train(_start_small(make_config(epochs=3, batch_size=8), cache), cache)
    assert begun == [1, 2]


def test_classes_are_weighed_by_the_training_images_alone(make_config, cache, monkeypatch):
    given = []

    def build(config, weights_C):
        given.append(weights_C)
        return build_loss(config, weights_C)

    monkeypatch.setattr(train, "build_loss", build)
    for class_weights in ("none", "balanced"):
        _train(_start_small(make_config(epochs=1, batch_size=8, class_weights=class_weights), cache), cache)
    pixels_C = np.sum([cache.cases[index].class_pixels[:-1] for index in TRAIN], axis=0)
    assert given[0] is None
    assert given[1].tolist() == pytest.approx(np.sqrt(np.median(pixels_C) / pixels_C))


def test_batch_size_that_was_measured_once_stays(make_config, cache):
    state = _start_small(make_config(epochs=1, batch_size="auto"), cache)
    state.batch_size = 3
    assert _train(state, cache)[0].batch_size == 3


@pytest.mark.parametrize(
    ("sizes", "batch_size", "tried"),
    [
        # 8 images in batches of 4 are 2 steps in each of the 3 epochs that are left; a batch has 2 parts.
        ([(32, 48)] * 9, 4, [(6, 2)]),
        ([(32, 48)] * 9, 5, []),
        ([(32, 48), (48, 32)] * 4 + [(32, 48)], 4, []),
    ],
    ids=["parts alike", "uneven parts", "images of unlike sizes"],
)
def test_network_is_compiled_for_the_only_shape_of_the_steps_that_are_left(
    make_dataset, make_config, tmp_path, monkeypatch, sizes, batch_size, tried
):
    found = []

    def choose(state, batch, loss, machine, steps):
        found.append((steps, len(batch.target_NHW)))
        return "as ever"

    monkeypatch.setattr(train, "choose_forward", choose)
    data = PixelCache(prepare_cache(read_dataset(make_dataset(*sizes)), tmp_path / "cache"))
    state = _start_small(make_config(epochs=5, batch_size=batch_size), data)
    state.epoch, state.scores, state.train_losses, state.micro_batches = 2, [0.0] * 2, [1.0] * 2, 2
    result = next(train_epochs(state, data, TRAIN, [8], Machine(compile="on")))
    assert found == tried
    assert result.compile_note == ("as ever" if tried else "")


def test_finished_training_gives_no_further_result(make_config, cache):
    state = _start_small(make_config(epochs=1, batch_size=8), cache)
    assert len(_train(state, cache)) == 1
    assert _train(state, cache) == []


@pytest.mark.parametrize(
    "values", [CROPS, {"input_mode": "resize", "scale": 0.5}, {"labels": "scored"}], ids=["crop", "resize", "scored"]
)
def test_validation_scores_whole_images_at_their_original_size(make_config, cache, values):
    (result,) = _train(_start_small(make_config(epochs=1, **values), cache), cache)
    assert [score.name for score in result.scores] == [cache.names[index] for index in VALID]
    # 64 x 96 pixels but the void corner of 4 x 4.
    assert [int(score.confusion_CP.sum()) for score in result.scores] == [64 * 96 - 16] * 4
    # A network of scored classes tells no others apart.
    told = {"iou", "miou", "iou/car", "iou/road"} & result.metrics.keys()
    assert told == ({"iou", "iou/car"} if "labels" in values else {"iou", "miou", "iou/car", "iou/road"})


def test_training_stops_when_patience_epochs_bring_no_better_score(make_config, cache):
    state = _start_small(make_config(epochs=9, batch_size=8, patience_epochs=2), cache)
    # No epoch beats a perfect score: after the first, epochs 2 and 3 are waited for.
    state.epoch, state.scores, state.train_losses = 1, [1.0], [1.0]
    assert [result.epoch for result in _train(state, cache)] == [2, 3]


@pytest.mark.parametrize("metric", ["miou", "iou/car", "boundary_iou"])
def test_metric_that_decides_is_what_the_state_remembers_and_patience_waits_for(make_config, cache, metric):
    state = _start_small(make_config(epochs=9, batch_size=8, patience_epochs=1), cache)
    # Of the metric no epoch beats 1, whatever the others do: epoch 2 is waited for.
    state.metric, state.epoch, state.scores, state.train_losses = metric, 1, [1.0], [1.0]
    (result,) = _train(state, cache)
    assert state.scores == [1.0, result.metrics[metric]]
    assert ("boundary_iou" in result.metrics) == (metric == "boundary_iou"), "it is counted only where it decides"


def test_images_of_mixed_sizes_train_together(make_dataset, make_config, tmp_path):
    folder = make_dataset((64, 96), (70, 64), (65, 71), (64, 64))
    mixed = PixelCache(prepare_cache(read_dataset(folder), tmp_path / "cache"))
    state = _start_small(make_config(epochs=1, batch_size=3), mixed)
    (result,) = train_epochs(state, mixed, [0, 1, 2], [3], MACHINE)
    assert result.metrics["iou"] >= 0
    assert int(result.scores[0].confusion_CP.sum()) == 64 * 64 - 16


def test_crop_larger_than_the_images_is_refused_before_training(make_config, cache):
    state = _start_small(make_config(input_mode="crop", crop_size=96), cache)
    with pytest.raises(ConfigError, match="crop_size=96 is larger than the shorter side of the images, 64 pixels"):
        _train(state, cache)
    assert state.epoch == 0


def _break_step(state, broken_step):
    """Make the network's logits not-a-number from the given training step on, counted from 1."""
    steps = []

    def spoil(model, inputs, logits):
        if model.training:
            steps.append(len(steps) + 1)
        return logits * float("nan") if steps[-1] >= broken_step else logits

    state.model.register_forward_hook(spoil)


@pytest.mark.parametrize(
    ("broken_step", "place"),
    [
        (3, "epoch 1, step 3:"),
        (25, "epoch 1, step 25:"),  # in the second group of 20 steps
        (44, "epoch 2, step 4:"),  # an epoch has 40
    ],
)
def test_loss_that_is_not_finite_is_named_with_epoch_and_step(make_config, cache, broken_step, place):
    # 8 images of 10 crops in batches of 2: 40 steps.
    config = make_config(input_mode="crop", crop_size=32, crops_per_image=10, batch_size=2, epochs=2)
    state = _start_small(config, cache)
    _break_step(state, broken_step)
    with pytest.raises(NonFiniteLossError, match=f"^The loss is nan in {place} .*learning_rate"):
        _train(state, cache)


def test_loss_that_diverges_ends_the_training(make_config, cache):
    # Decay of 1 at a rate of 10 multiplies every weight by 1 - 10 = -9 at each step: 9^40 is past fp32's 3e38.
    config = make_config(
        input_mode="crop", crop_size=32, crops_per_image=12, batch_size=2, epochs=1,
        optimizer="sgd", learning_rate=10, weight_decay=1, rate_schedule="constant",
    )  # fmt: skip
    state = _start_small(config, cache)
    state.optimizer.param_groups[0]["weight_decay"] = config.weight_decay
    with pytest.raises(NonFiniteLossError) as caught:
        _train(state, cache)
    place = re.search(r"epoch 1, step (\d+)", str(caught.value))
    assert place is not None and 2 <= int(place.group(1)) <= 48


def _flat(module):
    return torch.cat([parameter.detach().flatten().clone() for parameter in module.parameters()])


def test_accumulated_small_batches_equal_one_large(make_config, cache):
    # 8 images: batches of 4, or of 2 added in pairs, hold the same samples in the same order.
    values = {"optimizer": "sgd", "rate_schedule": "constant", "learning_rate": 0.5, "epochs": 2, "loss": "focal"}
    large = _start_small(make_config(batch_size=4, **values), cache)
    small = _start_small(make_config(batch_size=2, accumulation_steps=2, **values), cache)
    start = _flat(large.model)
    _train(large, cache)
    _train(small, cache)
    torch.testing.assert_close(_flat(small.model), _flat(large.model), rtol=1e-3, atol=1e-5)
    assert (_flat(large.model) - start).abs().max() > 0.01


def test_clipped_gradient_moves_the_weights_no_further_than_rate_times_norm(make_config, cache):
    # 8 images in batches of 4 are 2 steps; plain SGD moves at most 2 * 0.5 * 0.01 = 0.01 in all.
    values = {"batch_size": 4, "rate_schedule": "constant", "learning_rate": 0.5, "epochs": 1}
    free = _start_small(make_config(**values), cache)
    clipped = _start_small(make_config(gradient_clip=0.01, **values), cache)
    start = _flat(free.model)
    _train(free, cache)
    _train(clipped, cache)
    assert 0 < (_flat(clipped.model) - start).norm() <= 0.01 * 1.0001
    assert (_flat(free.model) - start).norm() > 0.02


def test_running_mean_of_the_weights_by_hand(make_config, cache):
    # One batch of 8 is one step: decay min(0.9, 1 / 10) = 0.1, so mean = 0.1 * start + 0.9 * new.
    config = make_config(batch_size=8, epochs=1, ema_decay=0.9, rate_schedule="constant", learning_rate=0.5)
    state = _start_small(config, cache)
    start = _flat(state.model)
    _train(state, cache)
    torch.testing.assert_close(_flat(state.mean_model), 0.1 * start + 0.9 * _flat(state.model))
    assert state.final_model is state.mean_model


def test_running_mean_is_what_is_validated(make_config, cache):
    config = make_config(batch_size=8, epochs=1, ema_decay=0.9, rate_schedule="constant", learning_rate=5.0)
    state = _start_small(config, cache)
    (result,) = _train(state, cache)
    scored = score_cases(predict_cases(state.mean_model, cache, VALID, config, MACHINE), cache, VALID)
    plain = score_cases(predict_cases(state.model, cache, VALID, config, MACHINE), cache, VALID)
    counts, of_mean, of_plain = (
        [score.confusion_CP.tolist() for score in scores] for scores in (result.scores, scored, plain)
    )
    assert counts == of_mean
    assert counts != of_plain


def _encoder_tensors(state):
    return {name: tensor.clone() for name, tensor in state.model.network.encoder.state_dict().items()}


def test_frozen_encoder_keeps_its_weights_and_statistics(make_config, cache):
    state = _start(make_config(freeze="encoder", epochs=1, **CROPS), cache)
    before, head = _encoder_tensors(state), _flat(state.model.network.segmentation_head)
    _train(state, cache)
    for name, tensor in state.model.network.encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not torch.equal(_flat(state.model.network.segmentation_head), head)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_what_full_precision_learns(make_config, cache, monkeypatch, precision):
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}

    def half_on_a_cpu(config, machine):
        return torch.autocast("cpu", dtype.get(config.precision), enabled=config.precision in dtype)

    # A CPU trains fp16 as fp32.
    monkeypatch.setattr("segcore.training.epoch.autocast", half_on_a_cpu)
    values = {"batch_size": 4, "rate_schedule": "constant", "learning_rate": 0.5, "epochs": 6}
    full = _train(_start_small(make_config(precision="fp32", **values), cache), cache)
    half = _train(_start_small(make_config(precision=precision, **values), cache), cache)
    assert half[-1].train_loss == pytest.approx(full[-1].train_loss, rel=0.05)
    # One of them may round to the same number.
    assert [result.train_loss for result in half] != [result.train_loss for result in full]
    assert half[-1].train_loss < 0.8 * half[0].train_loss


def test_only_fp16_scales_its_loss(make_config, cache):
    assert _start_small(make_config(precision="fp16"), cache).scaler.is_enabled()
    assert not _start_small(make_config(precision="bf16"), cache).scaler.is_enabled()
    assert not _start_small(make_config(precision="fp32"), cache).scaler.is_enabled()


class Narrow(torch.nn.Conv2d):
    """A network on a device that holds few samples at a time, from its second call on."""

    holds = 3
    calls = 0

    def forward(self, images_N3HW):
        self.calls += 1
        if self.training and self.calls > 1 and len(images_N3HW) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(images_N3HW)


def _start_narrow(config, cache):
    state = _start_small(config, cache)
    narrow = Narrow(3, len(cache.classes), 1)
    narrow.load_state_dict(state.model.network.state_dict())
    state.model.network = narrow
    groups = [{"params": list(state.model.parameters()), "rate_factor": 1.0}]
    state.optimizer = torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9)
    return state


def test_training_on_a_small_device_ends_in_the_weights_of_a_large_one(make_config, cache, tmp_path):
    config = make_config(epochs=3, batch_size=4, accumulation_steps=1, learning_rate=0.1)
    small, large = _start_narrow(config, cache), _start_narrow(config, cache)
    for state in (small, large):
        state.epoch, state.scores, state.train_losses = 1, [0.0], [1.0]
    large.model.network.holds = 4
    # It goes on in an empty folder: until an epoch has ended there, nothing is saved to go back to.
    results = list(train_epochs(small, cache, TRAIN, VALID, MACHINE, saved=tmp_path / "state.pt"))
    # The first batch of 4 goes through whole, the second fails: the epoch starts anew in halves.
    assert [(result.batch_size, result.micro_batches) for result in results] == [(4, 2), (4, 2)]
    assert [result.micro_batches for result in _train(large, cache)] == [1, 1]
    assert small.train_losses == pytest.approx(large.train_losses, rel=1e-5)
    for name, tensor in large.model.state_dict().items():
        assert torch.allclose(small.model.state_dict()[name], tensor, atol=1e-5), name


@pytest.mark.parametrize(("input_mode", "copies"), [("crop", 1), ("full", 3)])
def test_what_was_learnt_is_copied_until_samples_of_one_size_have_fitted(
    make_dataset, make_config, tmp_path, monkeypatch, input_mode, copies
):
    sizes = [(64, 64), (64, 96), (96, 64), (64, 64)]
    mixed = PixelCache(prepare_cache(read_dataset(make_dataset(*sizes)), tmp_path / "cache"))
    config = make_config(input_mode=input_mode, crop_size=32, crops_per_image=1, epochs=3, batch_size=2)
    remembered = []
    monkeypatch.setattr(train, "copy_learnt", lambda state: remembered.append(state.epoch))
    state = _start_small(config, mixed)
    assert len(list(train_epochs(state, mixed, range(3), [3], MACHINE))) == 3
    assert len(remembered) == copies


def test_device_that_was_filled_by_something_else_is_named(make_config, cache):
    state = _start_narrow(make_config(epochs=3, batch_size=4, input_mode="crop", crop_size=32), cache)
    state.model.network.holds = 4
    results = train_epochs(state, cache, TRAIN, VALID, MACHINE)
    next(results)
    state.model.network.holds = 2
    with pytest.raises(DeviceMemoryError, match=r"cpu ran out of memory with batch_size=4"):
        next(results)


def _run_out_of_memory_once(state, step):
    """Let the network's forward pass of a training step (counted from 1, validations left out) fail once."""
    steps = []

    def fail(network, images):
        steps.extend([images] if network.training else [])
        if network.training and len(steps) == step:
            raise torch.OutOfMemoryError("CUDA out of memory")

    state.model.network.register_forward_pre_hook(fail)


def test_training_whose_device_fills_up_goes_on_from_its_last_whole_epoch_in_parts(make_config, cache, tmp_path):
    crops = {"input_mode": "crop", "crop_size": 32, "crops_per_image": 1, "batch_size": 4}
    config = make_config(epochs=2, ema_decay=0.5, learning_rate=0.1, **crops)
    filled, file = _start_small(config, cache), tmp_path / "state.pt"
    # With statistics of batches and of gradients, which go back with the weights.
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), filled.model.network)
    filled.model.network, filled.mean_model.network = network, copy.deepcopy(network)
    groups = [{"params": list(filled.model.parameters()), "rate_factor": 1.0}]
    filled.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate)
    # 8 images in batches of 4: the second epoch's first step changes the weights, its second fails.
    _run_out_of_memory_once(filled, 4)
    parts = []
    for result in train_epochs(filled, cache, TRAIN, VALID, MACHINE, saved=file):
        save_state(filled, file)
        parts.append(result.micro_batches)
        if result.epoch == 1:
            halved = copy.deepcopy(filled)
    assert parts == [1, 2]

    halved.micro_batches = 2
    _train(halved, cache)
    _assert_same_weights(filled, halved)
    for name, mean in halved.mean_model.state_dict().items():
        assert torch.equal(filled.mean_model.state_dict()[name], mean), name
    assert (filled.scores, filled.train_losses) == (halved.scores, halved.train_losses)


def test_device_that_fills_up_for_good_is_named_when_parts_are_as_small_as_can_be(make_config, cache, tmp_path):
    config, file = make_config(epochs=3, batch_size=4, input_mode="crop", crop_size=64), tmp_path / "state.pt"
    state = _start_small(config, cache)
    results = train_epochs(state, cache, TRAIN, VALID, MACHINE, saved=file)
    next(results)
    save_state(state, file)
    state.model.network.register_forward_pre_hook(_refuse)
    with pytest.raises(DeviceMemoryError, match=r"cpu ran out of memory with batch_size=4"):
        next(results)
    assert state.micro_batches == 4


def _refuse(network, images):
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_device_that_holds_no_sample_is_named(make_config, cache):
    state = _start_narrow(make_config(epochs=1, batch_size=4), cache)
    state.model.network.holds = 0
    with pytest.raises(DeviceMemoryError, match=r"cpu ran out of memory with batch_size=4"):
        _train(state, cache)
    assert state.micro_batches == 4


class Small(torch.nn.Conv2d):
    """A network on a device that has no room for so many pixels of an image when it is validated."""

    pixels = 0
    sizes = ()

    def forward(self, images_N3HW):
        height, width = images_N3HW.shape[2:]
        if not self.training:
            self.sizes = (*self.sizes, (height, width))
            if height * width >= self.pixels:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(images_N3HW)


def _start_on_small_device(config, cache, pixels):
    state = _start_small(config, cache)
    small = Small(3, len(cache.classes), 1)
    small.load_state_dict(state.model.network.state_dict())
    small.pixels = pixels
    state.model.network = small
    groups = [{"params": list(state.model.parameters()), "rate_factor": 1.0}]
    state.optimizer = torch.optim.SGD(groups, lr=config.learning_rate)
    return state


def test_images_that_do_not_fit_the_device_are_validated_in_overlapping_tiles(make_dataset, make_config, tmp_path):
    # Two images of 32 x 1024: whole they have 32,768 pixels, a tile of 512 columns has 16,384.
    sizes = [(32, 1024)] * 4
    wide = PixelCache(prepare_cache(read_dataset(make_dataset(*sizes)), tmp_path / "cache"))
    config = make_config(epochs=2, batch_size=2)
    small, large = (_start_on_small_device(config, wide, pixels) for pixels in (32_768, 1 << 30))
    found, expected = (list(train_epochs(state, wide, [0, 1], [2, 3], MACHINE)) for state in (small, large))
    assert [result.validated_in_tiles for result in found] == [True, True]
    assert [result.validated_in_tiles for result in expected] == [False, False]
    # Whole images are tried once. Tiles start at 0, 256 and 512 and go through the network together.
    assert small.model.network.sizes == ((32, 1024), *((32, 512),) * 4)
    # A network of single pixels sees in a tile what it sees in the image.
    assert [result.metrics for result in found] == [pytest.approx(result.metrics) for result in expected]


def test_validation_that_fits_in_no_way_does_not_blame_the_batch(make_config, cache):
    state = _start_on_small_device(make_config(epochs=1), cache, 0)
    with pytest.raises(DeviceMemoryError, match=r"in the validation, also in tiles .* smaller backbone"):
        _train(state, cache)


def test_tiles_of_a_resized_training_are_cut_from_the_resized_image(make_config):
    plan = plan_prediction(tiled_options(make_config(**RESIZED)), make_config(**RESIZED))
    assert plan.factors == (0.5,)
    assert plan.tiling == Tiling(size=512, stride=256, gaussian=True)
    assert plan_prediction(tiled_options(make_config(**CROPS)), make_config(**CROPS)).factors == (1.0,)


def test_cyclic_training_keeps_the_weights_of_every_cycles_end(make_config, cache, tmp_path):
    config = make_config(epochs=3, batch_size=8, rate_schedule="cyclic", cycles=2, learning_rate=0.01, **RESIZED)
    state = _start_small(config, cache)
    weights = []
    for _ in train_epochs(state, cache, TRAIN, VALID, MACHINE):
        weights.append({name: tensor.clone() for name, tensor in state.model.state_dict().items()})
        save_state(state, tmp_path / "state.pt")
    # Two cycles of three epochs end after epochs 2 and 3.
    for members in (member_weights(state), read_member_weights(tmp_path / "state.pt")):
        assert len(members) == 2
        for member, expected in zip(members, weights[1:], strict=True):
            assert all(torch.equal(member[name], tensor) for name, tensor in expected.items())


def test_other_trainings_give_their_final_weights_alone(make_config, cache, tmp_path):
    state = _start_small(make_config(epochs=1, batch_size=8, ema_decay=0.5, **RESIZED), cache)
    _train(state, cache)
    save_state(state, tmp_path / "state.pt")
    for (member,) in (member_weights(state), read_member_weights(tmp_path / "state.pt")):
        assert all(torch.equal(member[name], mean) for name, mean in state.mean_model.state_dict().items())


class FailingOnce(torch.optim.SGD):
    """An optimizer whose first step needs memory that is not there."""

    failed = False

    def step(self, closure=None):
        if not self.failed:
            self.failed = True
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().step(closure)


def test_scaled_training_goes_on_after_the_optimizer_ran_out_of_memory(make_config, cache):
    config = make_config(epochs=1, batch_size=4, precision="fp16", gradient_clip=1.0)
    state = _start_small(config, cache)
    groups = [{"params": list(state.model.parameters()), "rate_factor": 1.0}]
    state.optimizer = FailingOnce(groups, lr=0.01)
    (result,) = _train(state, cache)
    assert result.micro_batches == 2


def test_fewer_processes_load_where_shared_memory_is_small(cache, make_config, monkeypatch):
    config = make_config(**CROPS, epochs=1)
    machine = Machine(loader_workers=1)
    (roomy,) = _train(_start_small(config, cache), cache, machine)
    monkeypatch.setattr("segcore.training.train.find_free_bytes", lambda: 100_000)
    (cramped,) = _train(_start_small(config, cache), cache, machine)
    assert (roomy.loader_workers, roomy.loading_note) == (1, "")
    # A batch has 4 x 64 x 64 x 4 bytes; one process needs four of them, 262,144 bytes.
    assert cramped.loader_workers == 0
    assert "has 0 MB free, and batches of 0.1 MB" in cramped.loading_note
    assert cramped.metrics == roomy.metrics
    # Four batches that make a step are held together: 10 of 65,536 bytes are more than 500,000.
    monkeypatch.setattr("segcore.training.train.find_free_bytes", lambda: 500_000)
    gathered = make_config(**CROPS, epochs=1, accumulation_steps=4)
    assert _train(_start_small(gathered, cache), cache, machine)[0].loader_workers == 0
