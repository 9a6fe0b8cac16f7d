import pytest
from timm.layers import DropPath

from segcore.errors import ConfigError
from segcore.networks.backbone_options import read_backbone_options
from segcore.networks.model import build_architecture


def _drop_rates(config):
    encoder = build_architecture(config, 2).network.encoder
    return [module.drop_prob for module in encoder.modules() if isinstance(module, DropPath) and module.drop_prob]


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "convnext_atto"])
def test_drop_path_reaches_the_encoder(make_config, backbone):
    # It grows from block to block to about the given rate: a last block without a way around it has none.
    rates = _drop_rates(make_config(backbone=backbone, backbone_options="drop_path_rate=0.2"))
    assert rates == sorted(rates)
    assert 0.15 < rates[-1] < 0.201
    assert not _drop_rates(make_config(backbone=backbone, backbone_options="drop_path_rate=0"))


def test_tensors_have_the_same_names_with_drop_path(make_config):
    plain, dropped = (
        build_architecture(make_config(backbone_options=options), 2) for options in ("", "drop_path_rate=0.2")
    )
    assert plain.state_dict().keys() == dropped.state_dict().keys()


@pytest.mark.parametrize(
    ("backbone", "text", "message"),
    [
        (
            "resnet18",
            "drop_path=0.1",
            r"'drop_path' is nothing that backbone='resnet18' takes; did you mean drop_path_rate",
        ),
        ("resnet18", "xyzzy=1", "is nothing that backbone='resnet18' takes; use one of aa_layer, act_layer"),
        # What the decoder and the images decide, and what reads a file.
        ("resnet18", "num_classes=7", "'num_classes' is nothing"),
        ("resnet18", "checkpoint_path=weights.pth", "'checkpoint_path' is nothing"),
        ("resnet18", "pretrained=true", "'pretrained' is nothing"),
        ("resnet18", "act_layer=xyzzy", "does not take that .*; leave it out"),
        ("mit_b0", "drop_path_rate=0.1", "takes none; leave them out"),
    ],
)
def test_options_that_a_backbone_does_not_take_are_refused_with_the_remedy(make_config, backbone, text, message):
    with pytest.raises(ConfigError, match=message):
        read_backbone_options(make_config(backbone=backbone, backbone_options=text))
