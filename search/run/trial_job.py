"""What all trials of a stage share, and what a worker makes of it before it trains: its data, its GPU, compiled code.

The training itself is in `trial`.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import segcore.data.caching.cache
from search.run.probe import are_pretended
from segcore.data.bringing import bring_data, bring_each
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.split import FoldSplit
from segcore.data.extra import prepare_caches, read_extra
from segcore.errors import CheckpointError, ClusterError, DataError
from segcore.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a prediction may take; a trial is measured before it is trained.

    Args:
        latency_ms: most milliseconds per image at its original size; 0: no limit.
        memory_gib: most GPU memory; 0: no limit.
    """

    latency_ms: float = 0.0
    memory_gib: float = 0.0

    def describe_broken(self, costs: Mapping[str, float]) -> str:
        """Say which limits a prediction breaks; empty when none.

        Args:
            costs: latency_ms and memory_gib of a prediction.
        """
        told = (
            (costs["latency_ms"], self.latency_ms, "ms per prediction", "--max-latency-ms"),
            (costs["memory_gib"], self.memory_gib, "GiB of GPU memory per prediction", "--max-memory-gib"),
        )
        broken = [each for each in told if each[1] and each[0] > each[1]]
        return "; ".join(f"{_tell(cost)} {unit} are above {option} {limit:.9g}" for cost, limit, unit, option in broken)


def _tell(cost: float) -> str:
    return f"{cost:.3g}" if cost < 100 else f"{cost:.0f}"


class Assignment(TypedDict):
    """One trial as Ray Tune hands it to a worker, which takes plain values alone.

    Args:
        trial: its number.
        fold: that it is scored on.
        values: of its `TrainConfig`.
        checkpoints: to go on from, the last one first; without any the trial starts from scratch.
        after_epoch: that the last one was saved after; 0 without.
        accelerator: the kind of GPU that it needs, as Ray names it; None: any.
        avoided: nodes that it is not to run on, as Ray names them.
        restarts: how often its worker failed before.
    """

    trial: int
    fold: int
    values: dict[str, Any]
    checkpoints: list[str]
    after_epoch: int
    accelerator: str | None
    avoided: list[str]
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialJob:
    """What all trials of a stage share.

    Args:
        data: the data-set folder, archive or address.
        extra: data sets that are trained on too, likewise.
        cache_root: folder of the node's caches.
        cache_key: name of the data's cache in it.
        split: the folds.
        cpus: processor cores of a trial.
        gpus: GPUs of a trial; 0 keeps it off a GPU that others may use.
        metric: what decides, see `segcore.scoring.objective`.
        limits: what a prediction may take; None: it is not measured.
        picture_epochs: epochs that pictures are drawn after, beside the last.
        layout: of the data-set folder; empty: recognised.
    """

    data: str
    extra: tuple[str, ...]
    cache_root: Path
    cache_key: str
    split: FoldSplit
    cpus: float
    gpus: float
    metric: str
    limits: Limits | None = None
    picture_epochs: tuple[int, ...] = ()
    layout: str = ""


def open_cache(job: TrialJob) -> PixelCache:
    """Open the node's cache, preparing it on a node that joined late."""
    try:
        return segcore.data.caching.cache.open_cache(job.cache_root, job.cache_key)
    except CheckpointError:
        dataset = read_dataset(bring_data(job.data, job.cache_root), job.layout)
        extra = read_extra(dataset, bring_each(job.extra, job.cache_root))
        cache = prepare_caches(dataset, extra, job.cache_root)
    if cache.key != job.cache_key:
        raise DataError(
            f"{job.data} holds other files on this node than where the search started; use a shared folder."
        )
    return cache


def require_promised(machine: Machine, gpus: float) -> None:
    """Raise `ClusterError`, which counts as the node's failure, when a trial was promised a GPU and sees none.

    It would train on the CPU for days without a word.
    """
    if gpus and not machine.on_gpu and not are_pretended():
        raise ClusterError(
            f"{socket.gethostname()}: the trial was given {gpus:g} GPU by Ray and torch sees none; mend its driver, or "
            "start Ray there without GPUs."
        )
