"""`train_epochs`: the training loop, a generator of results; the caller saves, reports or stops.

The rate's course lives in `schedule`, batches in `loader`, scoring in `predict` and `metrics`.
"""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from segcore.balance import balanced_weights, count_output_pixels
from segcore.cache import PixelCache
from segcore.errors import NonFiniteLossError
from segcore.labels import build_label_map
from segcore.loader import Batch, TrainingLoader, TrainingSamples
from segcore.losses import Loss, build_loss
from segcore.machine import Machine, autocast, name_memory_errors, peak_memory_gib
from segcore.metrics import ImageScore, summarise_scores
from segcore.predict import predict_cases, score_cases
from segcore.schedule import has_stalled, rate_at
from segcore.state import TrainState

_STEPS_BETWEEN_CHECKS: Final = 20
"""Reading a loss makes a GPU wait, so losses are read in groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochResult:
    """What one epoch brought.

    Args:
        epoch: finished epochs, counted from 1.
        train_loss: mean loss over the epoch's steps.
        learning_rate: rate of the last step.
        metrics: validation metrics, see `metrics`.
        scores: validation scores, image by image.
        train_seconds: duration of the steps.
        validation_seconds: duration of the validation.
        samples_per_second: training samples per second.
        wait_share: share of the training time spent waiting for samples, 0 to 1.
        peak_memory_gib: most GPU memory so far; 0 on the CPU.
    """

    epoch: int
    train_loss: float
    learning_rate: float
    metrics: dict[str, float]
    scores: tuple[ImageScore, ...]
    train_seconds: float
    validation_seconds: float
    samples_per_second: float
    wait_share: float
    peak_memory_gib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    mean_loss: float
    samples: int
    seconds: float
    wait_seconds: float


def train_epochs(
    state: TrainState,
    cache: PixelCache,
    train_indices: Sequence[int],
    valid_indices: Sequence[int],
    machine: Machine,
) -> Iterator[EpochResult]:
    """Train until the configuration's epochs are done or the score stalls, one result per epoch.

    Between two results the state is that of a finished epoch: save it then, and a training that goes on
    from it ends in the same weights as one that was never interrupted (bit for bit on a CPU).

    Args:
        state: a new or loaded training; advanced in place.
        cache: the decoded data.
        train_indices: cases to train on.
        valid_indices: cases to validate on, whole and at their original size.
        machine: where to train.

    Raises:
        ConfigError: when a crop is larger than an image.
        NonFiniteLossError: naming epoch and step.
        DeviceMemoryError: when the device is too small.
    """
    config = state.config
    labels = build_label_map(cache.classes, config.labels)
    samples = TrainingSamples(cache, train_indices, config, labels.target_of_class)
    loader = TrainingLoader(samples, config, workers=machine.loader_workers, pin_memory=machine.on_gpu)
    weights_C = None
    if config.class_weights == "balanced":
        weights_C = torch.from_numpy(balanced_weights(count_output_pixels(cache, train_indices, labels)))
    loss = build_loss(config, None if weights_C is None else weights_C.to(machine.device))
    while state.epoch < config.epochs and not has_stalled(state.ious, config.patience_epochs):
        with name_memory_errors(config, machine):
            steps = _train_one_epoch(state, loader, loss, machine)
            started = time.perf_counter()
            predictions = predict_cases(state.final_model, cache, valid_indices, config, machine)
            scores = score_cases(predictions, cache, valid_indices)
        metrics = summarise_scores(scores, cache.classes, every_class=config.labels == "full")
        state.epoch += 1
        state.train_losses.append(steps.mean_loss)
        state.ious.append(metrics.get("iou", 0.0))
        yield EpochResult(
            epoch=state.epoch,
            train_loss=steps.mean_loss,
            learning_rate=state.optimizer.param_groups[-1]["lr"],
            metrics=metrics,
            scores=scores,
            train_seconds=steps.seconds,
            validation_seconds=time.perf_counter() - started,
            samples_per_second=steps.samples / steps.seconds,
            wait_share=steps.wait_seconds / steps.seconds,
            peak_memory_gib=peak_memory_gib(machine),
        )


def _train_one_epoch(state: TrainState, loader: TrainingLoader, loss: Loss, machine: Machine) -> _Steps:
    config, epoch = state.config, state.epoch
    # Dropout draws from torch's generator: seeding it by epoch makes a resumed epoch equal to the first try.
    torch.manual_seed((config.seed << 20) + epoch + 1)
    _set_training(state)
    losses: list[Tensor] = []
    samples, wait_seconds = 0, 0.0
    steps_per_epoch = math.ceil(len(loader) / config.accumulation_steps)
    started = waiting_since = time.perf_counter()
    for step, batches in enumerate(_group(loader.epoch(epoch), config.accumulation_steps)):
        wait_seconds += time.perf_counter() - waiting_since
        step_of_all, steps_of_all = epoch * steps_per_epoch + step, config.epochs * steps_per_epoch
        _set_rate(state.optimizer, rate_at(config, step_of_all, steps_of_all, state.train_losses))
        losses.append(_take_step(state, batches, loss, machine))
        _follow(state, step_of_all)
        samples += sum(len(batch.target_NHW) for batch in batches)
        if len(losses) % _STEPS_BETWEEN_CHECKS == 0:
            _require_finite(losses[-_STEPS_BETWEEN_CHECKS:], epoch, step + 1 - _STEPS_BETWEEN_CHECKS)
        waiting_since = time.perf_counter()
    values = _require_finite(losses, epoch, 0)
    return _Steps(
        mean_loss=sum(values) / len(values),
        samples=samples,
        seconds=time.perf_counter() - started,
        wait_seconds=wait_seconds,
    )


def _take_step(state: TrainState, batches: Sequence[Batch], loss: Loss, machine: Machine) -> Tensor:
    state.optimizer.zero_grad(set_to_none=True)
    values = []
    for batch in batches:
        images_NHW3 = batch.images_NHW3.to(machine.device, non_blocking=True)
        target_NHW = batch.target_NHW.to(machine.device, non_blocking=True)
        with autocast(state.config, machine):
            logits_NCHW = state.model(images_NHW3)
        value = loss(logits_NCHW, target_NHW)
        state.scaler.scale(value / len(batches)).backward()  # type: ignore[no-untyped-call]
        values.append(value.detach())
    if state.config.gradient_clip:
        state.scaler.unscale_(state.optimizer)
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), state.config.gradient_clip)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return torch.stack(values).mean()


def _group(batches: Iterator[Batch], size: int) -> Iterator[tuple[Batch, ...]]:
    while group := tuple(itertools.islice(batches, size)):
        yield group


def _set_training(state: TrainState) -> None:
    state.model.train()
    if state.config.freeze != "none":
        for module in state.model.network.encoder.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()


def _follow(state: TrainState, step: int) -> None:
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


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


def _require_finite(losses: Sequence[Tensor], epoch: int, first_step: int) -> list[float]:
    values: list[float] = torch.stack(list(losses)).tolist()
    for step, value in enumerate(values, start=first_step):
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"The loss is {value} in epoch {epoch + 1}, step {step + 1}: the training diverged; "
                "use a smaller learning_rate, or precision=fp32."
            )
    return values
