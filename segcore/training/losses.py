"""The loss that a configuration names: a weighted sum of losses, in fp32, over valid pixels, void left out.

Every loss is a pure function of logits and targets, and 0 with a gradient of 0 for a batch without valid pixels:
means over pixels live in `pixel_losses`, those that count regions in `region_losses`; parsing the text of
`TrainConfig.loss` lives in `expressions`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.data.classes import VOID
from segcore.expressions import parse_loss
from segcore.training.pixel_losses import (
    HardPixels,
    binary_cross_entropy,
    focal_loss,
    softmax_cross_entropy,
    weigh_pixels,
)
from segcore.training.region_losses import boundary_loss, dice_loss, jaccard_loss, lovasz_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A weighted sum of losses.

    A batch may be divided: the parts' ce, bce and focal losses add up to the batch's, each times its share of what
    `weigh_pixels` returns. Those that count regions (jaccard, dice, lovasz, boundary) do not: each part counts its own.

    Args:
        terms: weights and losses; each is of fp32 logits (N, C, H, W) and int64 targets (N, H, W).
        weights_C: weight of a pixel by its true class, as in `build_loss`.
    """

    terms: tuple[tuple[float, Callable[[Tensor, Tensor], Tensor]], ...]
    weights_C: Tensor | None = None

    def __call__(self, logits_NCHW: Tensor, target_NHW: Tensor) -> Tensor:
        """Return the loss of logits (N, C, H, W) of any float type and targets (N, H, W) with 255 as void."""
        logits_NCHW, target_NHW = logits_NCHW.float(), target_NHW.long()
        return torch.stack([weight * function(logits_NCHW, target_NHW) for weight, function in self.terms]).sum()

    def weigh_pixels(self, target_NHW: Tensor) -> Tensor:
        """Return how many pixels count in a batch's loss, each times its weight, fp32; 0 where all are void.

        Args:
            target_NHW: uint8 class indices, 255 as void, on the weights' device.
        """
        if self.weights_C is None:
            return (target_NHW != VOID).sum().float()
        return weigh_pixels(target_NHW.long(), self.weights_C).sum()


def build_loss(config: TrainConfig, weights_C: Tensor | None = None) -> Loss:
    """Return the weighted sum of losses that a configuration names.

    Args:
        config: loss, focal_gamma, label_smoothing, ohem_share and ohem_probability are used.
        weights_C: weight of a pixel by its true class, fp32, at least 0, on the logits' device; for ce, bce and
            focal, whose means it weighs. The others count each class once already. None: every pixel weighs 1.
    """
    hard = _choose_hard(config)
    cross_entropy = partial(softmax_cross_entropy, weights_C=weights_C, smoothing=config.label_smoothing, hard=hard)
    binary = partial(binary_cross_entropy, weights_C=weights_C, smoothing=config.label_smoothing, hard=hard)
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ce": cross_entropy,
        "bce": binary,
        "jaccard": jaccard_loss,
        "focal": partial(focal_loss, gamma=config.focal_gamma, weights_C=weights_C, hard=hard),
        "dice": dice_loss,
        "lovasz": lovasz_loss,
        "boundary": boundary_loss,
    }
    terms = tuple((weight, functions[name]) for weight, name in parse_loss(config.loss))
    return Loss(terms=terms, weights_C=weights_C)


def _choose_hard(config: TrainConfig) -> HardPixels | None:
    if config.ohem_share == 1:
        return None
    return HardPixels(share=config.ohem_share, probability=config.ohem_probability)
