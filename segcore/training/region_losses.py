"""Losses that count regions of a batch: soft Jaccard and Dice, Lovász-softmax and the boundary loss.

Each is a mean over the classes in the batch's truth; of a divided batch each part counts its own regions. None makes
the host wait for the device. Means over pixels live in `pixel_losses`.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.data.classes import VOID
from segcore.training.pixel_losses import flatten

_SMOOTHING: Final = 1.0
"""Pixels added to intersection and union: keeps tiny classes from giving gradients of 1/0."""

_EDGE: Final = 3
"""Side of the window that finds the pixels of a class beside another one."""

_NEAR: Final = 5
"""Side of the window within which two boundaries meet."""


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
    logits_PC, target_P = flatten(logits_NCHW, target_NHW)
    truth_PC = _truth(target_P, logits_PC.shape[1])
    probability_PC = logits_PC.softmax(dim=1)
    errors_PC = torch.where(truth_PC, 1 - probability_PC, probability_PC)
    # Without an error, void pixels come last and cost nothing.
    errors_PC = errors_PC.where((target_P != VOID).unsqueeze(1), 0.0)
    slopes_CP = _lovasz_slopes(errors_PC.detach().T.contiguous(), truth_PC.T.contiguous())
    return _mean_over_present((errors_PC * slopes_CP.T).sum(dim=0), truth_PC.sum(dim=0))


def boundary_loss(logits_NCHW: Tensor, target_NHW: Tensor) -> Tensor:
    """1 - F1 of soft and true boundaries that come within 2 pixels, mean over the classes in the batch's truth.

    A class's boundary is its pixels beside another class; void makes none. All is max pooling, so nothing needs a
    distance transform. It says nothing of what lies inside: use it beside another loss. (Bokhovkin and Burnaev, 2019.)
    """
    valid_N1HW = (target_NHW != VOID).unsqueeze(1)
    classes_C11 = torch.arange(logits_NCHW.shape[1], device=target_NHW.device).view(-1, 1, 1)
    truth_NCHW = target_NHW.unsqueeze(1) == classes_C11
    predicted_NCHW = _find_boundary(logits_NCHW.softmax(dim=1), valid_N1HW)
    true_NCHW = _find_boundary(truth_NCHW.to(predicted_NCHW.dtype), valid_N1HW)
    precision_C = _share_near(predicted_NCHW, true_NCHW)
    recall_C = _share_near(true_NCHW, predicted_NCHW)
    loss_C = 1 - 2 * precision_C * recall_C / (precision_C + recall_C)
    return _mean_over_present(loss_C, truth_NCHW.sum(dim=(0, 2, 3)))


def _soft_counts(logits_NCHW: Tensor, target_NHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits_PC, target_P = flatten(logits_NCHW, target_NHW)
    # Numbers, not bits: to multiply by them takes less time than to choose by bits, and hardly more memory.
    truth_PC = _truth(target_P, logits_PC.shape[1]).float()
    probability_PC = logits_PC.softmax(dim=1) * (target_P != VOID).unsqueeze(1)
    return (probability_PC * truth_PC).sum(dim=0), probability_PC.sum(dim=0), truth_PC.sum(dim=0)


@torch.no_grad()
def _lovasz_slopes(errors_CP: Tensor, truth_CP: Tensor) -> Tensor:
    """Return how much each pixel's error adds to 1 - IoU, when errors come in from the largest to the smallest.

    With k pixels in, t of them of the class's n, 1 - IoU is k / (n + k - t): a pixel of the class adds 1 / (n + k - t),
    another one (n - t) / ((n + k - t) (n + k - t - 1)). Differences of that share itself would lose their digits.
    """
    order_CP = errors_CP.sort(dim=1, descending=True).indices
    truth_CP = truth_CP.gather(1, order_CP)
    left_CP = truth_CP.sum(dim=1, keepdim=True, dtype=torch.int32) - truth_CP.cumsum(dim=1, dtype=torch.int32)
    entered_P = torch.arange(1, errors_CP.shape[1] + 1, device=errors_CP.device, dtype=torch.int32)
    union_CP = (left_CP + entered_P).to(errors_CP.dtype)
    # In place: these are the largest tensors of a step beside the network's.
    slopes_CP = left_CP.to(errors_CP.dtype).div_((union_CP - 1).clamp_(min=1)).masked_fill_(truth_CP, 1).div_(union_CP)
    return torch.empty_like(errors_CP).scatter_(1, order_CP, slopes_CP)


def _find_boundary(member_NCHW: Tensor, valid_N1HW: Tensor) -> Tensor:
    """Return how much each pixel belongs to a class beside pixels that do not, 0 to 1."""
    other_NCHW = (1 - member_NCHW).where(valid_N1HW, 0.0)
    return (_widen(other_NCHW, _EDGE) - other_NCHW).where(valid_N1HW, 0.0)


def _share_near(ours_NCHW: Tensor, theirs_NCHW: Tensor) -> Tensor:
    """Return which share of each class's boundary comes near another boundary of it."""
    met_C = (ours_NCHW * _widen(theirs_NCHW, _NEAR)).sum(dim=(0, 2, 3))
    return (met_C + _SMOOTHING) / (ours_NCHW.sum(dim=(0, 2, 3)) + _SMOOTHING)


def _widen(map_NCHW: Tensor, side: int) -> Tensor:
    return F.max_pool2d(map_NCHW, side, stride=1, padding=side // 2)


def _mean_over_present(loss_C: Tensor, truth_C: Tensor) -> Tensor:
    present_C = truth_C > 0
    return loss_C.where(present_C, 0.0).sum() / present_C.sum().clamp(min=1)


def _truth(target_P: Tensor, classes: int) -> Tensor:
    """Return whether each pixel is of each class; of none where it is void."""
    return target_P.unsqueeze(1) == torch.arange(classes, device=target_P.device)
