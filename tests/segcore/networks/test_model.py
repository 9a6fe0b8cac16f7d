import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from segcore.errors import ConfigError
from segcore.networks.families import DECODERS
from segcore.networks.model import SegmentationModel, build_architecture, build_model, build_shapes


@pytest.fixture(scope="module")
def model(make_config):
    torch.manual_seed(0)
    return build_architecture(make_config(backbone="tf_efficientnet_lite0"), 5).eval()


def _random_images(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 47), (31, 65), (1, 1)])
def test_logits_have_the_size_of_the_image(model, height, width):
    with torch.inference_mode():
        logits_NCHW = model(_random_images(2, height, width, 3))
    assert logits_NCHW.shape == (2, 5, height, width)
    assert logits_NCHW.isfinite().all()


@pytest.mark.parametrize(
    ("backbone", "decoder"),
    [
        *(("resnet18", decoder) for decoder in DECODERS if decoder != "dpt"),
        ("vit_tiny_patch16_224", "dpt"),
        ("resnest14d", "unet"),
        ("rexnetr_100", "unet"),
        ("skresnet18", "unet"),
    ],
)
def test_network_learns_of_as_few_images_as_its_configuration_says(make_config, backbone, decoder):
    config = make_config(backbone=backbone, decoder=decoder, batch_size=2)
    shapes = build_shapes(config, 3).train()
    for images in (1, 2):
        pixels_NHW3 = torch.zeros(images, 64, 96, 3, dtype=torch.uint8, device="meta")
        if images < config.smallest_batch:
            with pytest.raises(ValueError, match="more than 1 value per channel"):
                shapes(pixels_NHW3)
        else:
            assert shapes(pixels_NHW3).shape == (images, 3, 64, 96)


def test_images_are_padded_to_the_next_multiple_and_to_the_smallest_side_at_least():
    """A side of 90 would be 96 without a smallest one; 130 is between four strides of 32 and five."""
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, images_N3HW):
            seen.append(tuple(images_N3HW.shape[2:]))
            return images_N3HW

    model = SegmentationModel(Spy(), (0.5,) * 3, (0.5,) * 3, stride=32, smallest_side=128)
    assert model(_random_images(1, 90, 130, 3)).shape == (1, 3, 90, 130)
    assert seen == [(128, 160)]


def test_encoder_without_a_level_at_half_size_keeps_the_image_size_too(make_config):
    model = build_architecture(make_config(backbone="test_convnext"), 5).eval()
    with torch.inference_mode():
        assert model(_random_images(1, 75, 97, 3)).shape == (1, 5, 75, 97)


def test_bytes_are_normalised_inside(model):
    images_NHW3 = _random_images(1, 64, 64, 3)
    # tf_efficientnet_lite0 has mean = std = 0.5: 0..255 becomes -1..1.
    normalised_N3HW = (images_NHW3 / 127.5 - 1).permute(0, 3, 1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(model(images_NHW3), model.network(normalised_N3HW), rtol=1e-3, atol=1e-4)


def test_backbones_own_mean_and_deviation_are_used(make_config):
    model = build_architecture(make_config(backbone="resnet18"), 2)
    assert model.mean_3.tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert model.std_3.tolist() == pytest.approx([0.229, 0.224, 0.225])


def test_odd_image_is_padded_with_the_mean_at_the_bottom_and_right(model):
    images_NHW3 = _random_images(1, 50, 40, 3)
    normalised_N3HW = (images_NHW3 / 127.5 - 1).permute(0, 3, 1, 2)
    # 50 and 40 are padded to 64 and 64.
    with torch.inference_mode():
        expected = model.network(F.pad(normalised_N3HW, (0, 24, 0, 14)))[:, :, :50, :40]
        torch.testing.assert_close(model(images_NHW3), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backbone", ["convnext_atto", "mambaout_femto", "mit_b0"])
def test_first_gradient_of_padded_images_is_of_ordinary_size(make_config, backbone):
    # With a first bias of 0 the norms are 4e8, 1e6 and 7e3; without padding none is above 10.
    torch.manual_seed(0)
    network = build_model(make_config(backbone=backbone, weights="none"), 5)
    loss = F.cross_entropy(network(_random_images(2, 72, 96, 3)), torch.ones(2, 72, 96, dtype=torch.int64))
    loss.backward()
    squares = [weights.grad.square().sum() for weights in network.parameters() if weights.grad is not None]
    assert torch.stack(squares).sum().sqrt() < 100


@pytest.mark.parametrize(("backbone", "starts"), [("convnext_atto", True), ("resnet18", False)])
def test_first_bias_alone_is_not_that_of_the_architecture(make_config, backbone, starts):
    config = make_config(backbone=backbone, weights="none")
    torch.manual_seed(0)
    architecture = build_architecture(config, 5).state_dict()
    torch.manual_seed(0)
    network = build_model(config, 5).state_dict()
    changed = [name for name, weights in network.items() if not torch.equal(weights, architecture[name])]
    assert changed == (["network.encoder.model.stem_0.bias"] if starts else [])


def test_network_starts_with_the_same_weights_whether_it_was_tried_before_or_not(make_config):
    # Mix transformers are tried where numbers are drawn; no other test tries this one.
    config, starts = make_config(backbone="mit_b0", weights="none", decoder_channels=24), []
    for _ in range(2):
        torch.manual_seed(0)
        starts.append(build_model(config, 5).state_dict())
    first, second = starts
    assert [name for name, weights in first.items() if not torch.equal(weights, second[name])] == []


def test_decoder_has_the_configured_channels(make_config):
    def widths(config):
        return [block.conv2[0].out_channels for block in build_architecture(config, 2).network.decoder.blocks]

    assert widths(make_config(decoder_channels=64)) == [64, 32, 16, 16, 16]
    assert widths(make_config(decoder_channels=16)) == [16, 16, 16, 16, 16]


def test_unknown_backbone_is_refused_with_near_names(make_config):
    with pytest.raises(ConfigError, match=r"backbone='resnet43' is no timm model; did you mean .*resnet34"):
        build_model(make_config(backbone="resnet43"), 2)
    with pytest.raises(ConfigError, match=r"'#####' is no timm model; see timm\.list_models\(\)"):
        build_model(make_config(backbone="#####"), 2)


def test_model_without_feature_levels_is_refused(make_config):
    with pytest.raises(ConfigError, match=r"backbone='test_vit' cannot be .*encoder"):
        build_model(make_config(backbone="test_vit"), 2)


class _Called(TorchDispatchMode):
    """Gathers the names of what is called."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("backbone", "activation"),
    [("tf_efficientnet_lite0", "hardtanh"), ("tf_efficientnet_b0", "silu"), ("mobilenetv3_small_050", "hardswish")],
)
def test_no_activation_is_copied_to_learn_from_it(make_config, backbone, activation):
    """Written over its input, an activation that learns from it makes autograd copy it first."""
    model = build_architecture(make_config(backbone=backbone, weights="none"), 2)
    with _Called() as called:
        model(_random_images(2, 64, 64, 3)).sum().backward()
    assert sum(name == f"aten.{activation}.default" for name in called.names) > 5
    assert "aten.clone.default" not in called.names
