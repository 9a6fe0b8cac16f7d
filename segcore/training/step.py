"""One optimizer step: gradients of batches that may go through the network in parts, clipping, the running mean.

The loop over steps and epochs lives in `train`, the rate's course in `schedule`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from segcore.feeding.loader import Batch
from segcore.machine import Machine, autocast
from segcore.training.losses import Loss
from segcore.training.state import TrainState


def take_step(state: TrainState, batches: Sequence[Batch], loss: Loss, machine: Machine) -> Tensor:
    """Change the weights once by the gradient of some batches, and return the mean loss before it, on the device.

    Args:
        state: a training; `micro_batches` parts of a batch go through the network one after the other.
        batches: what makes the step, each of equal weight.
        loss: of logits and targets.
        machine: where the training is.
    """
    state.optimizer.zero_grad(set_to_none=True)
    values = []
    for batch in batches:
        for part in batch.divided(state.micro_batches):
            share = len(part.target_NHW) / len(batch.target_NHW) / len(batches)
            values.append(_add_gradient(state, part, share, loss, machine))
    if state.config.gradient_clip:
        state.scaler.unscale_(state.optimizer)
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), state.config.gradient_clip)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return torch.stack(values).sum()


def _add_gradient(state: TrainState, part: Batch, share: float, loss: Loss, machine: Machine) -> Tensor:
    # A call of its own, so that a part's tensors are gone before the next part needs room.
    images_NHW3 = part.images_NHW3.to(machine.device, non_blocking=True)
    target_NHW = part.target_NHW.to(machine.device, non_blocking=True)
    with autocast(state.config, machine):
        logits_NCHW = state.model(images_NHW3)
    value = loss(logits_NCHW, target_NHW) * share
    state.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
    return value.detach()


def set_training(state: TrainState) -> None:
    """Put the network into training mode; a frozen encoder keeps the statistics of its normalisation."""
    state.model.train()
    if state.config.freeze != "none":
        for module in state.model.network.encoder.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()


def follow_mean(state: TrainState, step: int) -> None:
    """Move the running mean of the weights; its decay grows with the steps, so that it forgets the random start.

    Source of the warm-up: tf.train.ExponentialMovingAverage, (1 + n) / (10 + n).
    """
    if state.mean_model is None:
        return
    decay = min(state.config.ema_decay, (1 + step) / (10 + step))
    with torch.no_grad():
        means: list[Tensor] = [*state.mean_model.parameters()]
        weights: list[Tensor] = [*state.model.parameters()]
        torch._foreach_lerp_(means, weights, 1 - decay)
        for mean, buffer in zip(state.mean_model.buffers(), state.model.buffers(), strict=True):
            mean.copy_(buffer)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group of parameters, times the group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
