from contextlib import nullcontext

import pytest
import timm
import torch

from segcore.errors import ConfigError, WeightsError
from segcore.machine import Machine
from segcore.training.checkpoint import save_state
from segcore.training.feasible import Feasibility
from segcore.training.state import new_state
from tests.conftest import CLASSES


def test_crop_that_no_image_holds_is_refused(make_config):
    with pytest.raises(ConfigError, match="crop_size=64"):
        Feasibility({(48, 64), (64, 96)}, CLASSES, 48).require(make_config(input_mode="crop", crop_size=64))


def test_weights_file_of_another_backbone_is_refused_before_anything_is_trained(make_config, tmp_path):
    file = tmp_path / "w.pth"
    torch.save(timm.create_model("test_efficientnet").state_dict(), file)
    feasibility = Feasibility({(48, 64), (64, 96)}, CLASSES, 48)
    feasibility.require(make_config(backbone="test_efficientnet", weights=str(file)))
    with pytest.raises(WeightsError, match=r"w\.pth' lack \d+ tensors of backbone='test_convnext'"):
        feasibility.require(make_config(backbone="test_convnext", weights=str(file)))


@pytest.mark.parametrize(
    ("sizes", "values", "fits"),
    [
        # 0.25 x 96 is 24 pixels, of which the deepest level of the network has one.
        ({(64, 96)}, {"input_mode": "resize", "scale": 0.25}, False),
        ({(64, 96)}, {"input_mode": "resize", "scale": 0.25, "batch_size": 2}, True),
        ({(64, 96)}, {"input_mode": "resize", "scale": 0.5}, True),
        # One small image among large ones makes a batch of its own.
        ({(64, 96), (20, 32)}, {"input_mode": "full"}, False),
        ({(64, 96), (20, 33)}, {"input_mode": "full"}, True),
        ({(64, 96)}, {"input_mode": "crop", "crop_size": 64}, True),
    ],
)
def test_batch_that_leaves_one_value_per_channel_is_refused_before_anything_is_trained(
    make_config, sizes, values, fits
):
    config = make_config(**{"batch_size": 1, **values})
    with nullcontext() if fits else pytest.raises(ConfigError, match=r"batch_size=1 .* one value per channel"):
        Feasibility(sizes, CLASSES, 64).require(config)


def test_what_networks_take_of_a_file_is_said_for_each_once(make_config, tmp_path):
    small = {"backbone": "test_efficientnet"}
    save_state(new_state(make_config(**small), 4, Machine()), tmp_path / "state.pt")
    file = {**small, "weights": str(tmp_path / "state.pt")}
    feasibility = Feasibility({(64, 96)}, CLASSES, 64)
    for values in (small, file, {**file, "batch_size": 2}, {**file, "labels": "scored"}):
        feasibility.require(make_config(**values))
    # Four classes, or the two scored ones and background.
    assert feasibility.taken == (
        f"test_efficientnet, unet: {tmp_path}/state.pt: 142 of 142 tensors taken",
        f"test_efficientnet, unet: {tmp_path}/state.pt: 140 of 142 tensors taken; head: 4 classes there, 3 here: "
        "it starts anew; 2 not taken, 'network.segmentation_head.0.bias' first",
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbone_options": "drop_path=0.1"}, r"'drop_path' is nothing .*did you mean drop_path_rate"),
        ({"backbone": "mit_b0", "encoder_layer_decay": 0.8}, "encoder_layer_decay=0.8: timm knows no layers"),
    ],
)
def test_what_an_encoder_cannot_do_is_refused_before_anything_is_trained(make_config, values, message):
    with pytest.raises(ConfigError, match=message):
        Feasibility({(64, 96)}, CLASSES, 64).require(make_config(**values))


def test_auxiliary_head_counts_in_the_size_of_a_checkpoint(make_config, tmp_path):
    config = make_config(backbone="test_efficientnet", auxiliary_weight=0.4, optimizer="sgd", ema_decay=0.9)
    with_head, without = Feasibility({(64, 96)}, CLASSES, 64), Feasibility({(64, 96)}, CLASSES, 64)
    plain = make_config(backbone="test_efficientnet", optimizer="sgd", ema_decay=0.9)
    # The largest counts, whichever was looked at last.
    for each in (config, plain):
        with_head.require(each)
    without.require(plain)
    head = new_state(config, 4, Machine()).auxiliary
    numbers = sum(tensor.numel() for tensor in head.state_dict().values())
    # Its weights and one moment, 4 bytes each.
    assert with_head.checkpoint_bytes - without.checkpoint_bytes == 8 * numbers
