"""Large images in tiles: where they stand, how much each of their pixels counts, and how they are put together."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

TILE_BATCH: Final = 4
"""Tiles that go through the network together: enough to fill a GPU, and a bound on memory."""

_SIGMAS_PER_TILE: Final = 8
_LEAST_WEIGHT: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How an image is cut into square tiles.

    Args:
        size: side of a tile, pixels; a tile is no larger than the image.
        stride: pixels from one tile to the next, 1 to `size`.
        gaussian: whether a tile's middle counts more than its border.
    """

    size: int
    stride: int
    gaussian: bool


def tile_starts(length: int, size: int, stride: int) -> tuple[int, ...]:
    """Return the first pixel of each tile along one side; the last tile is shifted so that it ends with the image.

    Args:
        length: pixels of the side, at least 1.
        size: pixels of a tile, at least 1; a longer tile than the side is cut to the side.
        stride: pixels from one tile to the next, 1 to `size`.
    """
    last = max(0, length - size)
    return (*range(0, last, stride), last)


def tile_weights(length: int, gaussian: bool) -> Tensor:
    """Return how much each pixel along a tile's side counts, fp32 (length,), over 0 to 1, the same from both ends.

    At a tile's border a network misses what lies beyond. So tiles are weighted with a gaussian of sigma = length / 8,
    as in nnU-Net (Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z); a floor of 0.001 keeps pixels at
    the image's border, which lie at the border of every tile, from being divided by nearly nothing.

    Args:
        length: pixels of the side, at least 1.
        gaussian: False counts every pixel as 1.
    """
    if not gaussian:
        return torch.ones(length)
    distance = torch.arange(length) - (length - 1) / 2
    sigma = length / _SIGMAS_PER_TILE
    return torch.exp(-0.5 * (distance / sigma) ** 2).clamp(min=_LEAST_WEIGHT)


def blend_tiles(image_HW3: Tensor, tiling: Tiling, classify: Callable[[Tensor], Tensor]) -> Tensor:
    """Classify an image tile by tile, `TILE_BATCH` of them at a time, and average where tiles overlap.

    Args:
        image_HW3: pixels.
        tiling: how the image is cut.
        classify: returns fp32 probabilities (N, C, h, w) of pixels (N, h, w, 3), N up to `TILE_BATCH`.

    Returns:
        fp32 probabilities (C, H, W) on the device of the image.
    """
    height, width = image_HW3.shape[:2]
    rows, columns = (tile_starts(length, tiling.size, tiling.stride) for length in (height, width))
    row_weights_h, column_weights_w = (
        tile_weights(min(tiling.size, length), tiling.gaussian).to(image_HW3.device) for length in (height, width)
    )
    weights_hw = row_weights_h.outer(column_weights_w)
    windows = [_window(row, column, weights_hw) for row, column in itertools.product(rows, columns)]
    total_CHW = torch.zeros(0)
    for start in range(0, len(windows), TILE_BATCH):
        batch = windows[start : start + TILE_BATCH]
        probabilities_NChw = classify(torch.stack([image_HW3[window] for window in batch]))
        if start == 0:
            # Only now is the number of classes known.
            total_CHW = probabilities_NChw.new_zeros(probabilities_NChw.shape[1], height, width)
        for window, probabilities_Chw in zip(batch, probabilities_NChw, strict=True):
            total_CHW[:, *window] += probabilities_Chw * weights_hw
    # The tiles stand in a grid, so the weights of a pixel are those of its row times those of its column.
    row_sums_H = _sum_weights(rows, row_weights_h, height)
    column_sums_W = _sum_weights(columns, column_weights_w, width)
    return total_CHW.div_(row_sums_H.outer(column_sums_W))


def _window(row: int, column: int, weights_hw: Tensor) -> tuple[slice, slice]:
    height, width = weights_hw.shape
    return slice(row, row + height), slice(column, column + width)


def _sum_weights(starts: tuple[int, ...], weights_w: Tensor, length: int) -> Tensor:
    total_W = weights_w.new_zeros(length)
    for start in starts:
        total_W[start : start + len(weights_w)] += weights_w
    return total_W
