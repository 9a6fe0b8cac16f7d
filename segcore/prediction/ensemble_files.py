"""The finished model on disk: one directory with the weights of every fold, the classes and the configuration.

    MODEL/ensemble.json           format, classes, configuration, members, prediction options
    MODEL/member_0.safetensors    weights and normalisation of one network, and so on, see `member_files`
    MODEL/folds.json              which image was left out in which fold; the notes say which fold each member left out

How its networks predict together lives in `ensemble`; training states in `state`.
"""

import filecmp
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import safetensors
import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.data.classes import ClassTable, class_table_from_json, class_table_to_json
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.data.labels import build_label_map
from segcore.errors import CheckpointError, StorageError, StreetError
from segcore.machine import Machine
from segcore.prediction.components import find_outputs, name_outputs
from segcore.prediction.ensemble import Ensemble, Member
from segcore.prediction.member_files import MemberWeights, describe_members, load_member, read_format, write_members
from segcore.prediction.options import PredictOptions
from segcore.prediction.predict import DEFAULT_OPTIONS
from segcore.regular import read_regular
from segcore.replacing import replacing

FOLDS_FILE: Final = "folds.json"
ENSEMBLE_FILE: Final = "ensemble.json"


def save_ensemble(
    folder: Path,
    members: Iterator[dict[str, Tensor]],
    *,
    config: TrainConfig,
    classes: ClassTable,
    notes: dict[str, Any],
    split: FoldSplit | None = None,
    options: PredictOptions = DEFAULT_OPTIONS,
) -> None:
    """Write the directory of an ensemble of one configuration whose networks count alike; see `save_members`.

    Args:
        folder: the directory.
        members: weights of each network, one in memory at a time.
        config: how they were trained.
        classes: what they tell apart.
        notes: as of `save_members`.
        split: the folds of the images, kept in `folds.json`.
        options: how the ensemble predicts unless told otherwise.

    Raises:
        StorageError: when it cannot be written.
    """
    alike = (MemberWeights(tensors=tensors, config=config) for tensors in members)
    save_members(folder, alike, classes=classes, notes=notes, split=split, options=options)


def save_members(
    folder: Path,
    members: Iterator[MemberWeights],
    *,
    classes: ClassTable,
    notes: dict[str, Any],
    split: FoldSplit | None = None,
    options: PredictOptions = DEFAULT_OPTIONS,
    half: bool = False,
) -> None:
    """Write an ensemble's directory; only an older one in its place is replaced, when the new one is whole.

    One of the very networks gets the notes, and keeps the way of predicting that was found for it meanwhile.

    Args:
        folder: the directory.
        members: what to write, one in memory at a time; those of one configuration one after the other.
        classes: what they tell apart.
        notes: kept in `ensemble.json` for a reader, such as the score out of fold; `left_out` names the fold that
            each member left out. They are read after the last member.
        split: the folds of the images, kept in `folds.json`.
        options: how the ensemble predicts unless told otherwise.
        half: whether weights are rounded to 16 bits, for half the size.

    Raises:
        StorageError: when it cannot be written, or something else is there.
    """
    require_model_place(folder)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        written = write_members(part, members, half=half)
        document = {
            **written,
            "classes": class_table_to_json(classes),
            "predict": options.values(),
            "notes": notes,
        }
        if split is not None:
            write_folds(split, part / FOLDS_FILE)
        (part / ENSEMBLE_FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")
        _replace(folder, part)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StorageError(
            f"The model {folder} cannot be written ({error}); make room or choose another folder."
        ) from error


def require_model_place(folder: Path) -> None:
    """Refuse to write a model where something else is, which would be deleted.

    Args:
        folder: the model's directory; a new or empty one, or that of a model, which is replaced.

    Raises:
        StorageError: when it holds anything else, or is no folder.
    """
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / ENSEMBLE_FILE).is_file():
        raise StorageError(f"{folder} is to become the model, and something else is there; choose another folder.")


def _replace(folder: Path, part: Path) -> None:
    """Put a whole directory in the place of an older one; killed in between, there is the old one, none or the new."""
    old = folder.with_name(f"{folder.name}.old.part")
    shutil.rmtree(old, ignore_errors=True)
    if (options := _find_options(folder, part)) is not None:
        _write_document(folder, {**read_ensemble_notes(part), "predict": options})
        shutil.rmtree(part)
        return
    if folder.is_dir():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _find_options(folder: Path, part: Path) -> dict[str, Any] | None:
    """Return how a directory predicts that has the very networks of another; None where it has not, or is damaged."""
    new = read_ensemble_notes(part)
    try:
        old = read_ensemble_notes(folder)
        options: dict[str, Any] = old["predict"]
        PredictOptions.from_values(options)
        others = [file.name for file in part.iterdir() if file.name != ENSEMBLE_FILE]
        alike = all(filecmp.cmp(part / name, folder / name, shallow=False) for name in others)
        return options if alike and {**old, "predict": {}, "notes": {}} == {**new, "predict": {}, "notes": {}} else None
    except (KeyError, TypeError, ValueError, OSError, StreetError):
        return None


def load_ensemble(folder: Path, machine: Machine) -> Ensemble:
    """Read an ensemble onto a device; it predicts with the options in `ensemble.json`, or the defaults.

    Raises:
        CheckpointError: when the directory is missing, damaged or no ensemble.
    """
    document = read_ensemble_notes(folder)
    try:
        options = PredictOptions.from_values(document.get("predict", {}))
        classes = class_table_from_json(document["classes"])
        described = describe_members(document)
        label_map = build_label_map(classes, described[0].config.labels)
        find_outputs(options.least_areas, name_outputs(classes, described[0].config.labels))
        members = tuple(
            Member(
                network=load_member(folder / Path(each.file).name, each.config, label_map.outputs, machine),
                config=each.config,
                weight=each.weight,
            )
            for each in described
        )
    except (KeyError, TypeError, ValueError, StreetError) as error:
        raise CheckpointError(f"{folder} cannot be used as a model: {error}") from error
    return Ensemble(
        classes=classes,
        members=members,
        class_of_output=torch.from_numpy(label_map.class_of_output).to(machine.device),
        machine=machine,
        options=options,
    )


def save_options(folder: Path, options: PredictOptions) -> None:
    """Make options those that an ensemble predicts with; its `ensemble.json` is the old one or the new one, whole.

    Raises:
        CheckpointError: when the directory is no ensemble.
        StorageError: when it cannot be written.
    """
    _write_document(folder, {**read_ensemble_notes(folder), "predict": options.values()})


def save_note(folder: Path, name: str, value: str) -> None:
    """Write a note into an ensemble's `ensemble.json`, in place of one of that name.

    Raises:
        CheckpointError: when the directory is no ensemble.
        StorageError: when it cannot be written.
    """
    document = read_ensemble_notes(folder)
    _write_document(folder, {**document, "notes": {**document.get("notes", {}), name: value}})


def read_ensemble_notes(folder: Path) -> dict[str, Any]:
    """Return the content of `ensemble.json`.

    Raises:
        CheckpointError: when it is missing or damaged.
    """
    file = folder / ENSEMBLE_FILE
    try:
        document: dict[str, Any] = json.loads(read_regular(file).decode("utf-8-sig"))
        return read_format(document)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        inside = next((f"{found.parent} is one; " for found in sorted(folder.glob(f"*/{ENSEMBLE_FILE}"))), "")
        raise CheckpointError(
            f"{folder} is no model directory ({error}); {inside}give one that 'python -m search retrain' or "
            "'python -m segcore train --out' made."
        ) from error


def _write_document(folder: Path, document: dict[str, Any]) -> None:
    try:
        with replacing(folder / ENSEMBLE_FILE) as temporary:
            temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder} cannot be written ({error}); make room or copy the model elsewhere.") from error
