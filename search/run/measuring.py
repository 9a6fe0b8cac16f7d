"""Measures, before a search, how long an epoch of each input mode takes on a worker; nothing of it is kept.

A few images are trained and validated by the very training of a trial, and what they took is counted up to all images.
What follows for a whole search says `insight.forecast`.
"""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import ray
import torch

from search.run.capacity import Capacity, select_others
from search.run.evicted import describe_eviction
from search.run.loop import build_proposer
from search.run.trial_job import TrialJob, open_cache, require_promised
from search.settings import SearchSettings
from search.space.load import load_space
from segcore.config import TrainConfig
from segcore.data.labels import build_label_map
from segcore.errors import StreetError
from segcore.machine import detect_machine
from segcore.training.state import new_state
from segcore.training.train import train_epochs

_DRAWS: Final = 60
_TRAINED_IMAGES: Final = 12
_VALIDATED_IMAGES: Final = 4
_KIB: Final = 2**20
"""Of a GiB."""
_GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an epoch of a configuration takes.

    Args:
        values: the configuration.
        epoch_seconds: of training and validation on all images; NaN when it could not be measured.
        start_seconds: before its first epoch, and by which that one is slower; likewise.
        memory_gib: most GPU memory, or of the process where there is no GPU.
        occupied_gib: of the GPU at the end, by this process and whoever else is on it; 0 without one.
        gpu_gib: all that the GPU has; 0 without one.
        problem: why it could not be measured; empty when it was.
    """

    values: dict[str, Any]
    epoch_seconds: float = float("nan")
    start_seconds: float = float("nan")
    memory_gib: float = 0.0
    occupied_gib: float = 0.0
    gpu_gib: float = 0.0
    problem: str = ""


def draw_values(settings: SearchSettings, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return configurations as the search's space draws them while nothing is known."""
    proposer = build_proposer(settings, facts, load_space(settings.space))
    return [proposer.ask(number).values for number in range(_DRAWS)]


def measure_epochs(values: Sequence[dict[str, Any]], job: TrialJob, capacity: Capacity, fold: int) -> list[Measured]:
    """Measure configurations one after the other, on a worker that could be given a trial, with what that is given.

    Args:
        values: of the configurations.
        job: what all trials share.
        capacity: what a trial is given, and where.
        fold: that trials are scored on.
    """
    place, others = capacity.place, select_others(capacity.left_out)
    # A process that has seen a GPU keeps some of its memory, so it ends with the task.
    task = ray.remote(num_cpus=place.cpus_per_trial, num_gpus=place.gpus_per_trial, max_calls=1, max_retries=0)
    try:
        measured: list[Measured] = ray.get(task(_measure_each).options(label_selector=others).remote(values, job, fold))
        return measured
    except ray.exceptions.RayError as error:
        problem = describe_eviction(error)
        return [Measured(values=each, problem=problem) for each in values]


def _measure_each(values: Sequence[dict[str, Any]], job: TrialJob, fold: int) -> list[Measured]:
    return [measure_here(each, job, fold) for each in values]


def measure_here(values: dict[str, Any], job: TrialJob, fold: int) -> Measured:
    """Measure a configuration in this process.

    Args:
        values: of the configuration.
        job: what all trials share.
        fold: that trials are scored on.
    """
    machine = detect_machine(max(1, int(job.cpus)), use_gpu=job.gpus > 0)
    try:
        require_promised(machine, job.gpus)
        if machine.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            torch.cuda.set_per_process_memory_fraction(min(1.0, job.gpus))
        cache = open_cache(job)
        train, valid = job.split.split(cache.names, fold, cache.extra_names)
        few_train, few_valid = pick(train, _TRAINED_IMAGES), pick(valid, _VALIDATED_IMAGES)
        started = time.perf_counter()
        config = TrainConfig.from_values({**values, "epochs": max(2, values["epochs"]), "patience_epochs": 0})
        state = new_state(config, build_label_map(cache.classes, config.labels).outputs, machine, metric=job.metric)
        results = train_epochs(state, cache, few_train, few_valid, machine)
        # The first warms up: kernels are chosen, pages read.
        next(results)
        first_seconds = time.perf_counter() - started
        result = next(results)
    except StreetError as error:
        return Measured(values=values, problem=str(error).splitlines()[0])
    seconds = result.train_seconds * len(train) / len(few_train)
    seconds += result.validation_seconds * len(valid) / len(few_valid)
    start_seconds = max(0.0, first_seconds - result.train_seconds - result.validation_seconds)
    resident_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB
    # Torch keeps what it once had, and CUDA's own is counted too, as for neighbours on the GPU.
    free, whole = torch.cuda.mem_get_info(machine.device) if machine.on_gpu else (0, 0)
    return Measured(
        values=values,
        epoch_seconds=seconds,
        start_seconds=start_seconds,
        memory_gib=result.peak_memory_gib or resident_gib,
        occupied_gib=(whole - free) / _GIB,
        gpu_gib=whole / _GIB,
    )


def pick(indices: Sequence[int], count: int) -> list[int]:
    """Return so many of some indices, evenly spread over them; all where there are no more."""
    step = max(1.0, len(indices) / count)
    return [indices[int(number * step)] for number in range(min(count, len(indices)))]
