"""Losses that are weighted means over valid pixels: cross-entropies and the focal loss, of all pixels or of hard ones.

A batch may be divided: the parts' losses add up to the batch's, each times its share of the pixels' weights. Losses
that count regions live in `region_losses`, weighted sums of losses in `losses`.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.data.classes import VOID


@dataclass(frozen=True, slots=True, kw_only=True)
class HardPixels:
    """Which pixels of an image make its loss: online hard example mining. (Shrivastava et al., 2016.)

    Each image chooses for itself, and weighs in the batch what all its pixels weigh: so a divided batch has the loss
    of the whole one.

    Args:
        share: at least so many of the image's pixels, the hardest ones; above 0, at most 1.
        probability: beyond them each pixel whose truth is at most so probable; 0 to below 1.
    """

    share: float
    probability: float


def softmax_cross_entropy(
    logits_NCHW: Tensor,
    target_NHW: Tensor,
    weights_C: Tensor | None = None,
    *,
    smoothing: float = 0.0,
    hard: HardPixels | None = None,
) -> Tensor:
    """Weighted mean over valid pixels of -log softmax of the true class, in nats.

    Args:
        logits_NCHW: fp32 logits.
        target_NHW: int64 class indices, 255 as void.
        weights_C: weight of a pixel by its true class, as in `losses.build_loss`.
        smoothing: share of the truth that is spread over all classes, 0 to below 1. (Szegedy et al., 2016.)
        hard: which pixels count; None: all.
    """
    logits_PC, target_P = flatten(logits_NCHW, target_NHW)
    nll_P = F.cross_entropy(logits_PC, target_P, ignore_index=VOID, reduction="none")
    return _mean(_smooth(nll_P, logits_PC, target_P, smoothing), nll_P, target_NHW, weights_C, hard)


def binary_cross_entropy(
    logits_NCHW: Tensor,
    target_NHW: Tensor,
    weights_C: Tensor | None = None,
    *,
    smoothing: float = 0.0,
    hard: HardPixels | None = None,
) -> Tensor:
    """Weighted mean over valid pixels and classes of the binary cross-entropy of each class against the rest, in nats.

    Args:
        logits_NCHW: fp32 logits.
        target_NHW: int64 class indices, 255 as void.
        weights_C: weight of a pixel by its true class, the same for all its classes, as in `losses.build_loss`.
        smoothing: as in `softmax_cross_entropy`.
        hard: which pixels count; a pixel is as probable as all its classes' answers together. None: all.
    """
    logits_PC, target_P = flatten(logits_NCHW, target_NHW)
    # -log sigmoid(-z) is softplus(z), and z less than that is -log sigmoid(z): the truth needs no tensor of its own.
    rest_P = F.softplus(logits_PC).sum(dim=1)
    nll_P = (rest_P - _true_logits(logits_PC, target_P)).where(target_P != VOID, 0.0)
    loss_P = _smooth(nll_P, logits_PC, target_P, smoothing) / logits_PC.shape[1]
    return _mean(loss_P, nll_P, target_NHW, weights_C, hard)


def focal_loss(
    logits_NCHW: Tensor,
    target_NHW: Tensor,
    gamma: float,
    weights_C: Tensor | None = None,
    *,
    hard: HardPixels | None = None,
) -> Tensor:
    """Weighted mean over valid pixels of -(1 - p)^gamma log p, p the softmax of the true class. (Lin et al., 2017.)

    Args:
        logits_NCHW: fp32 logits.
        target_NHW: int64 class indices, 255 as void.
        gamma: focusing exponent; 0 gives `softmax_cross_entropy`.
        weights_C: weight of a pixel by its true class, as in `losses.build_loss`.
        hard: which pixels count; None: all.
    """
    logits_PC, target_P = flatten(logits_NCHW, target_NHW)
    nll_P = F.cross_entropy(logits_PC, target_P, ignore_index=VOID, reduction="none")
    # 1 - exp(-nll), exact for small nll; the floor keeps the power's gradient finite where it is 0.
    miss_P = (-torch.expm1(-nll_P)).clamp(min=1e-6)
    return _mean(miss_P**gamma * nll_P, nll_P, target_NHW, weights_C, hard)


def flatten(logits_NCHW: Tensor, target_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (P, C) and targets (P) of all pixels."""
    # Logits come with channels last in memory: a view, whose softmax needs no copy either.
    return logits_NCHW.movedim(1, -1).flatten(0, 2), target_NHW.flatten()


def weigh_pixels(target_NHW: Tensor, weights_C: Tensor | None) -> Tensor:
    """Return each pixel's weight by its true class, fp32; 0 where it is void.

    Args:
        target_NHW: int64 class indices, 255 as void.
        weights_C: as in `losses.build_loss`.
    """
    if weights_C is None:
        return (target_NHW != VOID).float()
    return F.pad(weights_C, (0, VOID + 1 - len(weights_C)))[target_NHW]


def _mean(
    loss_P: Tensor, nll_P: Tensor, target_NHW: Tensor, weights_C: Tensor | None, hard: HardPixels | None
) -> Tensor:
    """Return the weighted mean of the pixels' losses; `nll_P` says how hard each is."""
    if hard is not None:
        return _mean_of_hard(loss_P.view(len(target_NHW), -1), nll_P.detach(), target_NHW, weights_C, hard)
    # Added up apart: a GPU adds the flat pixels of reduction="sum" in a single block.
    if weights_C is None:
        return loss_P.sum() / (target_NHW != VOID).sum().clamp(min=1)
    weights_P = weigh_pixels(target_NHW.flatten(), weights_C)
    return (loss_P * weights_P).sum() / _or_one(weights_P.sum())


def _mean_of_hard(
    loss_NP: Tensor, nll_P: Tensor, target_NHW: Tensor, weights_C: Tensor | None, hard: HardPixels
) -> Tensor:
    weights_NP = weigh_pixels(target_NHW.flatten(1), weights_C)
    kept_NP = weights_NP * _find_hard(nll_P.view_as(loss_NP), weights_NP > 0, hard)
    mean_N = (loss_NP * kept_NP).sum(dim=1) / _or_one(kept_NP.sum(dim=1))
    weights_N = weights_NP.sum(dim=1)
    return (mean_N * weights_N).sum() / _or_one(weights_N.sum())


def _find_hard(nll_NP: Tensor, counted_NP: Tensor, hard: HardPixels) -> Tensor:
    """Return which counted pixels are among their image's hardest share, or improbable enough."""
    ranked_NP = nll_NP.where(counted_NP, -1.0).sort(dim=1, descending=True).values
    kept_N = (hard.share * counted_NP.sum(dim=1)).ceil().long().clamp(min=1)
    least_N1 = ranked_NP.gather(1, kept_N.unsqueeze(1) - 1)
    improbable = -math.log(hard.probability) if hard.probability else math.inf
    return counted_NP & (nll_NP >= least_N1.clamp(max=improbable))


def _smooth(nll_P: Tensor, logits_PC: Tensor, target_P: Tensor, smoothing: float) -> Tensor:
    # Both cross-entropies are f(logits) - truth @ logits: of a smoothed truth, only the second part is another.
    if smoothing == 0:
        return nll_P
    surplus_P = _true_logits(logits_PC, target_P) - logits_PC.mean(dim=1)
    return nll_P + (smoothing * surplus_P).where(target_P != VOID, 0.0)


def _true_logits(logits_PC: Tensor, target_P: Tensor) -> Tensor:
    """Return the logit of each pixel's true class; any where it is void."""
    index_P = target_P.where(target_P != VOID, 0)
    return logits_PC.gather(1, index_P.unsqueeze(1)).squeeze(1)


def _or_one(total: Tensor) -> Tensor:
    # Without any weight the sum above it is 0 too.
    return torch.where(total > 0, total, torch.ones_like(total))
