import copy

import pytest
import torch

from segcore.networks.model import SegmentationModel
from segcore.training.running_mean import RunningMean


def _pair(network):
    model = SegmentationModel(network, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return copy.deepcopy(model).requires_grad_(False), model


def test_statistics_of_normalisation_are_averaged_like_the_weights():
    mean_model, model = _pair(torch.nn.BatchNorm2d(1))
    ours, mean = model.network, mean_model.network
    running = RunningMean(mean_model, model, 0.9)
    ours.running_mean.fill_(10)
    ours.running_var.fill_(3)
    ours.num_batches_tracked.fill_(7)
    # At the first step the decay is 1 / 10: 0.1 * 0 + 0.9 * 10, and 0.1 * 1 + 0.9 * 3.
    running.follow(0)
    assert mean.running_mean.item() == pytest.approx(9.0)
    assert mean.running_var.item() == pytest.approx(2.8)
    assert mean.num_batches_tracked.item() == 7
    # Later it is the given one, 0.9: 0.9 * 9 + 0.1 * -1.
    ours.running_mean.fill_(-1)
    running.follow(1000)
    assert mean.running_mean.item() == pytest.approx(8.0)


def test_network_that_counts_no_batches_has_a_mean_too():
    mean_model, model = _pair(torch.nn.Conv2d(3, 1, 1))
    running = RunningMean(mean_model, model, 0.9)
    torch.nn.init.constant_(mean_model.network.weight, 0.0)
    # A step of the optimizer changes the very tensors that were paired.
    torch.nn.init.constant_(model.network.weight, 10.0)
    running.follow(0)
    assert mean_model.network.weight.flatten().tolist() == pytest.approx([9.0] * 3)
