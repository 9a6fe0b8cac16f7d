"""A row of how long a training takes to start: what a search of short trainings mostly waits for."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.throughput.gpu.parts import name_convolution
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
_TRAININGS: Final[dict[str, Literal["unet", "fpn"]]] = {
    "1 unet": "unet",
    "2 fpn": "fpn",
    "3 unet again": "unet",
    "4 unet in another thread": "unet",
}
"""Decoders of trainings one after the other in a process, as a search's worker has them: new shapes, other ones, known
ones. The last trains known shapes in a thread that has seen none: torch keeps what cuDNN planned by thread."""


def measure_start(row: Row, scale: Scale, folder: Path, cpus: int, begun: float) -> Found:
    """Return by `TRAINING: WHAT` the seconds that parts of four trainings' starts take.

    Args:
        row: its mode and batch size are used.
        scale: images.
        folder: of the prepared cache.
        cpus: processor cores.
        begun: when this process was started, as `time.time` tells it.
    """
    found = {"process and imports": time.time() - begun}
    machine, cache = detect_machine(cpus), PixelCache(folder)
    with ThreadPoolExecutor(max_workers=1) as first, ThreadPoolExecutor(max_workers=1) as another:
        for name, decoder in _TRAININGS.items():
            config = dataclasses.replace(configure(row, scale), decoder=decoder)
            thread = another if "another" in name else first
            parts = thread.submit(_time_training, config, scale, cache, machine).result()
            found |= {f"{name}: {part}": seconds for part, seconds in parts.items()}
    return dict(found)


def _time_training(config: TrainConfig, scale: Scale, cache: PixelCache, machine: Machine) -> dict[str, float]:
    return dict(_time_parts(config, scale, cache, machine))


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
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as called:
            yield part, _time(lambda: take_step(state, [batch], loss, machine), machine)
        yield f"{part}, calling convolutions", _count_convolutions(called)
        yield f"{part}, calling depthwise ones", _count_convolutions(called, "depthwise convolutions")
    results = train_epochs(state, cache, trained, trained[: scale.validated], machine)
    for part in ("first epoch", "second epoch"):
        yield part, _time(lambda: next(results), machine)


def _count_convolutions(called: profile, *kinds: str) -> float:
    """Return the seconds of the CPU in which convolutions of some kinds were called; of none: of all.

    A library plans, or compiles, their kernels there.
    """
    convolutions = [each for each in called.key_averages(group_by_input_shape=True) if "conv" in each.key]
    counted = [each for each in convolutions if not kinds or name_convolution(each.input_shapes) in kinds]
    return _US * sum(float(each.self_cpu_time_total) for each in counted)


def _time(work: Callable[[], object], machine: Machine) -> float:
    started = time.perf_counter()
    work()
    _wait(machine)
    return time.perf_counter() - started


def _wait(machine: Machine) -> None:
    if machine.on_gpu:
        torch.cuda.synchronize()
