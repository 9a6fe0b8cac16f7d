"""The learning rate and early stopping, as pure functions of the step and of the past.

Nothing here has state, so a resumed training needs only its epoch and its history.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

from segcore.config import TrainConfig

LAID_OUT_SCHEDULES: Final = ("onecycle", "cosine", "poly", "cyclic")
"""Schedules that end with the last epoch: a training cut short never sees its low rates."""

_WARM_UP_SHARE: Final = 0.3
_START_FACTOR: Final = 1 / 25
_END_FACTOR: Final = 1e-4 / 25
_LINEAR_SHARE: Final = 0.05


def rate_at(config: TrainConfig, step: int, total_steps: int, train_losses: Sequence[float]) -> float:
    """Return the learning rate of a step.

    Args:
        config: `learning_rate` is the peak; `rate_schedule` gives the course.
        step: optimizer step, 0 to total_steps - 1.
        total_steps: steps of the whole training.
        train_losses: mean training loss of each finished epoch, for plateau.
    """
    if config.rate_schedule == "onecycle":
        return config.learning_rate * onecycle_factor(step, total_steps)
    if config.rate_schedule == "cosine":
        return config.learning_rate * _warmed_up(step, total_steps, _cosine_factor)
    if config.rate_schedule == "poly":
        return config.learning_rate * _warmed_up(step, total_steps, _poly_factor)
    if config.rate_schedule == "cyclic":
        epoch = step * config.epochs / total_steps
        return config.learning_rate * cyclic_factor(epoch, cycle_ends(config.epochs, config.cycles))
    if config.rate_schedule == "plateau":
        falls = count_plateaus(train_losses, config.plateau_patience_epochs)
        return float(config.learning_rate * config.plateau_factor**falls)
    return config.learning_rate


def onecycle_factor(step: int, total_steps: int) -> float:
    """Return rate / peak rate: cosine from 1/25 to 1 over the first 30 % of steps, then down to 4e-6.

    Source: Smith and Topin, 2018, with the constants of torch.optim.lr_scheduler.OneCycleLR.
    """
    peak_step = max(1.0, _WARM_UP_SHARE * total_steps - 1)
    if step <= peak_step:
        return _anneal(_START_FACTOR, 1.0, step / peak_step)
    return _anneal(1.0, _END_FACTOR, (step - peak_step) / (total_steps - 1 - peak_step))


def _warmed_up(step: int, total_steps: int, factor: Callable[[float], float]) -> float:
    """Return rate / peak rate: linear from 0 over the first 5 % of steps, then `factor` of the share of the rest.

    Source of the warm-up: Goyal et al., 2017.
    """
    warm_steps = round(_LINEAR_SHARE * total_steps)
    if step < warm_steps:
        return (step + 1) / (warm_steps + 1)
    return factor((step - warm_steps) / (total_steps - warm_steps))


def _cosine_factor(share: float) -> float:
    """Return the cosine's course from 1 at share 0 to 0 at share 1. (Loshchilov and Hutter, 2017.)"""
    return _anneal(1.0, 0.0, share)


def _poly_factor(share: float) -> float:
    """Return (1 - share)^0.9. (Chen et al., DeepLab, 2018.)"""
    return math.pow(1.0 - share, 0.9)


def cycle_ends(epochs: int, cycles: int) -> tuple[int, ...]:
    """Return after how many epochs each cycle ends; cycles differ by one epoch at most."""
    return tuple(round(cycle * epochs / cycles) for cycle in range(1, cycles + 1))


def cyclic_factor(epoch: float, ends: Sequence[int]) -> float:
    """Return rate / peak rate: a cosine from 1 to 0 over each cycle. (Huang et al., Snapshot Ensembles, 2017.)

    Args:
        epoch: finished part of the training in epochs, 0 to below the last of `ends`.
        ends: epochs at which cycles end, ascending.
    """
    end = next(end for end in ends if epoch < end)
    start = max((other for other in ends if other <= epoch), default=0)
    return _cosine_factor((epoch - start) / (end - start))


def count_plateaus(losses: Sequence[float], patience_epochs: int) -> int:
    """Return how often `patience_epochs` epochs in a row brought no lower loss.

    It watches the training loss: the fold that scores a model must not steer its training.
    """
    best, waited, plateaus = math.inf, 0, 0
    for loss in losses:
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if waited >= patience_epochs:
            waited, plateaus = 0, plateaus + 1
    return plateaus


def has_stalled(scores: Sequence[float], patience_epochs: int) -> bool:
    """Say whether the last `patience_epochs` epochs brought no better score; never when patience is 0."""
    if patience_epochs == 0 or len(scores) <= patience_epochs:
        return False
    return max(scores[-patience_epochs:]) <= max(scores[:-patience_epochs])


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
