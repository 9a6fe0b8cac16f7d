"""A row of a training: whole epochs, the validation at their end included, by one of three loops."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import torch

from benchmarks.throughput.gpu.cost import count_step
from benchmarks.throughput.gpu.rows import Found, Row, Scale
from benchmarks.throughput.gpu.trace import watch
from benchmarks.throughput.modes import parse_mode
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.labels import build_label_map
from segcore.feeding.samples import TrainingSamples, blank_batch
from segcore.feeding.transforms import count_crops
from segcore.machine import Machine, detect_machine, peak_memory_gib
from segcore.training.losses import build_loss
from segcore.training.state import TrainState, new_state
from segcore.training.train import EpochResult, train_epochs


def configure(row: Row, scale: Scale) -> TrainConfig:
    """Return what is trained: crops cover the images once, so that an epoch has its usual share of validation."""
    values: dict[str, Any] = {**parse_mode(row.mode), "crops_per_image": 0, "batch_size": row.batch_size}
    network = {"backbone": "tf_efficientnet_lite0", "weights": "none", "decoder_channels": scale.decoder_channels}
    return TrainConfig.from_values({**values, **network, "rate_schedule": "constant", "epochs": scale.rounds + 2})


def measure_segcore(row: Row, scale: Scale, folder: Path, cpus: int) -> Found:
    """Train as a user does, and return what its epochs brought, with the last one watched.

    Args:
        row: what is trained.
        scale: images and rounds.
        folder: of the prepared cache.
        cpus: processor cores.
    """
    cache = PixelCache(folder)
    machine = dataclasses.replace(detect_machine(cpus), compile=row.compile)
    config = configure(row, scale)
    state = new_state(config, build_label_map(cache.classes, config.labels).outputs, machine)
    trained = list(itertools.islice(itertools.cycle(range(len(cache))), scale.trained))
    found = _count(state, cache, trained, machine)
    results = train_epochs(state, cache, trained, trained[: scale.validated], machine)
    next(results)
    rounds = [next(results) for _ in range(scale.rounds)]
    found |= _summarise(rounds, peak_memory_gib(machine))
    return found | watch(lambda: next(results), on_gpu=machine.on_gpu)


def measure_other(row: Row, scale: Scale, data: Path, cpus: int) -> Found:
    """Train by a plain loop or the contest's recipe over the files, as `measure_segcore`.

    Args:
        row: what is trained, and by which.
        scale: images and rounds.
        data: of the data set.
        cpus: processor cores.
    """
    # Imported here: albumentations takes seconds, and segcore's rows have no need of it.
    from benchmarks.throughput.plain_training import build_contest, build_plain
    from benchmarks.throughput.plain_validation import PlainValidation

    dataset, config, machine = read_dataset(data), configure(row, scale), detect_machine(cpus)
    samples = _count_samples(config, scale)
    steps = max(1, samples // row.batch_size)
    build = build_plain if row.arm == "plain" else build_contest
    arm = build(dataset, config, steps=steps, cpus=cpus, device=machine.device)
    cases = list(itertools.islice(itertools.cycle(dataset.cases), scale.validated))
    amp = row.arm == "plain" and machine.on_gpu
    validation = PlainValidation(cases, dataset.classes, config, cpus=cpus, device=machine.device, amp=amp)
    arm.run_round()
    validation.run(arm.network)
    # The contest's recipe takes more than a row's time for what the others do in half of it.
    counted = scale.rounds if row.arm == "plain" else 1
    rounds = [(arm.run_round(), validation.run(arm.network)) for _ in range(counted)]
    seconds = [(steps * row.batch_size / trained.samples_per_second, validated) for trained, validated in rounds]
    found = _shares(steps * row.batch_size, seconds)
    found |= {
        "wait_share": sum(trained.wait_share for trained, _ in rounds) / len(rounds),
        "peak_memory_gib": peak_memory_gib(machine),
    }
    if row.arm != "plain":
        return found

    def train_once_more() -> None:
        arm.run_round()
        validation.run(arm.network)

    return found | watch(train_once_more, on_gpu=machine.on_gpu)


def _count(state: TrainState, cache: PixelCache, trained: list[int], machine: Machine) -> Found:
    labels = build_label_map(cache.classes, state.config.labels)
    samples = TrainingSamples(cache, trained, state.config, labels.target_of_class)
    batch = blank_batch(samples, int(state.config.batch_size), state.outputs)
    cost = count_step(state, batch, build_loss(state.config, None), machine)
    if machine.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return dict(cost)


def _count_samples(config: TrainConfig, scale: Scale) -> int:
    return scale.trained * count_crops(scale.height, scale.width, config)


def _summarise(rounds: list[EpochResult], peak_gib: float) -> Found:
    samples = round(rounds[0].samples_per_second * rounds[0].train_seconds)
    found = _shares(samples, [(result.train_seconds, result.validation_seconds) for result in rounds])
    waiting = sum(result.wait_share for result in rounds) / len(rounds)
    return {**found, "wait_share": waiting, "peak_memory_gib": peak_gib}


def _shares(samples: int, seconds: list[tuple[float, float]]) -> Found:
    train, validation = (sum(part) / len(seconds) for part in zip(*seconds, strict=True))
    return {
        "samples_per_second": samples / train,
        "epoch_samples_per_second": samples / (train + validation),
        "train_seconds": train,
        "validation_seconds": validation,
        "validation_share": validation / (train + validation),
    }
