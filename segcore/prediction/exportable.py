"""A network as ONNX can say it: images in, probabilities out, and pooling by products. Writing it says `export`."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from segcore.config import TrainConfig
from segcore.prediction.predict import to_probabilities


class Probabilities(nn.Module):
    """A network from uint8 RGB (N, H, W, 3) to probabilities (N, outputs, H, W).

    Args:
        model: from images to logits.
        config: of its training, which says how logits become probabilities.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        super().__init__()
        self.model = model
        self.config = config

    def forward(self, images_NHW3: Tensor) -> Tensor:
        """Return the probability of each output at each pixel (N, outputs, H, W)."""
        return to_probabilities(self.model(images_NHW3), self.config)


@contextmanager
def exportable_pooling(network: nn.Module) -> Iterator[None]:
    """Let a network pool to several bins by what ONNX has, as long as this is open."""
    poolings = [item for item in network.named_modules() if isinstance(item[1], nn.AdaptiveAvgPool2d)]
    for name, pooling in poolings:
        # ONNX knows pooling to a single bin.
        if isinstance(pooling.output_size, int) and pooling.output_size > 1:
            network.set_submodule(name, _MatrixPooling(pooling.output_size))
    try:
        yield
    finally:
        for name, pooling in poolings:
            network.set_submodule(name, pooling)


class _MatrixPooling(nn.Module):
    """Adaptive average pooling as two matrix products, for ONNX has none: rows and columns are averaged by bins.

    Args:
        bins: rows and columns of the output.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, features_NCHW: Tensor) -> Tensor:
        _, _, height, width = features_NCHW.shape
        pooled_NCBW = torch.matmul(self._average(height), features_NCHW)
        return torch.matmul(pooled_NCBW, self._average(width).transpose(0, 1))

    def _average(self, length: int) -> Tensor:
        # Bin i of k covers the pixels from floor(i * length / k) to before ceil((i + 1) * length / k).
        bins_B1 = torch.arange(self.bins).unsqueeze(1)
        pixels_1L = torch.arange(length).unsqueeze(0)
        starts_B1 = torch.div(bins_B1 * length, self.bins, rounding_mode="floor")
        ends_B1 = torch.div((bins_B1 + 1) * length + self.bins - 1, self.bins, rounding_mode="floor")
        inside_BL = ((pixels_1L >= starts_B1) & (pixels_1L < ends_B1)).float()
        return inside_BL / (ends_B1 - starts_B1).float()
