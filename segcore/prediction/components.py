"""Small components of a predicted class, and what becomes of them: their pixels take their next most probable class.

A speck of a class is rarely an object. From which area on a component stays is chosen for each class in `tune_clean`,
on images that the networks never saw, and kept with the model's options.
"""

from collections.abc import Mapping
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcore.data.classes import ClassTable
from segcore.data.labels import build_label_map
from segcore.errors import ConfigError
from segcore.scoring.confusion import BACKGROUND

_MILLION: Final = 1_000_000

Areas = Mapping[int, int]
"""Least area of a component by network output, in millionths of the image; outputs that are not in it keep all."""


def remove_small(greatest_HW: Tensor, probabilities_CHW: Tensor, least_areas: Areas) -> Tensor:
    """Return the outputs of an image's pixels without small components.

    All components are found in the given outputs, so that the order of the classes is no matter; what a pixel takes in
    place of its own output may form small components of another.

    Args:
        greatest_HW: most probable output of each pixel.
        probabilities_CHW: of each output and pixel, on the same device.
        least_areas: see `Areas`.
    """
    cleaned_HW = greatest_HW
    for output, millionths in least_areas.items():
        areas_HW = find_areas((greatest_HW == output).cpu().numpy())
        small = find_small(areas_HW, millionths)
        if not small.any():
            continue
        small_HW = torch.from_numpy(small).to(greatest_HW.device)
        cleaned_HW = torch.where(small_HW, find_next(probabilities_CHW, output), cleaned_HW)
    return cleaned_HW


def name_outputs(classes: ClassTable, labels: Literal["full", "scored"]) -> list[str]:
    """Return what each network output is called; that of all other classes is called background."""
    label_map = build_label_map(classes, labels)
    indices = label_map.class_of_output[: label_map.outputs].tolist()
    return [classes.names[index] if index < len(classes) else BACKGROUND for index in indices]


def find_outputs(least_areas: Mapping[str, int], names: list[str]) -> Areas:
    """Return least areas by output.

    Args:
        least_areas: by class name, millionths of the image.
        names: of the outputs.

    Raises:
        ConfigError: for a name that no output has.
    """
    if unknown := [name for name in least_areas if name not in names]:
        raise ConfigError(f"least_areas names {unknown[0]!r}, which is none of {', '.join(names)}; leave it out.")
    return {names.index(name): millionths for name, millionths in least_areas.items()}


def find_areas(mask_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return for each pixel the pixels of the component that it is in, touching corners included; 0 outside."""
    _, labels_HW, stats, _ = cv2.connectedComponentsWithStats(mask_HW.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int32)
    areas[0] = 0
    found: npt.NDArray[np.int32] = areas[labels_HW]
    return found


def find_small(areas_HW: npt.NDArray[np.int32], millionths: int) -> npt.NDArray[np.bool_]:
    """Return which pixels are in a component of less than so many millionths of the image."""
    least = millionths * areas_HW.size / _MILLION
    small: npt.NDArray[np.bool_] = (areas_HW > 0) & (areas_HW < least)
    return small


def find_next(probabilities_CHW: Tensor, output: int) -> Tensor:
    """Return the most probable output of each pixel beside one, int64 (H, W)."""
    others_CHW = probabilities_CHW.clone()
    others_CHW[output] = -1
    return others_CHW.max(dim=0).indices
