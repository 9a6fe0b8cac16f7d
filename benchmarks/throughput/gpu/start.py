"""A row of how long a training takes to start: what a search of short trainings mostly waits for."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.throughput.gpu.rows import Found, Row, Scale
from benchmarks.throughput.gpu.training import configure
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.feeding.samples import TrainingSamples, blank_batch
from segcore.machine import Machine, detect_machine
from segcore.training.epoch import set_training, take_step
from segcore.training.losses import build_loss
from segcore.training.state import new_state
from segcore.training.train import train_epochs

_US: Final = 1e-6
_DECODERS: Final[tuple[Literal["unet", "fpn"], ...]] = ("unet", "fpn", "unet")
"""Of trainings one after the other in a process, as a search's worker has them: new, other shapes, known ones."""


def measure_start(row: Row, scale: Scale, folder: Path, cpus: int, begun: float) -> Found:
    """Return by `NUMBER DECODER: WHAT` the seconds that parts of three trainings' starts take.

    Args:
        row: its mode and batch size are used.
        scale: images.
        folder: of the prepared cache.
        cpus: processor cores.
        begun: when this process was started, as `time.time` tells it.
    """
    found = {"process and imports": time.time() - begun}
    machine, cache = detect_machine(cpus), PixelCache(folder)
    for number, decoder in enumerate(_DECODERS, start=1):
        config = dataclasses.replace(configure(row, scale), decoder=decoder)
        for part, seconds in _time_parts(config, scale, cache, machine):
            found[f"{number} {decoder}: {part}"] = seconds
    return dict(found)


def _time_parts(config: TrainConfig, scale: Scale, cache: PixelCache, machine: Machine) -> Iterator[tuple[str, float]]:
    labels = build_label_map(cache.classes, config.labels)
    started = time.perf_counter()
    state = new_state(config, labels.outputs, machine)
    _wait(machine)
    yield "network", time.perf_counter() - started
    trained = list(itertools.islice(itertools.cycle(range(len(cache))), scale.trained))
    samples = TrainingSamples(cache, trained, config, labels.target_of_class)
    batch, loss = blank_batch(samples, int(config.batch_size), state.outputs), build_loss(config, None)
    set_training(state)
    for part in ("first step", "second step"):
        with profile(activities=[ProfilerActivity.CPU]) as called:
            yield part, _time(lambda: take_step(state, [batch], loss, machine), machine)
        yield f"{part}, calling convolutions", _count_convolutions(called)
    results = train_epochs(state, cache, trained, trained[: scale.validated], machine)
    for part in ("first epoch", "second epoch"):
        yield part, _time(lambda: next(results), machine)


def _count_convolutions(called: profile) -> float:
    """Return the seconds of the CPU in which convolutions were called: a library looks for their kernels there."""
    convolutions = (each for each in called.key_averages() if "conv" in each.key)
    return _US * sum(float(each.self_cpu_time_total) for each in convolutions)


def _time(work: Callable[[], object], machine: Machine) -> float:
    started = time.perf_counter()
    work()
    _wait(machine)
    return time.perf_counter() - started


def _wait(machine: Machine) -> None:
    if machine.on_gpu:
        torch.cuda.synchronize()
