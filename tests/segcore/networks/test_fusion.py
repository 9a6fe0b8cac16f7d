import pytest
import torch
from torch import nn

from segcore.networks.fusion import fuse_normalisation
from segcore.networks.model import SegmentationModel, build_architecture


def _randomise(model):
    """Give every normalisation statistics of its own: fresh ones would change nothing."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.uniform_(-0.5, 0.5)
    return model.eval()


def _count(model):
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize(
    "values",
    [{}, {"decoder": "fpn"}, {"backbone": "resnet18", "decoder": "unetplusplus"}, {"decoder": "deeplabv3plus"}],
)
def test_fused_network_answers_the_same_with_fewer_layers(make_config, values):
    torch.manual_seed(0)
    model = _randomise(build_architecture(make_config(**values), 4))
    pixels_NHW3 = torch.randint(0, 256, (1, 70, 90, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected_NCHW, before = model(pixels_NHW3), _count(model)
        folded = fuse_normalisation(model)
        largest = float(expected_NCHW.abs().max())
        torch.testing.assert_close(model(pixels_NHW3), expected_NCHW, rtol=0, atol=1e-3 * largest)
    assert folded > before / 2
    assert _count(model) == before - folded


class Fork(nn.Module):
    """What the convolution gives is normalised on one way and used as it is on another."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


class Twice(nn.Module):
    """One convolution that works at two places."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(self.conv(x)))


@pytest.mark.parametrize("network", [Fork, Twice])
def test_normalisation_that_is_not_alone_behind_its_convolution_stays(network):
    torch.manual_seed(0)
    model = _randomise(SegmentationModel(network(), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    pixels_NHW3 = torch.randint(0, 256, (1, 8, 8, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected_NCHW = model(pixels_NHW3)
        assert fuse_normalisation(model) == 0
        assert torch.equal(model(pixels_NHW3), expected_NCHW)
    assert _count(model) == 1
