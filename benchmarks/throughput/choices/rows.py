"""One training of the table: trained in a process of the pool, kept as a line of `rows.jsonl`."""

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.throughput.choices.groups import BASE, Values, describe
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.feeding.shared_memory import find_free_bytes
from segcore.machine import Machine, detect_machine, name_device
from segcore.prediction.ensemble_files import save_ensemble
from segcore.training.memory import release_memory
from segcore.training.state import TrainState, member_weights, new_state
from segcore.training.train import train_epochs

FOLDS: Final = 5
FOLD: Final = 0
_SHARED_BYTES: Final = 64 << 20
"""More than the loader of one training puts into shared memory."""

Row = dict[str, Any]
"""changes, metrics, scores (the objective after each epoch), seconds, torch, device and data (the key of its cache)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What all rows have in common.

    Args:
        cache: the decoded data.
        train_indices: cases to train on.
        valid_indices: cases to score on.
        cpus: processor cores of one training.
        at_once: trainings at a time.
        models: folder for the trained networks; None: they are not kept.
    """

    cache: PixelCache
    train_indices: tuple[int, ...]
    valid_indices: tuple[int, ...]
    cpus: int
    at_once: int
    models: Path | None = None


def train_row(task: Task, changes: Values) -> Row:
    """Train the base with some values changed, and return its last epoch's scores and its seconds."""
    torch.set_num_threads(task.cpus)
    machine = _find_machine(task)
    config = TrainConfig.from_values({**BASE, **changes})
    cache = task.cache
    started = time.perf_counter()
    state = new_state(config, build_label_map(cache.classes, config.labels).outputs, machine)
    results = list(train_epochs(state, cache, task.train_indices, task.valid_indices, machine))
    seconds = time.perf_counter() - started
    if task.models is not None:
        _keep_model(task.models / describe(changes).replace(" ", "_"), state, cache)
    row = {
        "changes": dict(changes),
        "metrics": results[-1].metrics,
        "scores": list(state.scores),
        "seconds": seconds,
        "torch": torch.__version__,
        "device": name_device(machine),
        "data": cache.key,
    }
    _make_room(state, machine)
    return row


def identify(device: str, changes: Values) -> tuple[str, ...]:
    """Return what two rows have in common if and only if they are the same training on the same kind of device."""
    return (device, *sorted(describe({name: value}) for name, value in {"seed": 0, **changes}.items()))


def read_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of earlier starts; lines that were cut off are left out."""
    if not file.exists():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def add_row(file: Path, row: Mapping[str, Any]) -> None:
    """Write a row behind the others."""
    with file.open("a", encoding="utf-8") as stream:
        # The last line may have been cut off, and would take this row along.
        stream.write(f"\n{json.dumps(row)}\n")


def _find_machine(task: Task) -> Machine:
    # To compile a network takes longer than a row trains.
    machine = dataclasses.replace(detect_machine(task.cpus), compile="off")
    free_bytes = find_free_bytes()
    # Each training believes that what is free is its own.
    if free_bytes is not None and free_bytes < task.at_once * _SHARED_BYTES:
        return dataclasses.replace(machine, loader_workers=0)
    return machine


def _keep_model(folder: Path, state: TrainState, cache: PixelCache) -> None:
    notes = {"fold": FOLD, "folds": FOLDS}
    save_ensemble(folder, iter(member_weights(state)), config=state.config, classes=cache.classes, notes=notes)


def _make_room(state: TrainState, machine: Machine) -> None:
    # Others train on the same card.
    state.model.cpu()
    state.optimizer.state.clear()
    release_memory(machine)
