import pytest
import torch

from segcore.errors import ConfigError
from segcore.networks.encoders import find_encoder, find_normalisation, require_backbone
from segcore.networks.model import build_architecture, require_architecture, try_network


def _random_images(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_sides_are_padded_to_what_the_encoder_divides(make_config):
    # Seven windows of a thirty-second each; a shifted window may be cut.
    assert find_encoder(make_config(backbone="maxvit_tiny_tf_224")).stride == 224
    assert find_encoder(make_config(backbone="maxvit_base_tf_384")).stride == 384
    assert find_encoder(make_config(backbone="mobilevitv2_050")).stride == 64
    assert find_encoder(make_config(backbone="swin_tiny_patch4_window7_224")).stride == 32


@pytest.mark.parametrize(("backbone", "crop_size"), [("bat_resnext26ts", 64), ("eca_botnext26ts_256", 96)])
def test_network_that_attends_within_blocks_takes_images_of_street_sizes(make_config, backbone, crop_size):
    config = make_config(backbone=backbone, input_mode="crop", crop_size=crop_size)
    with torch.device("meta"):
        model = try_network(config)
        assert model(torch.zeros(1, crop_size, crop_size, 3, dtype=torch.uint8)).shape[2:] == (crop_size, crop_size)


# Of patches there is an even number: the deepest level of four is at half of them.
@pytest.mark.parametrize(
    ("backbone", "stride"),
    [("vit_tiny_patch16_224", 32), ("vit_small_patch14_dinov2", 28), ("vit_small_patch32_224", 32)],
)
def test_plain_transformer_asks_for_an_even_number_of_patches(make_config, backbone, stride):
    assert try_network(make_config(backbone=backbone, decoder="dpt")).stride == stride


@pytest.mark.parametrize(
    ("backbone", "decoder", "head_precision"),
    [("test_vit", "dpt", "fp32"), ("mit_b0", "segformer", "auto"), ("resnet18", "pan", "auto")],
)
def test_network_of_a_new_kind_answers_at_the_images_size(make_config, backbone, decoder, head_precision):
    config = make_config(backbone=backbone, decoder=decoder, head_precision=head_precision)
    model = build_architecture(config, 3).eval()
    with torch.inference_mode():
        for height, width in ((75, 97), (32, 200)):
            logits_NCHW = model(_random_images(1, height, width, 3))
            assert logits_NCHW.shape == (1, 3, height, width) and logits_NCHW.isfinite().all()


def test_network_of_one_size_is_built_for_the_crop_and_for_nothing_else(make_config):
    told = "takes squares of one size, and input_mode=.*use input_mode=crop with a crop_size that is a multiple of 32"
    for changes in ({}, {"input_mode": "resize"}, {"input_mode": "crop", "crop_size": 200}):
        with pytest.raises(ConfigError, match=told):
            find_encoder(make_config(backbone="hiera_tiny_224", **changes))
    config = make_config(backbone="hiera_tiny_224", input_mode="crop", crop_size=96)
    require_architecture(config)
    with torch.device("meta"):
        model = build_architecture(config, 2)
        # Smaller images than the crop are padded to it.
        assert model(torch.zeros(1, 60, 96, 3, dtype=torch.uint8)).shape == (1, 2, 60, 96)


@pytest.mark.parametrize(
    ("backbone", "decoder", "told"),
    [
        ("vit_tiny_patch16_224", "unet", r"It fits decoder=dpt; use that\.$"),
        ("mit_b0", "linknet", r"It fits decoder=upernet or unet or segformer; use one of them\.$"),
        ("levit_128s", "upernet", r"No decoder fits it; choose another backbone, see 'python -m segcore networks'\.$"),
    ],
)
def test_refusal_names_the_decoders_that_fit(make_config, backbone, decoder, told):
    with pytest.raises(ConfigError, match=told) as refusal:
        require_architecture(make_config(backbone=backbone, decoder=decoder))
    assert f"backbone='{backbone}' cannot be the encoder of decoder='{decoder}'" in str(refusal.value)


def test_weights_of_a_name_that_timm_does_not_have_are_refused_with_those_it_has():
    require_backbone("vit_small_patch14_dinov2.lvd142m")
    with pytest.raises(ConfigError, match=r"no weights called 'in1k' of convnextv2_atto; use one of fcmae, f"):
        require_backbone("convnextv2_atto.in1k")
    with pytest.raises(ConfigError, match=r"backbone='mit_b7' is no timm model; did you mean .*mit_b5"):
        require_backbone("mit_b7")


def test_mix_transformers_expect_imagenets_mean():
    assert find_normalisation("mit_b2") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
