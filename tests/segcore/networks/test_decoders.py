from typing import get_args

import pytest
import torch

from segcore.config import DecoderName
from segcore.errors import ConfigError
from segcore.networks.decoders import SqueezeExcitation
from segcore.networks.model import build_architecture, require_architecture

DECODERS = tuple(decoder for decoder in get_args(DecoderName) if decoder != "dpt")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "convnext_atto"])
def test_every_decoder_gives_logits_at_the_images_size(make_config, decoder, backbone):
    # convnext_atto has four feature levels, the other five; 37 and 70 are no multiples of the stride.
    model = build_architecture(make_config(decoder=decoder, backbone=backbone), 3).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 37, 70, 3, dtype=torch.uint8)).shape == (1, 3, 37, 70)


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_at_its_narrowest_takes_an_image_of_one_pixel(make_config, decoder):
    # Of FPN's 32 groups of channels each would be one number.
    model = build_architecture(make_config(decoder=decoder, backbone="test_resnet", decoder_channels=16), 3).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 1, 1, 3, dtype=torch.uint8)).shape == (1, 3, 1, 1)


@pytest.mark.parametrize(
    "backbone",
    ["resnet18", "wide_resnet50_2", "regnety_002", "mobilenetv3_small_050", "mobilenetv4_conv_small",
     "tf_efficientnetv2_b0", "densenet121", "edgenext_xx_small"],
)  # fmt: skip
def test_families_of_backbones_fit(make_config, backbone):
    require_architecture(make_config(backbone=backbone))


def test_decoders_differ(make_config):
    sizes = {
        sum(parameter.numel() for parameter in build_architecture(make_config(decoder=decoder), 3).parameters())
        for decoder in DECODERS
    }
    assert len(sizes) == len(DECODERS)


@pytest.mark.parametrize("decoder", ["unet", "unetplusplus"])
def test_attention_puts_its_module_into_every_block(make_config, decoder):
    def kinds(attention):
        model = build_architecture(make_config(decoder=decoder, attention=attention, decoder_channels=64), 3)
        return [type(module).__name__ for module in model.network.decoder.modules()]

    plain, se, scse = kinds("none"), kinds("se"), kinds("scse")
    assert "SCSEModule" not in plain and "SqueezeExcitation" not in plain
    assert scse.count("SCSEModule") == se.count("SqueezeExcitation") >= 10
    assert "SCSEModule" not in se


def test_attention_is_refused_where_the_decoder_has_no_place_for_it(make_config):
    with pytest.raises(ConfigError, match="attention='scse' has no place in decoder='fpn'"):
        make_config(decoder="fpn", attention="scse")


def test_squeeze_excitation_scales_each_channel_by_one_gate_between_0_and_1():
    torch.manual_seed(0)
    features_NCHW = torch.rand(2, 32, 4, 5) + 0.1
    gate_NCHW = SqueezeExcitation(32)(features_NCHW) / features_NCHW
    assert (gate_NCHW > 0).all() and (gate_NCHW < 1).all()
    torch.testing.assert_close(gate_NCHW, gate_NCHW[:, :, :1, :1].expand_as(gate_NCHW))


def test_gates_see_a_sixteenth_of_the_channels_and_one_at_least():
    assert [SqueezeExcitation(channels).gate[1].out_channels for channels in (64, 8)] == [4, 1]
