"""One pass over the training images: the loop over steps, and what a step does to the weights.

The loop over epochs lives in `train`, what follows each in `validation`, the rate's course in `schedule`, what happens
when a device has too little memory in `memory`.
"""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from segcore.errors import NonFiniteLossError
from segcore.feeding.batch import Batch
from segcore.feeding.loader import TrainingLoader
from segcore.feeding.tensor_augmentation import change_batch
from segcore.feeding.turning import count_room
from segcore.machine import Machine, autocast
from segcore.networks.auxiliary import answer_twice
from segcore.training.losses import Loss
from segcore.training.optimizer import set_rate
from segcore.training.running_mean import RunningMean
from segcore.training.schedule import rate_at
from segcore.training.state import TrainState

_STEPS_BETWEEN_CHECKS: Final = 20
"""Reading a loss makes a GPU wait, so losses are read in groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSteps:
    """What the steps of an epoch brought and took.

    Args:
        mean_loss: mean loss over the valid pixels of all steps.
        samples: training samples that were seen.
        seconds: duration of all steps.
        wait_seconds: part of it spent waiting for samples.
    """

    mean_loss: float
    samples: int
    seconds: float
    wait_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLoss:
    """The loss of a step, on the device.

    Args:
        mean: before the weights were changed.
        weight: what its valid pixels weigh; 0 where all are void.
    """

    mean: Tensor
    weight: Tensor


def train_epoch(state: TrainState, loader: TrainingLoader, loss: Loss, machine: Machine) -> EpochSteps:
    """Take every step of the epoch after `state.epoch`, which stays as it is.

    Args:
        state: a training; its weights, optimizer and scaler are advanced in place.
        loader: gives the batches.
        loss: of logits and targets.
        machine: where the training is.

    Raises:
        NonFiniteLossError: naming epoch and step.
    """
    config, epoch = state.config, state.epoch
    # Dropout draws from torch's generator: seeding it by epoch makes a resumed epoch equal to the first try.
    torch.manual_seed((config.seed << 20) + epoch + 1)
    set_training(state)
    steps_per_epoch = math.ceil(len(loader) / config.accumulation_steps)
    groups, losses = _BatchGroups(loader.epoch(epoch), config.accumulation_steps), _Losses(epoch)
    mean = RunningMean(state.mean_model, state.model, config.ema_decay) if state.mean_model is not None else None
    started = time.perf_counter()
    for step, batches in enumerate(groups, start=epoch * steps_per_epoch):
        rate = rate_at(config, step, config.epochs * steps_per_epoch, state.train_losses)
        set_rate(state.optimizer, rate)
        losses.add(take_step(state, batches, loss, machine))
        if mean is not None:
            mean.follow(step)
    mean_loss = losses.mean()
    seconds = time.perf_counter() - started
    return EpochSteps(mean_loss=mean_loss, samples=groups.samples, seconds=seconds, wait_seconds=groups.wait_seconds)


def take_step(state: TrainState, batches: Sequence[Batch], loss: Loss, machine: Machine) -> StepLoss:
    """Change the weights once by the gradient of some batches, and return the loss before it.

    Each part weighs what its valid pixels weigh, so that losses of single pixels are those of all batches in one.

    Args:
        state: a training; `micro_batches` parts of a batch go through the network one after the other.
        batches: what makes the step.
        loss: of logits and targets.
        machine: where the training is.
    """
    state.optimizer.zero_grad()
    divided = [part for batch in batches for part in batch.divided(state.micro_batches)]
    # Before parts are weighed: what is turned has other void pixels.
    parts = [change_batch(part, count_room(state.config), machine.device) for part in divided]
    weights_P = _weigh_parts(parts, loss, machine)
    # Without any valid pixel every loss is 0, whatever its share.
    shares = weights_P / weights_P.sum().clamp(min=torch.finfo(torch.float32).tiny)
    values = [_add_gradient(state, part, share, loss, machine) for part, share in zip(parts, shares, strict=True)]
    if state.config.gradient_clip:
        state.scaler.unscale_(state.optimizer)
        torch.nn.utils.clip_grad_norm_(_learning(state), state.config.gradient_clip)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return StepLoss(mean=torch.stack(values).sum(), weight=weights_P.sum())


def set_training(state: TrainState) -> None:
    """Put the network into training mode; a frozen encoder keeps the statistics of its normalisation."""
    state.model.train()
    if state.config.freeze != "none":
        for module in state.model.network.encoder.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()


def _weigh_parts(parts: Sequence[Batch], loss: Loss, machine: Machine) -> Tensor:
    return torch.stack([loss.weigh_pixels(part.target_NHW.to(machine.device, non_blocking=True)) for part in parts])


def _add_gradient(state: TrainState, part: Batch, share: Tensor, loss: Loss, machine: Machine) -> Tensor:
    # A call of its own, so that a part's tensors are gone before the next part needs room.
    images_NHW3 = part.images_NHW3.to(machine.device, non_blocking=True)
    target_NHW = part.target_NHW.to(machine.device, non_blocking=True)
    value = _compute_loss(state, images_NHW3, target_NHW, loss, machine) * share
    state.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
    return value.detach()


def _compute_loss(state: TrainState, images_NHW3: Tensor, target_NHW: Tensor, loss: Loss, machine: Machine) -> Tensor:
    if state.auxiliary is None:
        with autocast(state.config, machine):
            logits_NCHW = (state.forward or state.model)(images_NHW3)
        return loss(logits_NCHW, target_NHW)
    with autocast(state.config, machine):
        logits_NCHW, auxiliary_NCHW = answer_twice(state.model, state.auxiliary, images_NHW3)
    return loss(logits_NCHW, target_NHW) + state.config.auxiliary_weight * loss(auxiliary_NCHW, target_NHW)


def _learning(state: TrainState) -> Iterator[torch.nn.Parameter]:
    auxiliary = () if state.auxiliary is None else state.auxiliary.parameters()
    return itertools.chain(state.model.parameters(), auxiliary)


class _BatchGroups:
    """The batches of each step, with the time that the training waited for them."""

    def __init__(self, batches: Iterator[Batch], size: int) -> None:
        self._batches = batches
        self._size = size
        self.samples = 0
        self.wait_seconds = 0.0

    def __iter__(self) -> Iterator[tuple[Batch, ...]]:
        while group := self._wait_for_group():
            self.samples += sum(len(batch.target_NHW) for batch in group)
            yield group

    def _wait_for_group(self) -> tuple[Batch, ...]:
        started = time.perf_counter()
        group = tuple(itertools.islice(self._batches, self._size))
        self.wait_seconds += time.perf_counter() - started
        return group


class _Losses:
    """The losses of an epoch's steps, fetched from the device in groups and refused when not finite."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._on_device: list[Tensor] = []
        self._steps = 0
        self._total, self._weight = 0.0, 0.0

    def add(self, loss: StepLoss) -> None:
        self._on_device.append(torch.stack([loss.mean, loss.weight]))
        if len(self._on_device) == _STEPS_BETWEEN_CHECKS:
            self._fetch()

    def mean(self) -> float:
        if self._on_device:
            self._fetch()
        # Steps without any valid pixel have a loss of 0, and say nothing.
        return self._total / self._weight if self._weight else 0.0

    def _fetch(self) -> None:
        pairs: list[list[float]] = torch.stack(self._on_device).tolist()
        for mean, weight in pairs:
            self._steps += 1
            if not math.isfinite(mean):
                raise NonFiniteLossError(
                    f"The loss is {mean} in epoch {self._epoch + 1}, step {self._steps}: the training diverged; "
                    "use a smaller learning_rate, or precision=fp32."
                )
            self._total += mean * weight
            self._weight += weight
        self._on_device = []
