"""How a training copes with a device's memory: how large its batches are, and what happens when one does not fit.

That an error of torch means too little memory is told in `machine`; predictions have their own remedies in
`prediction.memory`.
"""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import torch

from segcore.config import STRIDE, TrainConfig
from segcore.counting import count_words
from segcore.errors import ConfigError, DeviceMemoryError
from segcore.feeding.samples import TrainingSamples, blank_batch
from segcore.machine import Machine, is_memory_error
from segcore.prediction.memory import SMALL_TILE_SIZE
from segcore.prediction.options import PredictOptions
from segcore.training.epoch import EpochSteps, set_training, take_step
from segcore.training.losses import Loss
from segcore.training.state import TrainState

_LARGEST_AUTO_BATCH: Final = 64
_CPU_AUTO_BATCH: Final = 8
"""A CPU's memory is shared with everything else, and the system ends a process that took too much without a word."""

_FREE_SHARE: Final = 0.1
"""Left free by `auto`: fragments, and batches of other shapes than the one that was tried."""

_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0
_FREED_SHARE: Final = 0.85
"""Of what a training may take; a context, a desktop and rounding have the rest."""

GpuBytes = tuple[int, int]
"""Bytes of a GPU that are free, and that it has."""


def name_memory_errors(config: TrainConfig, machine: Machine) -> AbstractContextManager[None]:
    """Turn torch's out-of-memory errors in a training into `DeviceMemoryError` with a remedy."""
    return _name_errors(
        f"{machine.device} ran out of memory with batch_size={config.batch_size}, input_mode={config.input_mode}, "
        f"backbone={config.backbone}; use a smaller batch_size, crop_size or scale."
    )


def name_validation_memory_errors(config: TrainConfig, machine: Machine) -> AbstractContextManager[None]:
    """Turn torch's out-of-memory errors in a validation in tiles into `DeviceMemoryError` with a remedy."""
    return _name_errors(
        f"{machine.device} ran out of memory in the validation, also in tiles of {SMALL_TILE_SIZE} pixels, with "
        f"backbone={config.backbone}, decoder={config.decoder}, decoder_channels={config.decoder_channels}; use a "
        "smaller backbone or decoder_channels, or free the device of other programs."
    )


@contextmanager
def _name_errors(message: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_memory_error(error):
            raise
        raise DeviceMemoryError(message) from error


def tiled_options(config: TrainConfig) -> PredictOptions:
    """Return how a device that is too small for whole images looks at them: at the same scale, in overlapping tiles."""
    scale = config.scale if config.input_mode == "resize" else 1.0
    return PredictOptions(mode="overlap", tile_size=SMALL_TILE_SIZE, scales=(scale,))


def train_within_memory(
    state: TrainState, machine: Machine, train_next: Callable[[], EpochSteps], roll_back: Callable[[], None] | None
) -> EpochSteps:
    """Train an epoch; while the device is too small, start it again with each batch in twice as many parts.

    The parts' gradients are added, so the optimizer's batch stays the same; batch normalisation sees the parts.

    Args:
        state: a training; `micro_batches` is doubled as often as needed and stays so.
        machine: where the training is.
        train_next: takes all steps of the state's next epoch.
        roll_back: takes weights, optimizer and scaler back to the epoch's start; None: they were not kept.

    Raises:
        DeviceMemoryError: when the device is too small for the smallest part, or there is no way back.
        CheckpointError: when what `roll_back` reads is damaged.
    """
    while True:
        try:
            with name_memory_errors(state.config, machine):
                return train_next()
        except DeviceMemoryError:
            if roll_back is None or not can_divide(state):
                raise
        # Only here, after the error and the tensors of its frames are gone, is there memory again.
        release_memory(machine)
        roll_back()
        state.micro_batches *= 2


def resolve_batch_size(state: TrainState, samples: TrainingSamples, loss: Loss, machine: Machine) -> int:
    """Return the configuration's batch size, no more than there are samples; `auto` is measured on a GPU, 8 on a CPU.

    Raises:
        ConfigError: when there are fewer samples than the network needs at a time.
        DeviceMemoryError: when even the smallest batch does not fit.
    """
    smallest, size = _smallest_batch(state.config, samples), state.config.batch_size
    if len(samples) < smallest:
        raise ConfigError(
            f"{count_words(len(samples), 'training sample')}: backbone={state.config.backbone}, "
            f"decoder={state.config.decoder}, input_mode={state.config.input_mode} needs {smallest} at a time; use "
            "another backbone or decoder, or more or larger images or crops."
        )
    require_batch_fits(samples.shortest_long_side, state.config)
    if size == "auto":
        size = measure_batch_size(state, samples, loss, machine) if machine.on_gpu else _CPU_AUTO_BATCH
    return min(size, len(samples))


def require_batch_fits(shortest_long_side: int, config: TrainConfig) -> None:
    """Raise `ConfigError` when a batch of one sample would leave one value per channel.

    Args:
        shortest_long_side: longer side of the sample that has the shortest one, pixels.
        config: its batch_size is used.
    """
    if config.batch_size == 1 and shortest_long_side <= STRIDE:
        raise ConfigError(
            f"batch_size=1 with samples of {STRIDE} x {STRIDE} pixels or fewer leaves one value per channel, which "
            "batch normalisation cannot take; use batch_size=2 or more, or a larger scale or images."
        )


def measure_batch_size(state: TrainState, samples: TrainingSamples, loss: Loss, machine: Machine) -> int:
    """Return the largest power of two up to 64 of samples that a step fits the device with; the state stays as it is.

    Raises:
        DeviceMemoryError: when even the smallest batch does not fit.
    """
    smallest = _smallest_batch(state.config, samples)

    def try_batch(size: int) -> None:
        # What the last try left in torch's own store would count as taken.
        release_memory(machine)
        with name_memory_errors(state.config, machine):
            trial = copy.deepcopy(state)
            set_training(trial)
            # The optimizer takes its own memory in its first step, so the second shows the peak.
            for _ in range(2):
                take_step(trial, [blank_batch(samples, size, state.outputs)], loss, machine)
            if size > smallest:
                require_free_memory(machine)

    size = find_batch_size(try_batch, smallest, min(_LARGEST_AUTO_BATCH, len(samples)))
    release_memory(machine)
    return size


def find_batch_size(try_batch: Callable[[int], None], smallest: int, largest: int) -> int:
    """Return the largest power of two, from `smallest` to `largest`, for which `try_batch` has enough memory.

    Args:
        try_batch: trains on so many samples for a step and raises `DeviceMemoryError` when the device is too small.
        smallest: samples that the network needs at a time, 1 or 2.
        largest: most samples that are wanted.

    Raises:
        DeviceMemoryError: when even the smallest batch does not fit.
    """
    try_batch(smallest)
    size = smallest
    while 2 * size <= largest:
        try:
            try_batch(2 * size)
        except DeviceMemoryError:
            break
        size *= 2
    return size


def require_free_memory(machine: Machine) -> None:
    """Raise `torch.OutOfMemoryError` when less than a tenth of this process's part of a GPU is left; a CPU has none."""
    if machine.on_gpu:
        free_bytes, total_bytes = torch.cuda.mem_get_info(machine.device)
        allowed_bytes = int(torch.cuda.get_per_process_memory_fraction(machine.device) * total_bytes)
        left_bytes = count_left_bytes(free_bytes, allowed_bytes, torch.cuda.memory_reserved(machine.device))
        if left_bytes < _FREE_SHARE * allowed_bytes:
            raise torch.OutOfMemoryError(f"{left_bytes / 2**30:.1f} GiB are left of {allowed_bytes / 2**30:.1f}")


def count_left_bytes(free_bytes: int, allowed_bytes: int, taken_bytes: int) -> int:
    """Return how much a process can still take of a GPU that it may share.

    Args:
        free_bytes: what nobody has.
        allowed_bytes: what this process may have in all.
        taken_bytes: what it has.
    """
    return min(free_bytes, allowed_bytes - taken_bytes)


def release_memory(machine: Machine) -> None:
    """Give cached memory back to a GPU; does nothing on a CPU."""
    if machine.on_gpu:
        torch.cuda.empty_cache()


def wait_for_memory(
    read: Callable[[], GpuBytes], share: float, sleep: Callable[[float], None] = time.sleep
) -> float | None:
    """Wait until a dying process has given back the GPU memory that a training may take, a minute at most.

    Args:
        read: returns the GPU's free and whole memory.
        share: of the GPU that the training may take, up to 1.
        sleep: waits so many seconds.

    Returns:
        Seconds that were waited; None when it is still taken, so that the training has to do with what there is.
    """
    waited_seconds = 0.0
    while True:
        free, total = read()
        if free >= _FREED_SHARE * share * total:
            return waited_seconds
        if waited_seconds >= _WAIT_SECONDS:
            return None
        sleep(_LOOK_SECONDS)
        waited_seconds += _LOOK_SECONDS


def _smallest_batch(config: TrainConfig, samples: TrainingSamples) -> int:
    # The deepest level of a network has one pixel for so many.
    return 2 if samples.shortest_long_side <= STRIDE else config.smallest_batch


def can_divide(state: TrainState) -> bool:
    """Say whether halves of the batch's parts would still hold as many samples as the network needs at a time."""
    return state.batch_size // (2 * state.micro_batches) >= state.config.smallest_batch
