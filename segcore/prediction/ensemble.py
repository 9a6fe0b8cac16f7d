"""The finished model: one directory with the weights of every fold, the classes and the configuration.

    MODEL/ensemble.json           format, classes, configuration, members, prediction options
    MODEL/member_0.safetensors    weights and normalisation of one network, and so on, see `member_files`
    MODEL/folds.json              which image was left out in which fold; the notes say which fold each member left out

Training states live in `state`; this is what is left when training is over.
"""

import dataclasses
import itertools
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
import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.data.classes import ClassTable, class_table_from_json, class_table_to_json
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.data.labels import build_label_map
from segcore.errors import CheckpointError, StorageError, StreetError
from segcore.machine import Machine
from segcore.networks.model import SegmentationModel
from segcore.prediction.components import find_outputs, name_outputs, remove_small
from segcore.prediction.member_files import MemberWeights, describe_members, load_member, read_format, write_members
from segcore.prediction.memory import name_prediction_memory_errors
from segcore.prediction.options import PredictOptions
from segcore.prediction.predict import DEFAULT_OPTIONS, average_probabilities, find_greatest

FOLDS_FILE: Final = "folds.json"
ENSEMBLE_FILE: Final = "ensemble.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One network of an ensemble.

    Args:
        network: in evaluation mode, on the machine's device.
        config: how it was trained, and so how it sees an image.
        weight: how often it counts, at least 1.
    """

    network: SegmentationModel
    config: TrainConfig
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Networks whose probabilities are averaged; all of them tell the same classes apart.

    Args:
        classes: the classes that they tell apart.
        members: the networks, at least one; those of one configuration stand together.
        class_of_output: class index of each network output, on the device.
        machine: where they are.
        options: how they look at an image.
    """

    classes: ClassTable
    members: tuple[Member, ...]
    class_of_output: Tensor
    machine: Machine
    options: PredictOptions = DEFAULT_OPTIONS

    @property
    def configs(self) -> tuple[TrainConfig, ...]:
        """The configurations, each once, in the order of their members."""
        return tuple(config for config, _ in self._groups())

    @property
    def config(self) -> TrainConfig:
        """The first configuration; `labels` is the same in all of them."""
        return self.members[0].config

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

        The networks stay on the device, but predict one after the other into one sum: memory beside their weights
        is that of one image in one network, however many there are, and of one more sum where configurations differ.

        Raises:
            DeviceMemoryError: when that is too much.
        """
        height, width = image_HW3.shape[:2]
        total_CHW = None
        with name_prediction_memory_errors(self.options, (height, width), self.machine):
            for config, members in self._groups():
                networks, weights = [each.network for each in members], [each.weight for each in members]
                mean_CHW = average_probabilities(networks, image_HW3, config, self.machine, self.options, weights)
                if len(members) == len(self.members):
                    return mean_CHW
                part_CHW = mean_CHW.mul_(sum(weights))
                total_CHW = part_CHW if total_CHW is None else total_CHW.add_(part_CHW)
        assert total_CHW is not None, "an ensemble has at least one network"
        return total_CHW.div_(sum(member.weight for member in self.members))

    def predict(self, image_HW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the class index of each pixel of an RGB image; 255 where no class was learnt.

        Small components are gone where the options say so.

        Raises:
            DeviceMemoryError: as `probabilities`.
        """
        classes_HW: npt.NDArray[np.uint8] = self.predict_on_device(image_HW3).cpu().numpy()
        return classes_HW

    @torch.inference_mode()
    def predict_on_device(self, image_HW3: npt.NDArray[np.uint8]) -> Tensor:
        """Return what `predict` returns, on the device, which a GPU may still be computing.

        Raises:
            DeviceMemoryError: as `probabilities`.
        """
        height, width = image_HW3.shape[:2]
        probabilities_CHW = self.probabilities(image_HW3)
        with name_prediction_memory_errors(self.options, (height, width), self.machine):
            greatest_HW = find_greatest(probabilities_CHW)
            if self.options.least_areas:
                outputs = find_outputs(self.options.least_areas, name_outputs(self.classes, self.config.labels))
                greatest_HW = remove_small(greatest_HW, probabilities_CHW, outputs)
            return self.class_of_output[greatest_HW]

    def _groups(self) -> list[tuple[TrainConfig, tuple[Member, ...]]]:
        grouped = itertools.groupby(self.members, key=lambda member: member.config)
        return [(config, tuple(members)) for config, members in grouped]


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
    """Write an ensemble's directory; an older one in its place is replaced when the new one is whole.

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
        StorageError: when it cannot be written.
    """
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


def _replace(folder: Path, part: Path) -> None:
    """Put a whole directory in the place of an older one; killed in between, there is the old one, none or the new."""
    old = folder.with_name(f"{folder.name}.old.part")
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


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
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig"))
        return read_format(document)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{folder} is no model directory ({error}); give one that 'python -m search retrain' or "
            "'python -m segcore train --out' made."
        ) from error


def _write_document(folder: Path, document: dict[str, Any]) -> None:
    temporary = folder / f"ensemble.{os.getpid()}.tmp"
    try:
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        temporary.replace(folder / ENSEMBLE_FILE)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{folder} cannot be written ({error}); make room or copy the model elsewhere.") from error
