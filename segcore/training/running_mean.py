"""The running mean of a network's weights, which forgets the random start."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from segcore.networks.model import SegmentationModel


class RunningMean:
    """Moves the mean of the weights with every step, in two calls for all tensors, which are paired once.

    The statistics of normalisations are averaged alike: those of the last steps are of other weights than the mean's.
    The decay grows with the steps. Source of the warm-up: tf.train.ExponentialMovingAverage, (1 + n) / (10 + n).

    Args:
        mean_model: holds the mean, changed in place.
        model: what is trained.
        decay: of the mean after many steps, 0 to 1.
    """

    def __init__(self, mean_model: SegmentationModel, model: SegmentationModel, decay: float) -> None:
        pairs = list(zip(_tensors(mean_model), _tensors(model), strict=True))
        self._decay = decay
        self._means = [mean for mean, _ in pairs if mean.is_floating_point()]
        self._weights = [tensor for mean, tensor in pairs if mean.is_floating_point()]
        # What is left are counts of batches.
        self._mean_counts = [mean for mean, _ in pairs if not mean.is_floating_point()]
        self._counts = [tensor for mean, tensor in pairs if not mean.is_floating_point()]

    def follow(self, step: int) -> None:
        """Take in the weights after a step, which is counted from 0 over all epochs."""
        decay = min(self._decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self._means, self._weights, 1 - decay)
            if self._counts:
                torch._foreach_copy_(self._mean_counts, self._counts)


def _tensors(model: SegmentationModel) -> Iterator[Tensor]:
    return itertools.chain(model.parameters(), model.buffers())
