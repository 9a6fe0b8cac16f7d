"""Commands on one training: train, fields."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from filelock import FileLock, Timeout
from rich import box
from rich.table import Table

from segcore.commands.console import (
    bring_shown,
    console,
    make_folder,
    print_plan,
    show_progress,
    warn,
    warn_of_slow_cache,
)
from segcore.commands.groups import group_of, with_groups
from segcore.commands.options import Cache, Data, GivenDivision, GivenMachine, LayoutName, Objective
from segcore.config import TrainConfig, describe_fields
from segcore.data.caching.cache import PixelCache
from segcore.data.caching.disk import DEFAULT_CACHE, read_path, resolve_folder
from segcore.data.case import DataSet
from segcore.data.classes import ClassTable
from segcore.data.dataset import read_dataset
from segcore.data.dividing.given_folds import describe_division
from segcore.data.dividing.split import FoldSplit, name_training
from segcore.data.extra import prepare_caches, read_extra
from segcore.data.gate import Findings, describe_findings, pass_gate
from segcore.data.labels import build_label_map
from segcore.errors import CheckpointError, StorageError
from segcore.feeding.balance import count_class_pixels
from segcore.machine import Machine
from segcore.networks.weights import describe_fit
from segcore.prediction.ensemble_files import read_ensemble_notes, require_model_place, save_ensemble
from segcore.prediction.held_out import describe_known_images
from segcore.replacing import explain_unwritten
from segcore.scoring.objective import default_objective, require_counted, require_learnt, require_metric
from segcore.training.checkpoint import load_state, require_same_training, save_state
from segcore.training.compiling import keep_compiled
from segcore.training.feasible import require_network
from segcore.training.state import TrainState, member_weights, new_state
from segcore.training.train import EpochResult, train_epochs

_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a training learns from, and where it is kept decoded."""

    data: Data
    layout: LayoutName = ""
    extra: Annotated[
        list[str] | None, typer.Option(help="data set to train on too, never validated, such as pseudo labels")
    ] = None
    cache: Cache = DEFAULT_CACHE


@with_groups
def train(
    out: Annotated[
        Path,
        typer.Option(
            parser=read_path, metavar="FOLDER", help="folder of the checkpoint and the model; a training there goes on"
        ),
    ],
    given: Annotated[TrainingData, group_of(TrainingData)],
    assignments: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of a TrainConfig field")] = None,
    fold: Annotated[int, typer.Option(help="part to validate on")] = 0,
    *,
    division: GivenDivision,
    objective: Objective = "",
    machine: GivenMachine,
) -> None:
    """Train one fold and write the model; killed, it goes on after its last epoch when started again.

    The objective says whether an epoch was better, which stops a training with --set patience_epochs=N.
    """
    config = TrainConfig.from_assignments(tuple(assignments or ()))
    cache_root = resolve_folder("cache", given.cache)
    dataset = read_dataset(bring_shown(given.data, cache_root), given.layout)
    more = [bring_shown(folder, cache_root) for folder in given.extra or ()]
    metric = objective or default_objective(dataset.layout)
    require_metric(metric, dataset.classes)
    require_learnt(metric, config.labels, dataset.classes)
    # What cannot be divided is refused before anything is decoded; what images hold may change folds that are made.
    division.divide(dataset.cases).require_fold(fold)
    dataset.require_outside("--out", out)
    with _open_folder(out, config, metric) as checkpoint:
        if not checkpoint.exists():
            require_network(config, dataset.classes)
        warn_of_slow_cache(cache_root)
        with show_progress("decoding") as progress:
            pixels = prepare_caches(dataset, read_extra(dataset, more), cache_root, progress, print_plan)
        divided, findings = pass_gate(dataset, pixels, division)
        _tell_data(dataset, findings, divided)
        train_indices, valid_indices = divided.split(pixels.names, fold, pixels.extra_names)
        require_counted(metric, count_class_pixels(pixels, valid_indices), pixels.classes, fold)
        if warning := describe_known_images(config.weights, [pixels.names[index] for index in valid_indices]):
            warn(warning)
        if pixels.extra_names:
            console.print(f"{len(pixels.extra_names)} of {len(train_indices)} cases to train on are extra")
        trained_on = f"{pixels.key}, {name_training(divided, fold)}"
        state = _start(checkpoint, config, pixels.classes, machine, trained_on, metric)
        begun_after = state.epoch
        if machine.on_gpu:
            keep_compiled(cache_root)
        _train(state, pixels, (train_indices, valid_indices), machine, checkpoint)
        if state.epoch == begun_after and _is_written(out / "model", state):
            console.print(f"nothing was left to train; the model stays as it is: {out / 'model'}", soft_wrap=True)
            return
        _write_model(out / "model", state, pixels, divided, fold)


def _train(
    state: TrainState, pixels: PixelCache, split: tuple[list[int], list[int]], machine: Machine, checkpoint: Path
) -> None:
    """Train to the end, saving and showing each epoch."""
    parts, begun_after = state.micro_batches, state.epoch
    with show_progress("training", total=state.config.epochs, done=state.epoch) as progress:
        for result in train_epochs(state, pixels, *split, machine, saved=checkpoint):
            save_state(state, checkpoint)
            parts = _tell_parts(result, parts)
            for note in (result.loading_note, result.compile_note):
                if note and result.epoch == begun_after + 1:
                    warn(note)
            console.print(_describe(result, state.metric), soft_wrap=True)
            progress(result.epoch, state.config.epochs)


def _tell_data(dataset: DataSet, findings: Findings, divided: FoldSplit) -> None:
    for text, warns in describe_findings(dataset, findings):
        console.print(text, style="yellow" if warns else None, soft_wrap=True)
    console.print(describe_division(dataset.cases, divided), soft_wrap=True)


def _write_model(model: Path, state: TrainState, pixels: PixelCache, divided: FoldSplit, fold: int) -> None:
    members = member_weights(state)
    notes: dict[str, object] = {"fold": fold, "folds": divided.folds, "split": divided.kind}
    notes |= {"left_out": [fold] * len(members), "metric": state.metric, "scores": state.scores}
    if pixels.extra_names:
        notes["extra"] = list(pixels.extra_names)
    save_ensemble(model, iter(members), config=state.config, classes=pixels.classes, notes=notes, split=divided)
    console.print(f"model: {model}", soft_wrap=True)


def fields() -> None:
    """List every hyperparameter and setting of a training: what --set and a search space may name."""
    table = Table("field", "default", "allowed", "meaning", box=box.SIMPLE)
    table.columns[0].no_wrap = True
    for column in table.columns:
        column.overflow = "fold"
    for row in describe_fields():
        table.add_row(*row)
    console.print(table)


@contextmanager
def _open_folder(out: Path, config: TrainConfig, metric: str) -> Iterator[Path]:
    """Make the folder of a training, keep others out, and yield its checkpoint, which is of this training if any."""
    make_folder(out)
    lock = FileLock(out / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CheckpointError(
            f"--out {out} is in use by another training; wait until it is done, or choose another folder."
        ) from None
    except OSError as error:
        raise StorageError(f"{lock.lock_file} {explain_unwritten(error)}.") from error
    try:
        require_model_place(out / "model")
        checkpoint = out / "state.pt"
        if checkpoint.exists():
            require_same_training(checkpoint, config, metric)
        yield checkpoint
    finally:
        lock.release()


def _start(
    file: Path, config: TrainConfig, classes: ClassTable, machine: Machine, data: str, metric: str
) -> TrainState:
    if file.exists():
        state = load_state(file, config, machine, data, metric)
        console.print(f"going on after epoch {state.epoch}")
        return state
    state = new_state(config, build_label_map(classes, config.labels).outputs, machine, data, metric)
    if fit := describe_fit(state.model.network, config):
        console.print(fit, soft_wrap=True)
    return state


def _is_written(model: Path, state: TrainState) -> bool:
    try:
        noted = read_ensemble_notes(model).get("notes", {})
    except CheckpointError:
        return False
    # A training that was killed between its last checkpoint and its model may have an older model.
    return bool(noted.get("scores", noted.get("ious")) == state.scores)


def _tell_parts(result: EpochResult, parts: int) -> int:
    if result.micro_batches > parts:
        warn(
            f"the device ran out of memory; batches of {result.batch_size} go through it in {result.micro_batches} "
            "parts from here on, with their gradients added"
        )
    return result.micro_batches


def _describe(result: EpochResult, metric: str) -> str:
    shown = {name: value for name, value in result.metrics.items() if "/" not in name or name == metric}
    scores = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
    seconds = result.train_seconds + result.validation_seconds
    in_tiles = "  validated in tiles: the device is too small for whole images" if result.validated_in_tiles else ""
    return f"epoch {result.epoch}: loss {result.train_loss:.4f}  {scores}  {seconds:.1f} s{in_tiles}"
