from dataclasses import replace

import pytest
import torch

from segcore.config import TrainConfig
from segcore.networks.auxiliary import AuxiliaryHead
from segcore.networks.model import build_architecture
from segcore.training.optimizer import build_optimizer, set_rate


@pytest.fixture(scope="module")
def model():
    return build_architecture(TrainConfig(backbone="resnet18", decoder_channels=16), 3)


def _group_of(model, optimizer, name):
    parameter = dict(model.named_parameters())[name]
    (group,) = [group for group in optimizer.param_groups if any(each is parameter for each in group["params"])]
    return group


def test_groups_are_encoder_and_others_as_in_every_checkpoint_without_the_new_choices(make_config, model):
    optimizer = build_optimizer(model, make_config(encoder_rate_factor=0.1, weight_decay=0.2))
    encoder = list(model.network.encoder.parameters())
    others = [*model.network.decoder.parameters(), *model.network.segmentation_head.parameters()]
    assert [list(map(id, group["params"])) for group in optimizer.param_groups] == [
        list(map(id, encoder)),
        list(map(id, others)),
    ]
    assert [(group["rate_factor"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.1, 0.2), (1, 0.2)]


def test_norms_and_biases_do_not_decay_where_kernels_alone_do(make_config, model):
    optimizer = build_optimizer(model, make_config(decay_on="kernels", weight_decay=0.2))
    decays = {
        name: _group_of(model, optimizer, f"network.{name}")["weight_decay"]
        for name in (
            "encoder.model.conv1.weight",
            "encoder.model.bn1.weight",
            "encoder.model.bn1.bias",
            "decoder.blocks.0.conv1.0.weight",
            "segmentation_head.0.bias",
        )
    }
    assert list(decays.values()) == [0.2, 0.0, 0.0, 0.2, 0.0]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_a_step_shrinks_what_decays_alone(make_config, model):
    # Without a gradient AdamW multiplies by 1 - rate * decay = 1 - 0.5 * 0.2 = 0.9.
    optimizer = build_optimizer(model, make_config(decay_on="kernels", weight_decay=0.2, learning_rate=0.5))
    kernel, scale = model.network.encoder.model.conv1.weight, model.network.encoder.model.bn1.weight
    before, kept = kernel.detach().clone(), scale.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(kernel.detach(), 0.9 * before)
    assert torch.equal(scale, kept)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 1 - 0.5 * 0.2 each time.
        ("adamw", [0.9, 0.81]),
        # The decay is a gradient: of 0.2, then 0.18 beside nine tenths of the last.
        ("sgd", [0.9, 0.9 - 0.5 * 0.36]),
        # A gradient of 0.2 per its own size; then means of 0.02 * 0.9 + 0.01 and 4e-5 * 0.999 + 1e-5, per 0.19 and
        # 0.001999.
        ("adam", [0.5, 0.5 - 0.5 * 0.147368 / 0.0249925**0.5]),
    ],
)
def test_decay_alone_takes_a_weight_where_its_optimizer_does(make_config, name, expected):
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    optimizer = build_optimizer(layer, make_config(optimizer=name, learning_rate=0.5, weight_decay=0.2))
    layer.weight.grad = torch.zeros(1, 1)
    found = []
    for _ in expected:
        optimizer.step()
        found.append(layer.weight.item())
    assert found == pytest.approx(expected, abs=1e-5)


def test_places_of_patches_do_not_decay_where_kernels_alone_do(make_config):
    """Their authors never decay them, though they are no vector."""
    config = make_config(backbone="vit_tiny_patch16_224", decoder="dpt", decoder_channels=16, decay_on="kernels")
    model = build_architecture(config, 2)
    for decay_on, expected in (("kernels", [0.2, 0.0]), ("all", [0.2, 0.2])):
        optimizer = build_optimizer(model, replace(config, decay_on=decay_on, weight_decay=0.2))
        decays = [
            _group_of(model, optimizer, f"network.encoder.model.{name}")["weight_decay"]
            for name in ("patch_embed.proj.weight", "pos_embed")
        ]
        assert decays == expected


def test_rate_falls_from_layer_to_layer_of_the_encoder(make_config, model):
    config = make_config(backbone="resnet18", encoder_layer_decay=0.5, encoder_rate_factor=0.4, decay_on="kernels")
    optimizer = build_optimizer(model, config)
    set_rate(optimizer, 2.0)
    # The last of nine layers has half of the encoder's 0.4 * 2.0, the one below it half of that.
    for name, rate in (
        ("encoder.model.layer4.1.conv1.weight", 0.4),
        ("encoder.model.layer4.0.conv1.weight", 0.2),
        ("encoder.model.layer4.0.bn1.weight", 0.2),
        ("encoder.model.conv1.weight", 0.8 / 2**9),
        ("decoder.blocks.0.conv1.0.weight", 2.0),
    ):
        assert _group_of(model, optimizer, f"network.{name}")["lr"] == pytest.approx(rate), name
    # What an epoch reports as its rate.
    assert optimizer.param_groups[-1]["lr"] == 2.0


def test_auxiliary_head_learns_like_a_decoder(make_config, model):
    head = AuxiliaryHead(model.network, 3)
    optimizer = build_optimizer(model, make_config(encoder_rate_factor=0.1), head)
    assert {id(each) for each in head.parameters()} <= {id(each) for each in optimizer.param_groups[-1]["params"]}


def test_frozen_encoder_is_in_no_group(make_config, model):
    for parameter in model.network.encoder.parameters():
        parameter.requires_grad_(False)
    try:
        optimizer = build_optimizer(model, make_config(backbone="resnet18", encoder_layer_decay=0.5))
        assert [group["rate_factor"] for group in optimizer.param_groups] == [1.0]
    finally:
        model.network.encoder.requires_grad_(True)
