"""`train_epochs`: the training from epoch to epoch, a generator of results; the caller saves, reports or stops.

The steps of an epoch live in `epoch`, the rate's course in `schedule`, batches in `loader`, what scores an epoch in
`validation`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import LabelMap, build_label_map
from segcore.feeding.balance import balanced_weights, count_output_pixels
from segcore.feeding.loader import TrainingLoader, name_killed_loaders
from segcore.feeding.samples import TrainingSamples, blank_batch
from segcore.feeding.shared_memory import LoaderPlan, find_free_bytes, plan_workers
from segcore.machine import Machine, peak_memory_gib
from segcore.scoring.metrics import ImageScore
from segcore.training.checkpoint import roll_back_to_file
from segcore.training.compiling import choose_forward
from segcore.training.epoch import EpochSteps, train_epoch
from segcore.training.losses import Loss, build_loss
from segcore.training.memory import resolve_batch_size, train_within_memory
from segcore.training.saving import StateWriter
from segcore.training.schedule import cycle_ends, has_stalled
from segcore.training.state import TrainState, copy_learnt, roll_back_to_copy, take_snapshot
from segcore.training.validation import Validation, first_view, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochResult:
    """What one epoch brought.

    Args:
        epoch: finished epochs, counted from 1.
        train_loss: mean loss over the valid pixels of the epoch.
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
        validated_in_tiles: whether images were validated in overlapping tiles because whole ones did not fit.
        loader_workers: processes that cut and augmented samples.
        loading_note: why they are fewer than the machine's; empty when they are not.
        compile_note: why the network is not compiled although that was tried; empty otherwise.
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
    validated_in_tiles: bool
    loader_workers: int
    loading_note: str
    compile_note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    loader: TrainingLoader
    loss: Loss
    plan: LoaderPlan
    samples_alike: bool
    compile_note: str


def train_epochs(
    state: TrainState,
    cache: PixelCache,
    train_indices: Sequence[int],
    valid_indices: Sequence[int],
    machine: Machine,
    writer: StateWriter | None = None,
    saved: Path | None = None,
) -> Iterator[EpochResult]:
    """Train until the configuration's epochs are done or the score stalls, one result per epoch.

    Between two results the state is that of a finished epoch: save it then, or finish what `writer` began, and a
    training that goes on from it ends in the same weights as one that was never interrupted (bit for bit on a CPU).

    When the device runs out of memory in training, the epoch starts anew with divided batches (see `memory`), after the
    first one from what was saved; in a validation, this one and the following look at overlapping tiles instead of
    whole images.

    Args:
        state: a new or loaded training; advanced in place.
        cache: the decoded data.
        train_indices: cases to train on.
        valid_indices: cases to validate on, whole and at their original size.
        machine: where to train.
        writer: begins to write each epoch's state while that is validated; finish it before the next epoch.
        saved: without a writer, the file that the caller saves each epoch's state to before the next one.

    Raises:
        ConfigError: when a crop is larger than the images usually are.
        NonFiniteLossError: naming epoch and step.
        DeviceMemoryError: when the device is too small for the smallest batch, or fills up after a first epoch of a
            training that nobody saves.
        CheckpointError: when it fills up, and what was saved is damaged.
        StorageError: when a loader process is killed, or shared memory is full.
    """
    config, begun_after = state.config, state.epoch
    prepared = _prepare(state, cache, train_indices, machine)
    train_next = partial(train_epoch, state, prepared.loader, prepared.loss, machine)
    file = saved if writer is None else writer.file
    view = first_view(machine)
    has_fitted = False
    with name_killed_loaders():
        while state.epoch < config.epochs and not has_stalled(state.scores, config.patience_epochs):
            # Until an epoch has ended here the file may not be there, as where a search goes on in an empty folder.
            saved_epoch = file if state.epoch > begun_after else None
            roll_back = _choose_roll_back(state, machine, saved_epoch, has_fitted=has_fitted)
            steps = train_within_memory(state, machine, train_next, roll_back)
            # Where sizes differ, a later epoch may bring larger ones together.
            has_fitted = prepared.samples_alike
            _count_epoch(state, steps.mean_loss)
            if state.epoch < config.epochs:
                prepared.loader.begin(state.epoch)
            if writer is not None:
                writer.begin(state)
            validation = validate(state, cache, valid_indices, machine, view)
            view = validation.view
            state.scores.append(validation.metrics.get(state.metric, 0.0))
            yield _build_result(state, steps, validation, prepared, machine)


def _choose_roll_back(
    state: TrainState, machine: Machine, saved: Path | None, *, has_fitted: bool
) -> Callable[[], None] | None:
    """Return what takes a training back to the end of the epoch before, should the next one not fit the device.

    It reads the file of that epoch. Without one it needs a copy of the weights, which takes time to make: none is made
    (None) once an epoch has fitted, since the next one then fits too unless something else fills the device.
    """
    if saved is not None:
        return partial(roll_back_to_file, state, saved, machine)
    return None if has_fitted else partial(roll_back_to_copy, state, copy_learnt(state), machine)


def _build_result(
    state: TrainState, steps: EpochSteps, validation: Validation, prepared: _Prepared, machine: Machine
) -> EpochResult:
    return EpochResult(
        epoch=state.epoch,
        train_loss=steps.mean_loss,
        learning_rate=state.optimizer.param_groups[-1]["lr"],
        metrics=validation.metrics,
        scores=validation.scores,
        train_seconds=steps.seconds,
        validation_seconds=validation.seconds,
        samples_per_second=steps.samples / steps.seconds,
        wait_share=steps.wait_seconds / steps.seconds,
        peak_memory_gib=peak_memory_gib(machine),
        batch_size=state.batch_size,
        micro_batches=state.micro_batches,
        validated_in_tiles=validation.view == "tiles",
        loader_workers=prepared.plan.workers,
        loading_note=prepared.plan.note,
        compile_note=prepared.compile_note,
    )


def _prepare(state: TrainState, cache: PixelCache, train_indices: Sequence[int], machine: Machine) -> _Prepared:
    config = state.config
    labels = build_label_map(cache.classes, config.labels)
    samples = TrainingSamples(cache, train_indices, config, labels.target_of_class)
    loss = build_loss(config, _weigh_classes(config, cache, train_indices, labels, machine))
    state.batch_size = state.batch_size or resolve_batch_size(state, samples, loss, machine)
    # Batches that wait for a GPU are copied out of shared memory at once.
    held_batches = 1 if machine.on_gpu else config.accumulation_steps
    batch_bytes = samples.count_bytes(state.batch_size)
    plan = plan_workers(machine.loader_workers, batch_bytes, held_batches, find_free_bytes())
    loader = TrainingLoader(samples, config, state.batch_size, workers=plan.workers, pin_memory=machine.on_gpu)
    steps = (config.epochs - state.epoch) * len(loader)
    note = _compile(state, samples, loss, machine, steps)
    return _Prepared(loader=loader, loss=loss, plan=plan, samples_alike=samples.are_alike, compile_note=note)


def _compile(state: TrainState, samples: TrainingSamples, loss: Loss, machine: Machine, steps: int) -> str:
    # With other sizes or uneven parts it would be compiled again and again, or not be used.
    part, left = divmod(state.batch_size, state.micro_batches)
    if machine.compile == "off" or left or not samples.are_alike:
        return ""
    return choose_forward(state, blank_batch(samples, part, state.outputs), loss, machine, steps)


def _weigh_classes(
    config: TrainConfig, cache: PixelCache, train_indices: Sequence[int], labels: LabelMap, machine: Machine
) -> Tensor | None:
    if config.class_weights == "none":
        return None
    weights_C = balanced_weights(count_output_pixels(cache, train_indices, labels))
    return torch.from_numpy(weights_C).to(machine.device)


def _count_epoch(state: TrainState, train_loss: float) -> None:
    # The score follows after the validation, during which the state is already being written.
    config = state.config
    state.epoch += 1
    state.train_losses.append(train_loss)
    if config.rate_schedule == "cyclic" and state.epoch in cycle_ends(config.epochs, config.cycles):
        take_snapshot(state)
