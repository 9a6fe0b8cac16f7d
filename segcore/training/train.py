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

from segcore.data.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.errors import DeviceMemoryError, NonFiniteLossError
from segcore.feeding.balance import balanced_weights, count_output_pixels
from segcore.feeding.loader import Batch, TrainingLoader, TrainingSamples
from segcore.machine import Machine, name_memory_errors, peak_memory_gib
from segcore.prediction.predict import predict_cases, score_cases
from segcore.scoring.metrics import ImageScore, summarise_scores
from segcore.training.losses import Loss, build_loss
from segcore.training.memory import can_divide, release_memory, resolve_batch_size
from segcore.training.schedule import cycle_ends, has_stalled, rate_at
from segcore.training.state import TrainState, recall_learnt, remember_learnt, take_snapshot
from segcore.training.step import follow_mean, set_rate, set_training, take_step

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
        batch_size: samples of a batch, found by measurement where the configuration says auto.
        micro_batches: parts into which each batch was divided because the device was too small for the whole.
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
    batch_size: int
    micro_batches: int


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

    When the device runs out of memory in training, the epoch starts anew with each batch divided into twice as many
    parts whose gradients are added: the optimizer's batch stays the same, batch normalisation sees the parts.

    Args:
        state: a new or loaded training; advanced in place.
        cache: the decoded data.
        train_indices: cases to train on.
        valid_indices: cases to validate on, whole and at their original size.
        machine: where to train.

    Raises:
        ConfigError: when a crop is larger than an image.
        NonFiniteLossError: naming epoch and step.
        DeviceMemoryError: when the device is too small for the smallest batch.
    """
    config = state.config
    loader, loss = _prepare(state, cache, train_indices, machine)
    while state.epoch < config.epochs and not has_stalled(state.ious, config.patience_epochs):
        steps = _train_within_memory(state, loader, loss, machine)
        with name_memory_errors(config, machine):
            started = time.perf_counter()
            predictions = predict_cases(state.final_model, cache, valid_indices, config, machine)
            scores = score_cases(predictions, cache, valid_indices)
        metrics = summarise_scores(scores, cache.classes, every_class=config.labels == "full")
        state.epoch += 1
        state.train_losses.append(steps.mean_loss)
        state.ious.append(metrics.get("iou", 0.0))
        if config.rate_schedule == "cyclic" and state.epoch in cycle_ends(config.epochs, config.cycles):
            take_snapshot(state)
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
            batch_size=state.batch_size,
            micro_batches=state.micro_batches,
        )


def _prepare(
    state: TrainState, cache: PixelCache, train_indices: Sequence[int], machine: Machine
) -> tuple[TrainingLoader, Loss]:
    config = state.config
    # The fastest convolutions are looked for anew at every new shape: worth it where there are few.
    torch.backends.cudnn.benchmark = machine.on_gpu and len({(case.height, case.width) for case in cache.cases}) == 1
    labels = build_label_map(cache.classes, config.labels)
    samples = TrainingSamples(cache, train_indices, config, labels.target_of_class)
    weights_C = None
    if config.class_weights == "balanced":
        weights_C = torch.from_numpy(balanced_weights(count_output_pixels(cache, train_indices, labels)))
    loss = build_loss(config, None if weights_C is None else weights_C.to(machine.device))
    state.batch_size = state.batch_size or resolve_batch_size(state, samples, loss, machine)
    loader = TrainingLoader(
        samples, config, state.batch_size, workers=machine.loader_workers, pin_memory=machine.on_gpu
    )
    return loader, loss


def _train_within_memory(state: TrainState, loader: TrainingLoader, loss: Loss, machine: Machine) -> _Steps:
    memory = remember_learnt(state)
    while True:
        try:
            with name_memory_errors(state.config, machine):
                return _train_one_epoch(state, loader, loss, machine)
        except DeviceMemoryError:
            if not can_divide(state):
                raise
        # Only here, after the error and the tensors of its frames are gone, is there memory again.
        release_memory(machine)
        recall_learnt(state, memory, machine)
        state.micro_batches *= 2


def _train_one_epoch(state: TrainState, loader: TrainingLoader, loss: Loss, machine: Machine) -> _Steps:
    config, epoch = state.config, state.epoch
    # Dropout draws from torch's generator: seeding it by epoch makes a resumed epoch equal to the first try.
    torch.manual_seed((config.seed << 20) + epoch + 1)
    set_training(state)
    losses: list[Tensor] = []
    samples, wait_seconds = 0, 0.0
    steps_per_epoch = math.ceil(len(loader) / config.accumulation_steps)
    started = waiting_since = time.perf_counter()
    for step, batches in enumerate(_group(loader.epoch(epoch), config.accumulation_steps)):
        wait_seconds += time.perf_counter() - waiting_since
        step_of_all, steps_of_all = epoch * steps_per_epoch + step, config.epochs * steps_per_epoch
        set_rate(state.optimizer, rate_at(config, step_of_all, steps_of_all, state.train_losses))
        losses.append(take_step(state, batches, loss, machine))
        follow_mean(state, step_of_all)
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


def _group(batches: Iterator[Batch], size: int) -> Iterator[tuple[Batch, ...]]:
    while group := tuple(itertools.islice(batches, size)):
        yield group


def _require_finite(losses: Sequence[Tensor], epoch: int, first_step: int) -> list[float]:
    values: list[float] = torch.stack(list(losses)).tolist()
    for step, value in enumerate(values, start=first_step):
        if not math.isfinite(value):
            raise NonFiniteLossError(
                f"The loss is {value} in epoch {epoch + 1}, step {step + 1}: the training diverged; "
                "use a smaller learning_rate, or precision=fp32."
            )
    return values
