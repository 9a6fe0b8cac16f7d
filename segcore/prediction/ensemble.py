"""The finished model: one directory with the weights of every fold, the classes and the configuration.

    MODEL/ensemble.json           format, classes, configuration, members, prediction options
    MODEL/member_0.safetensors    weights and normalisation of one network, and so on
    MODEL/folds.json              which image was left out in which fold; the notes say which fold each member left out

Training states live in `state`; this is what is left when training is over.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from segcore.config import TrainConfig, translate_first_losses
from segcore.data.classes import ClassTable, class_table_from_json, class_table_to_json
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.data.labels import build_label_map
from segcore.errors import CheckpointError, StorageError, StreetError
from segcore.machine import Machine
from segcore.networks.fusion import fuse_normalisation
from segcore.networks.model import SegmentationModel, build_architecture
from segcore.prediction.memory import name_prediction_memory_errors
from segcore.prediction.options import PredictOptions
from segcore.prediction.predict import DEFAULT_OPTIONS, average_probabilities, find_greatest

FOLDS_FILE: Final = "folds.json"
ENSEMBLE_FILE: Final = "ensemble.json"
_FORMAT: Final = "street-ensemble-2"
_FORMAT_OF_FIRST_LOSSES: Final = "street-ensemble-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Networks of one configuration whose probabilities are averaged.

    Args:
        classes: the classes that they tell apart.
        config: how they were trained, and so how they see an image.
        members: the networks, in evaluation mode, on the machine's device.
        class_of_output: class index of each network output, on the device.
        machine: where they are.
        options: how they look at an image.
    """

    classes: ClassTable
    config: TrainConfig
    members: tuple[SegmentationModel, ...]
    class_of_output: Tensor
    machine: Machine
    options: PredictOptions = DEFAULT_OPTIONS

    def with_options(self, values: Mapping[str, object]) -> Self:
        """Return an ensemble of the same networks that predicts with some options changed.

        Args:
            values: names and values of `PredictOptions`; those left out stay.

        Raises:
            ConfigError: when an option is unknown or not allowed.
        """
        return dataclasses.replace(self, options=self.options.replaced(values))

    @torch.inference_mode()
    def probabilities(self, image_HW3: npt.NDArray[np.uint8]) -> Tensor:
        """Return the networks' mean probabilities (outputs, H, W) of an RGB image, fp32, on the device.

        Raises:
            DeviceMemoryError: when the device is too small.
        """
        height, width = image_HW3.shape[:2]
        with name_prediction_memory_errors(self.options, (height, width), self.machine):
            return average_probabilities(self.members, image_HW3, self.config, self.machine, self.options)

    @torch.inference_mode()
    def predict(self, image_HW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the class index of each pixel of an RGB image; 255 where no class was learnt.

        The networks stay on the device, but predict one after the other into one sum: memory beside their weights
        is that of one image in one network, however many there are.

        Raises:
            DeviceMemoryError: when that is too much.
        """
        height, width = image_HW3.shape[:2]
        with name_prediction_memory_errors(self.options, (height, width), self.machine):
            probabilities_CHW = average_probabilities(self.members, image_HW3, self.config, self.machine, self.options)
            classes_HW: npt.NDArray[np.uint8] = self.class_of_output[find_greatest(probabilities_CHW)].cpu().numpy()
        return classes_HW


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
    """Write an ensemble's directory; an older one in its place is replaced when the new one is whole.

    Args:
        folder: the directory.
        members: weights of each network, one in memory at a time.
        config: how they were trained.
        classes: what they tell apart.
        notes: kept in `ensemble.json` for a reader, such as the score out of fold; `left_out` names the fold that
            each member left out. They are read after the last member.
        split: the folds of the images, kept in `folds.json`.
        options: how the ensemble predicts unless told otherwise.

    Raises:
        StorageError: when it cannot be written.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        normalisation, files = _write_members(part, members)
        document = {
            "format": _FORMAT,
            "members": files,
            "config": config.values(),
            "classes": class_table_to_json(classes),
            "normalisation": normalisation,
            "predict": options.values(),
            "notes": notes,
        }
        if split is not None:
            write_folds(split, part / FOLDS_FILE)
        (part / ENSEMBLE_FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StorageError(
            f"The model {folder} cannot be written ({error}); make room or choose another folder."
        ) from error


def load_ensemble(folder: Path, machine: Machine) -> Ensemble:
    """Read an ensemble onto a device; it predicts with the options in `ensemble.json`, or the defaults.

    Raises:
        CheckpointError: when the directory is missing, damaged or no ensemble.
    """
    document = read_ensemble_notes(folder)
    try:
        config = TrainConfig.from_values(document["config"])
        options = PredictOptions.from_values(document.get("predict", {}))
        classes = class_table_from_json(document["classes"])
        label_map = build_label_map(classes, config.labels)
        members = tuple(
            _load_member(folder / Path(file).name, config, label_map.outputs, machine) for file in document["members"]
        )
        if not members:
            raise ValueError("it has no members")
    except (KeyError, TypeError, ValueError, StreetError) as error:
        raise CheckpointError(f"{folder} cannot be used as a model: {error}") from error
    return Ensemble(
        classes=classes,
        config=config,
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
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
        if document["format"] == _FORMAT_OF_FIRST_LOSSES:
            return {**document, "format": _FORMAT, "config": translate_first_losses(document["config"])}
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']!r}, not {_FORMAT!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{folder} is no model directory ({error}); give one that 'python -m search retrain' or "
            "'python -m segcore train --out' made."
        ) from error
    return document


def _write_document(folder: Path, document: dict[str, Any]) -> None:
    temporary = folder / f"ensemble.{os.getpid()}.tmp"
    try:
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        temporary.replace(folder / ENSEMBLE_FILE)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{folder} cannot be written ({error}); make room or copy the model elsewhere.") from error


def _write_members(folder: Path, members: Iterator[dict[str, Tensor]]) -> tuple[dict[str, list[float]], list[str]]:
    files = []
    for position, tensors in enumerate(members):
        files.append(f"member_{position}.safetensors")
        contiguous = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, folder / files[-1])
        normalisation = {"mean": contiguous["mean_3"].tolist(), "std": contiguous["std_3"].tolist()}
    return normalisation, files


def _load_member(file: Path, config: TrainConfig, outputs: int, machine: Machine) -> SegmentationModel:
    model = build_architecture(config, outputs)
    try:
        model.load_state_dict(safetensors.torch.load_file(file))
    except Exception as error:
        raise CheckpointError(f"{file} cannot be read ({type(error).__name__}: {error}).") from error
    model.eval()
    fuse_normalisation(model)
    return model.to(machine.device)
