import pytest
import torch

from segcore.errors import ConfigError
from segcore.networks.layers import find_layers, find_undecayed
from segcore.networks.model import build_architecture


def _encoder_names(config):
    with torch.device("meta"):
        encoder = build_architecture(config, 2).network.encoder
    return [name for name, _ in encoder.named_parameters()]


@pytest.mark.parametrize(
    ("backbone", "depths"),
    [
        # Four stages of two blocks over the stem.
        ("resnet18", {"conv1.weight": 9, "layer1.0.conv1.weight": 8, "layer4.1.conv2.weight": 1}),
        # Features are taken out under other names: stages_0 of stages.0; timm counts each block of its third stage.
        ("convnext_atto", {"stem_0.weight": 13, "stages_0.blocks.0.gamma": 12, "stages_3.blocks.1.gamma": 1}),
        # Sixteen blocks, the head's convolution left out, which is above them.
        ("tf_efficientnet_lite0", {"conv_stem.weight": 17, "blocks.6.0.conv_pw.weight": 1}),
    ],
)
def test_layers_are_counted_from_the_decoder_down(make_config, backbone, depths):
    config = make_config(backbone=backbone)
    names = _encoder_names(config)
    layers = find_layers(config, names)
    assert layers.keys() == set(names)
    assert {name: layers[f"model.{name}"] for name in depths} == depths
    assert min(layers.values()) == 1


def test_unknown_layers_are_refused_with_the_remedy(make_config):
    config = make_config(backbone="resnet18", encoder_layer_decay=0.8)
    with pytest.raises(
        ConfigError, match=r"encoder_layer_decay=0.8: timm knows no layers of .*resnet18.* \(model.odd\)"
    ):
        find_layers(config, ["model.conv1.weight", "model.odd"])


def test_places_of_a_transformers_windows_are_never_decayed(make_config):
    name = "model.layers_0.blocks.0.attn.relative_position_bias_table"
    config = make_config(backbone="swin_tiny_patch4_window7_224")
    assert find_undecayed(config, [name, "model.layers_0.blocks.0.mlp.fc1.weight"]) == {name}
    assert find_undecayed(make_config(backbone="resnet18"), ["model.conv1.weight"]) == frozenset()
