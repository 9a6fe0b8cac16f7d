"""Networks that predict together: the mean of their probabilities, on whole images at their own size.

How a model lies on disk is said in `ensemble_files`.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.data.classes import ClassTable
from segcore.machine import Machine
from segcore.networks.model import SegmentationModel
from segcore.prediction.components import find_outputs, name_outputs, remove_small
from segcore.prediction.memory import name_prediction_memory_errors
from segcore.prediction.options import PredictOptions
from segcore.prediction.predict import DEFAULT_OPTIONS, average_probabilities, find_greatest


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
