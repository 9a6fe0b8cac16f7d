"""One training of a recorded table, in a process that does many: what it needs, and the rows that it makes.

Which trainings there are, and the table, is in `record`.
"""

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import cv2
import torch

from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.errors import DeviceMemoryError, NonFiniteLossError
from segcore.machine import Machine, detect_machine
from segcore.scoring.objective import FIRST_METRIC
from segcore.training.state import new_state
from segcore.training.train import EpochResult, train_epochs

DIVERGED: Final = "diverged"
OUT_OF_MEMORY: Final = "out of memory"
_USABLE_SHARE: Final = 0.9
"""Of a GPU: each process has a context of its own beside its tensors."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingJob:
    """A training that is recorded.

    Args:
        marks: columns that all its rows share.
        config: what is trained.
        cache: folder of the decoded data.
        train_indices: cases to train on.
        valid_indices: cases to validate on.
        cpus: processor cores of the training.
        at_once: trainings that share the machine's GPU.
    """

    marks: Row
    config: TrainConfig
    cache: Path
    train_indices: list[int]
    valid_indices: list[int]
    cpus: int
    at_once: int


def do_recording(job: RecordingJob) -> list[Row]:
    """Train a job to its end and return its rows."""
    machine = _prepare_machine(job)
    rows = _train_rows(job.config, _open_cache(job.cache), (job.train_indices, job.valid_indices), machine)
    return [{**job.marks, **row} for row in rows]


@cache
def _open_cache(folder: Path) -> PixelCache:
    return PixelCache(folder)


def _prepare_machine(job: RecordingJob) -> Machine:
    found = detect_machine(job.cpus)
    torch.set_num_threads(job.cpus)
    cv2.setNumThreads(0)
    if found.on_gpu:
        # The last training would leave its network and its peak to this one.
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.set_per_process_memory_fraction(_USABLE_SHARE / job.at_once)
    # A small training is over before compiled code pays, and with a single core a loader
    # process only takes turns with it.
    workers = min(found.loader_workers, job.cpus - 1)
    return replace(found, loader_workers=workers, compile="off")


def _train_rows(
    config: TrainConfig, cache: PixelCache, split: tuple[list[int], list[int]], machine: Machine
) -> Iterator[Row]:
    """Train a configuration to its end and yield a row for each epoch, and one more for what ended it early."""
    epoch = 0
    try:
        state = new_state(config, build_label_map(cache.classes, config.labels).outputs, machine)
        begun = time.process_time()
        for result in train_epochs(state, cache, *split, machine):
            epoch = result.epoch
            # A single process on a single core is as fast as it would be alone, whatever else the machine is at.
            alone = not machine.on_gpu and machine.loader_workers == 0
            yield _describe(result, time.process_time() - begun if alone else _clock_seconds(result))
            begun = time.process_time()
    except (DeviceMemoryError, NonFiniteLossError) as error:
        ended = OUT_OF_MEMORY if isinstance(error, DeviceMemoryError) else DIVERGED
        yield {"epoch": epoch + 1, "ended": ended}


def _clock_seconds(result: EpochResult) -> float:
    return result.train_seconds + result.validation_seconds


def _describe(result: EpochResult, seconds: float) -> Row:
    return {
        "epoch": result.epoch,
        "score": result.metrics[FIRST_METRIC],
        # What a network of the scored classes alone cannot be measured by is missing.
        "miou": result.metrics.get("miou"),
        "seconds": seconds,
        "memory_gib": result.peak_memory_gib,
        "ended": "",
    }
