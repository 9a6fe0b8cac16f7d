import hypothesis.strategies as st
import torch
from hypothesis import given
from torch import nn

from segcore.prediction.exportable import exportable_pooling


@given(bins=st.integers(2, 6), height=st.integers(1, 13), width=st.integers(1, 13))
def test_pooling_by_products_averages_the_bins_of_torch(bins, height, width):
    network = nn.Sequential(nn.AdaptiveAvgPool2d(bins))
    features_NCHW = torch.rand(2, 3, height, width)
    expected_NCHW = network(features_NCHW)
    with exportable_pooling(network):
        assert not isinstance(network[0], nn.AdaptiveAvgPool2d)
        torch.testing.assert_close(network(features_NCHW), expected_NCHW)
    assert isinstance(network[0], nn.AdaptiveAvgPool2d)


def test_pooling_to_one_bin_stays_as_it_is():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1))
    with exportable_pooling(network):
        assert isinstance(network[0], nn.AdaptiveAvgPool2d)
