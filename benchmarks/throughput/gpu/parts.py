"""A row of what a training step's time goes to: milliseconds of the device by kind of operation."""

from collections import defaultdict
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.throughput.gpu.rows import Found, Row, Scale
from benchmarks.throughput.gpu.training import configure
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.feeding.samples import TrainingSamples, blank_batch
from segcore.machine import Machine, detect_machine
from segcore.training.epoch import set_training, take_step
from segcore.training.losses import build_loss
from segcore.training.state import new_state

_STEPS: Final = 3
_LARGEST_KERNEL: Final = 15
_MS: Final = 1e-3
"""Of microseconds."""
_NAMED: Final = {
    "normalisation": ("norm",),
    "resizing": ("upsample",),
    "optimizer": ("foreach", "fused_adam", "optimizer"),
    "concatenating": ("cat",),
    "copies": ("copy",),
}
"""What an operation's name holds, by its kind; the rest goes over its elements one by one."""
_REST: Final = "element by element"

Shapes = Sequence[Sequence[int]]
"""Of an operation's arguments."""


def measure_parts(row: Row, scale: Scale, folder: Path, cpus: int) -> Found:
    """Return the milliseconds of a step by kind of operation, the longest first.

    Args:
        row: its mode and batch size are used.
        scale: images.
        folder: of the prepared cache.
        cpus: processor cores.
    """
    machine, cache, config = detect_machine(cpus), PixelCache(folder), configure(row, scale)
    labels = build_label_map(cache.classes, config.labels)
    state = new_state(config, labels.outputs, machine)
    samples = TrainingSamples(cache, range(len(cache)), config, labels.target_of_class)
    batch, loss = blank_batch(samples, row.batch_size, labels.outputs), build_loss(config, None)
    set_training(state)
    # The optimizer makes its own state in its first step, and a library plans its kernels.
    take_step(state, [batch], loss, machine)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if machine.on_gpu else [])]
    with profile(activities=activities, record_shapes=True) as profiler:
        for _ in range(_STEPS):
            take_step(state, [batch], loss, machine)
        if machine.on_gpu:
            torch.cuda.synchronize()
    return dict(_sum_kinds(profiler, machine))


def _sum_kinds(profiler: profile, machine: Machine) -> list[tuple[str, float]]:
    spent = defaultdict[str, float](float)
    for each in profiler.key_averages(group_by_input_shape=True):
        # A kernel stands by itself too, beside the operation that called it.
        if each.device_type.name != "CPU":
            continue
        own_us = each.self_device_time_total if machine.on_gpu else each.self_cpu_time_total
        spent[find_kind(each.key, each.input_shapes)] += _MS * float(own_us) / _STEPS
    return sorted(spent.items(), key=itemgetter(1), reverse=True)


def find_kind(operation: str, shapes: Shapes) -> str:
    """Return what kind an operation is of.

    Args:
        operation: as the profiler calls it, such as `aten::cudnn_convolution`.
        shapes: of its arguments.
    """
    if "conv" in operation:
        return name_convolution(shapes)
    name = operation.lower()
    return next((kind for kind, words in _NAMED.items() if any(word in name for word in words)), _REST)


def name_convolution(shapes: Shapes) -> str:
    """Return the kind of a convolution by its kernel (outputs, inputs each, h, w) among its arguments' shapes."""
    kernels = [shape for shape in shapes if len(shape) == 4 and max(shape[2:]) <= _LARGEST_KERNEL]
    if any(outputs > 1 and inputs_each == 1 and height > 1 for outputs, inputs_each, height, _ in kernels):
        return "depthwise convolutions"
    if any(height == width == 1 for _, _, height, width in kernels):
        return "convolutions of 1x1"
    return "convolutions"
