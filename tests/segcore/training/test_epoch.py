import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segcore.config import TrainConfig
from segcore.data.classes import VOID
from segcore.feeding.batch import Batch
from segcore.feeding.changes import pack_change
from segcore.machine import Machine, build_scaler
from segcore.networks.auxiliary import AuxiliaryHead
from segcore.networks.model import SegmentationModel
from segcore.training.epoch import set_training, take_step, train_epoch
from segcore.training.losses import build_loss
from segcore.training.state import TrainState

MACHINE = Machine()


def _state(config, outputs, micro_batches=1):
    """A training of one bias per output, all 0, whose step at rate 1 is the gradient with its sign changed."""
    network = torch.nn.Conv2d(3, outputs, 1)
    torch.nn.init.zeros_(network.weight).requires_grad_(False)
    torch.nn.init.zeros_(network.bias)
    model = SegmentationModel(network, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return TrainState(
        config=config,
        outputs=outputs,
        model=model,
        optimizer=torch.optim.SGD([network.bias], lr=1.0),
        scaler=build_scaler(config, MACHINE),
        mean_model=None,
        micro_batches=micro_batches,
    )


def _batch(*targets):
    target_NHW = torch.tensor(np.array(targets, np.uint8))
    return Batch(images_NHW3=torch.zeros(*target_NHW.shape, 3, dtype=torch.uint8), target_NHW=target_NHW)


def _step(config, batches, *, outputs=2, micro_batches=1, weights_C=None):
    """The loss, and the biases after the step."""
    state = _state(config, outputs, micro_batches)
    value = take_step(state, batches, build_loss(config, weights_C), MACHINE).mean
    return value.item(), state.model.network.bias.tolist()


# One valid pixel of class 0 and three of class 1. At logits of 0 the softmax is 1/2 each, so a pixel's gradient of the
# first bias is 1/2 - 1 or 1/2: the mean over the four is (-0.5 + 3 * 0.5) / 4 = 0.25. Pictures of equal weight: 0.
SPARSE, DENSE = [[0, VOID, VOID, VOID]], [[1, 1, 1, VOID]]


@pytest.mark.parametrize(
    ("batches", "micro_batches"),
    [([_batch(SPARSE, DENSE)], 1), ([_batch(SPARSE, DENSE)], 2), ([_batch(SPARSE), _batch(DENSE)], 1)],
    ids=["whole", "in parts", "accumulated"],
)
def test_each_valid_pixel_of_a_step_counts_alike(make_config, batches, micro_batches):
    loss, biases = _step(make_config(loss="ce"), batches, micro_batches=micro_batches)
    assert loss == pytest.approx(math.log(2))
    assert biases == pytest.approx([-0.25, 0.25])


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_what_was_left_to_the_device_is_changed_before_the_network_and_the_loss_see_it(make_config, micro_batches):
    # Room of 2 pixels around crops of 32, and class 0 in it alone: each pixel's gradient of the first bias is 1/2.
    values = {"input_mode": "crop", "crop_size": 32, "augmentation": "light", "augmentation_on": "device"}
    target_NHW = np.pad(np.ones((2, 32, 32), np.uint8), ((0, 0), (2, 2), (2, 2)))
    batch = replace(_batch(*target_NHW), changes_NP=torch.from_numpy(np.stack([pack_change({})] * 2)))
    _, biases = _step(make_config(loss="ce", **values), [batch], micro_batches=micro_batches)
    assert biases == pytest.approx([-0.5, 0.5])


def test_a_classs_weight_counts_in_the_share_of_a_part(make_config):
    # Weights 6 and 1: (6 * -0.5 + 3 * 0.5) / (6 + 3) = -1/6.
    weights_C = torch.tensor([6.0, 1.0])
    _, biases = _step(make_config(loss="ce"), [_batch(SPARSE), _batch(DENSE)], weights_C=weights_C)
    assert biases == pytest.approx([1 / 6, -1 / 6])


@pytest.mark.parametrize("loss", ["ce", "jaccard+lovasz"])
def test_part_without_a_valid_pixel_changes_nothing(make_config, loss):
    empty = [[VOID] * 4]
    alone = _step(make_config(loss=loss), [_batch(DENSE)])
    beside = _step(make_config(loss=loss), [_batch(empty), _batch(DENSE), _batch(empty)])
    assert beside[0] == pytest.approx(alone[0])
    assert beside[1] == pytest.approx(alone[1])


def test_step_without_any_valid_pixel_stands_still(make_config):
    assert _step(make_config(loss="ce+dice"), [_batch([[VOID] * 4]), _batch([[VOID] * 4])]) == (0.0, [0.0, 0.0])


class Steps:
    """A loader of given batches."""

    def __init__(self, *batches):
        self._batches = batches

    def __len__(self):
        return len(self._batches)

    def epoch(self, epoch):
        return iter(self._batches)


def test_each_valid_pixel_of_an_epoch_counts_alike_in_its_loss(make_config):
    config = make_config(loss="ce", learning_rate=1e-9, rate_schedule="constant")
    state = _state(config, 2)
    state.optimizer.param_groups[0]["rate_factor"] = 1.0
    # The softmax gives class 0 a probability of 3/4, class 1 one of 1/4.
    state.model.network.bias.data = torch.tensor([math.log(3), 0.0])
    loader = Steps(_batch(SPARSE), _batch([[VOID] * 4]), _batch(DENSE))
    expected = (-math.log(3 / 4) - 3 * math.log(1 / 4)) / 4
    assert train_epoch(state, loader, build_loss(config), MACHINE).mean_loss == pytest.approx(expected)
    assert train_epoch(state, Steps(_batch([[VOID] * 4])), build_loss(config), MACHINE).mean_loss == 0.0


def test_second_of_two_epochs_goes_on_in_the_rates_course_and_the_means_with_dropout_of_its_own(make_config):
    """Three batches by twos are two steps, those after 0 and 1; of a cosine 1/2 and (1 + cos(3/4 pi)) / 2 are left."""
    config = make_config(
        epochs=2, accumulation_steps=2, rate_schedule="cosine", learning_rate=0.5, ema_decay=0.9, seed=3
    )
    state = _state(config, 2)
    state.optimizer.param_groups[0]["rate_factor"] = 1.0
    state.mean_model, state.epoch = copy.deepcopy(state.model), 1
    train_epoch(state, Steps(*[_batch(SPARSE)] * 3), build_loss(config), MACHINE)
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.1464466)
    assert torch.initial_seed() == 3 * 2**20 + 2
    # The bias of class 0: 0.25 * 1/2 = 0.125, then 0.0732233 * (1 - 1 / (1 + exp(-0.25))) = 0.0320588 more.
    assert state.model.network.bias[0].item() == pytest.approx(0.1570588)
    # Its mean, of which (1 + 2) / (10 + 2) and (1 + 3) / (10 + 3) are kept: 3/4 of 0.125, then 4/13 of that and 9/13.
    assert state.mean_model.network.bias[0].item() == pytest.approx(0.1375792)


def test_region_loss_of_parts_is_their_mean_by_valid_pixels(make_config):
    # Each probability is 1/2, and 1 is added to intersection and union. [0, 1, 1]: class 0 has 0.5 of 2, class 1 has
    # 1 of 2.5: mean loss of 1 - 1.5 / 3 and 1 - 2 / 3.5. [1]: 0.5 of 1: 1 - 1.5 / 2. The second has 1 pixel of 4.
    parts = [_batch([[0, 1, 1, VOID]]), _batch([[1, VOID, VOID, VOID]])]
    first, second = (1 - 1.5 / 3 + 1 - 2 / 3.5) / 2, 1 - 1.5 / 2
    assert _step(make_config(loss="jaccard"), parts)[0] == pytest.approx(0.75 * first + 0.25 * second)


@given(st.data())
def test_dividing_a_step_changes_no_loss_of_single_pixels(data):
    samples = data.draw(st.integers(1, 6))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # Few valid pixels in some pictures, many in others.
    target_NHW = random.integers(0, 3, (samples, 4, 5))
    target_NHW[random.random(target_NHW.shape) < random.random((samples, 1, 1))] = VOID
    cuts = data.draw(st.sets(st.integers(1, samples)))
    batches = [_batch(*part) for part in np.split(target_NHW, sorted(cuts)) if len(part)]
    weights_C = data.draw(st.sampled_from([None, torch.tensor([0.1, 1.0, 10.0])]))
    config = TrainConfig(
        loss=data.draw(st.sampled_from(["ce", "bce", "focal", "ce+0.5*bce"])),
        ohem_share=data.draw(st.sampled_from([1.0, 0.25])),
        label_smoothing=data.draw(st.sampled_from([0.0, 0.2])),
        backbone="resnet18",
    )
    whole = _step(config, [_batch(*target_NHW)], outputs=3, weights_C=weights_C)
    divided = _step(config, batches, outputs=3, micro_batches=data.draw(st.integers(1, 4)), weights_C=weights_C)
    assert divided[0] == pytest.approx(whole[0], rel=1e-5, abs=1e-6)
    assert divided[1] == pytest.approx(whole[1], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("freeze", ["none", "encoder", "batchnorm"])
def test_frozen_encoder_keeps_its_statistics_and_still_drops_at_random(make_config, freeze):
    state = _state_with_head(make_config(freeze=freeze), 0)
    state.model.network.encoder = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Dropout())
    state.model.network.decoder = torch.nn.BatchNorm2d(3)
    state.model.eval()
    set_training(state)
    (norm, dropout), decoder = state.model.network.encoder, state.model.network.decoder
    assert (norm.training, dropout.training, decoder.training) == (freeze == "none", True, True)


class Encoder(torch.nn.Identity):
    """Gives the image itself as its only level."""

    out_channels = (4,)

    def forward(self, images_N3HW):
        return [images_N3HW]


class Answer(torch.nn.Module):
    """An encoder, and one bias per output whatever it sees."""

    def __init__(self, outputs):
        super().__init__()
        self.encoder = Encoder()
        self.bias = torch.nn.Parameter(torch.zeros(outputs))

    def forward(self, images_N3HW):
        (level_N3HW,) = self.encoder(images_N3HW)
        return self.bias.view(1, -1, 1, 1).expand(len(level_N3HW), -1, *level_N3HW.shape[2:])


def _state_with_head(config, weight):
    network = Answer(2)
    head = AuxiliaryHead(network, 2) if weight else None
    if head is not None:
        head.layers = torch.nn.Conv2d(3, 2, 1)
        torch.nn.init.zeros_(head.layers.weight).requires_grad_(False)
        torch.nn.init.zeros_(head.layers.bias)
    learning = [network.bias, *([head.layers.bias] if head is not None else [])]
    return TrainState(
        config=config,
        outputs=2,
        model=SegmentationModel(network, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        optimizer=torch.optim.SGD(learning, lr=1.0),
        scaler=build_scaler(config, MACHINE),
        mean_model=None,
        auxiliary=head,
    )


@pytest.mark.parametrize("parts", [1, 2])
def test_auxiliary_head_adds_its_weight_of_the_loss(make_config, parts):
    config = make_config(loss="ce", auxiliary_weight=0.4)
    state = _state_with_head(config, 0.4)
    state.micro_batches = parts
    value = take_step(state, [_batch(SPARSE, DENSE)], build_loss(config), MACHINE).mean
    # Both answer 1/2 everywhere: ln 2 of the network and 0.4 of the head's; the gradient of both is that of `SPARSE`.
    assert value.item() == pytest.approx(1.4 * math.log(2))
    assert state.model.network.bias.tolist() == pytest.approx([-0.25, 0.25])
    assert state.auxiliary.layers.bias.tolist() == pytest.approx([-0.1, 0.1])


# At fp16 the loss is scaled, and the limit is of the gradient that is not.
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_auxiliary_heads_gradient_is_limited_with_the_others(make_config, precision):
    config = make_config(loss="ce", auxiliary_weight=1.0, gradient_clip=0.01, precision=precision)
    state = _state_with_head(config, 1.0)
    take_step(state, [_batch(DENSE)], build_loss(config), MACHINE)
    moved = torch.cat([state.model.network.bias, state.auxiliary.layers.bias]).detach()
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)
