"""Losses as pure functions of logits and targets: in fp32, over valid pixels, void left out.

Every loss is 0 with a gradient of 0 for a batch without valid pixels. `build_loss` makes the weighted sum that
`TrainConfig.loss` names; parsing its text lives in `config`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.config import TrainConfig, parse_loss
from segcore.data.classes import VOID

_SMOOTHING: Final = 1.0
"""Pixels added to intersection and union: keeps tiny classes from giving gradients of 1/0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A weighted sum of losses.

    A batch may be divided: the parts' ce, bce and focal losses add up to the batch's, each times its share of what
    `weigh_pixels` returns. Not so those that count regions (jaccard, dice, lovasz): each part counts its own.

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
        return _pixel_weights(target_NHW.long(), self.weights_C).sum()


def build_loss(config: TrainConfig, weights_C: Tensor | None = None) -> Loss:
    """Return the weighted sum of losses that a configuration names.

    Args:
        config: its `loss` and `focal_gamma` are used.
        weights_C: weight of a pixel by its true class, fp32, at least 0, on the logits' device; for ce, bce and
            focal, whose means it weighs. The others count each class once already. None: every pixel weighs 1.
    """
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ce": partial(softmax_cross_entropy, weights_C=weights_C),
        "bce": partial(binary_cross_entropy, weights_C=weights_C),
        "jaccard": jaccard_loss,
        "focal": partial(focal_loss, gamma=config.focal_gamma, weights_C=weights_C),
        "dice": dice_loss,
        "lovasz": lovasz_loss,
    }
    terms = tuple((weight, functions[name]) for weight, name in parse_loss(config.loss))
    return Loss(terms=terms, weights_C=weights_C)


def softmax_cross_entropy(logits_NCHW: Tensor, target_NHW: Tensor, weights_C: Tensor | None = None) -> Tensor:
    """Weighted mean over valid pixels of -log softmax of the true class, in nats.

    Args:
        logits_NCHW: fp32 logits.
        target_NHW: int64 class indices, 255 as void.
        weights_C: weight of a pixel by its true class, as in `build_loss`.
    """
    logits_PC, target_P = _flatten(logits_NCHW, target_NHW)
    # Added up apart: a GPU adds the flat pixels of reduction="sum" in a single block.
    nll_P = F.cross_entropy(logits_PC, target_P, weight=weights_C, ignore_index=VOID, reduction="none")
    return nll_P.sum() / _weigh_valid(target_P, weights_C)


def binary_cross_entropy(logits_NCHW: Tensor, target_NHW: Tensor, weights_C: Tensor | None = None) -> Tensor:
    """Weighted mean over valid pixels and classes of the binary cross-entropy of each class against the rest, in nats.

    Args:
        logits_NCHW: fp32 logits.
        target_NHW: int64 class indices, 255 as void.
        weights_C: weight of a pixel by its true class, the same for all its classes, as in `build_loss`.
    """
    logits_PC, target_P = _flatten(logits_NCHW, target_NHW)
    truth_PC = _one_hot(target_P, logits_PC.shape[1])
    weights_P = (target_P != VOID).float() if weights_C is None else _pixel_weights(target_P, weights_C)
    total = F.binary_cross_entropy_with_logits(logits_PC, truth_PC, weights_P.unsqueeze(1), reduction="sum")
    return total / (_weigh_valid(target_P, weights_C) * logits_PC.shape[1])


def jaccard_loss(logits_NCHW: Tensor, target_NHW: Tensor) -> Tensor:
    """1 - soft intersection over union of softmax and truth, mean over the classes in the batch's truth.

    Classes absent from the truth are left out: their union is only noise. (Rahman and Wang, 2016.)
    """
    intersection_C, predicted_C, truth_C = _soft_counts(logits_NCHW, target_NHW)
    union_C = predicted_C + truth_C - intersection_C
    loss_C = 1 - (intersection_C + _SMOOTHING) / (union_C + _SMOOTHING)
    return _mean_over_present(loss_C, truth_C)


def dice_loss(logits_NCHW: Tensor, target_NHW: Tensor) -> Tensor:
    """1 - soft Dice coefficient of softmax and truth, mean over the classes in the batch's truth.

    Classes absent from the truth are left out, as in `jaccard_loss`. (Milletari et al., 2016.)
    """
    intersection_C, predicted_C, truth_C = _soft_counts(logits_NCHW, target_NHW)
    loss_C = 1 - (2 * intersection_C + _SMOOTHING) / (predicted_C + truth_C + _SMOOTHING)
    return _mean_over_present(loss_C, truth_C)


def lovasz_loss(logits_NCHW: Tensor, target_NHW: Tensor) -> Tensor:
    """Lovász-softmax over the classes in the batch's truth: a convex surrogate of 1 - IoU. (Berman et al., 2018.)"""
    logits_PC, target_P = _flatten(logits_NCHW, target_NHW)
    valid_P = target_P != VOID
    probability_PC, target_P = logits_PC.softmax(dim=1)[valid_P], target_P[valid_P]
    losses = [logits_NCHW.sum() * 0]
    present = torch.unique(target_P).tolist()
    for index in present:
        truth_P = (target_P == index).float()
        errors_P, order_P = (truth_P - probability_PC[:, index]).abs().sort(descending=True)
        losses.append(errors_P @ _lovasz_weights(truth_P[order_P]))
    return torch.stack(losses).sum() / max(1, len(present))


def focal_loss(logits_NCHW: Tensor, target_NHW: Tensor, gamma: float, weights_C: Tensor | None = None) -> Tensor:
    """Weighted mean over valid pixels of -(1 - p)^gamma log p, p the softmax of the true class. (Lin et al., 2017.)

    Args:
        logits_NCHW: fp32 logits.
        target_NHW: int64 class indices, 255 as void.
        gamma: focusing exponent; 0 gives `softmax_cross_entropy`.
        weights_C: weight of a pixel by its true class, as in `build_loss`.
    """
    logits_PC, target_P = _flatten(logits_NCHW, target_NHW)
    nll_P = F.cross_entropy(logits_PC, target_P, ignore_index=VOID, reduction="none")
    # 1 - exp(-nll), exact for small nll; the floor keeps the power's gradient finite where it is 0.
    miss_P = (-torch.expm1(-nll_P)).clamp(min=1e-6)
    focused_P = miss_P**gamma * nll_P
    if weights_C is not None:
        focused_P = focused_P * _pixel_weights(target_P, weights_C)
    return focused_P.sum() / _weigh_valid(target_P, weights_C)


def _soft_counts(logits_NCHW: Tensor, target_NHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits_PC, target_P = _flatten(logits_NCHW, target_NHW)
    truth_PC = _one_hot(target_P, logits_PC.shape[1])
    probability_PC = logits_PC.softmax(dim=1) * (target_P != VOID).unsqueeze(1)
    return (probability_PC * truth_PC).sum(dim=0), probability_PC.sum(dim=0), truth_PC.sum(dim=0)


def _flatten(logits_NCHW: Tensor, target_NHW: Tensor) -> tuple[Tensor, Tensor]:
    # Logits come with channels last in memory: a view, whose softmax needs no copy either.
    return logits_NCHW.movedim(1, -1).flatten(0, 2), target_NHW.flatten()


def _mean_over_present(loss_C: Tensor, truth_C: Tensor) -> Tensor:
    present_C = (truth_C > 0).float()
    return (loss_C * present_C).sum() / present_C.sum().clamp(min=1)


def _lovasz_weights(truth_P: Tensor) -> Tensor:
    # The gradient of the Jaccard loss along pixels sorted by error: how much each further error adds.
    intersection_P = truth_P.sum() - truth_P.cumsum(0)
    union_P = truth_P.sum() + (1 - truth_P).cumsum(0)
    jaccard_P = 1 - intersection_P / union_P
    return torch.diff(jaccard_P, prepend=jaccard_P.new_zeros(1))


def _weigh_valid(target_P: Tensor, weights_C: Tensor | None) -> Tensor:
    if weights_C is None:
        return (target_P != VOID).sum().clamp(min=1)
    total = _pixel_weights(target_P, weights_C).sum()
    # Without any weight the sum above it is 0 too.
    return torch.where(total > 0, total, torch.ones_like(total))


def _pixel_weights(target_P: Tensor, weights_C: Tensor) -> Tensor:
    weights_of_target = F.pad(weights_C, (0, VOID + 1 - len(weights_C)))
    return weights_of_target[target_P]


def _one_hot(target_P: Tensor, classes: int) -> Tensor:
    """Return 1 at the true class of each pixel and 0 elsewhere; 0 everywhere where it is void."""
    return (target_P.unsqueeze(1) == torch.arange(classes, device=target_P.device)).float()
