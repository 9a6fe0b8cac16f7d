"""Training data as a plain PyTorch data set has them: files decoded anew for every sample, no cache.

`read_indices` looks colours up in a table, as a competent user does; `read_one_hot` compares every pixel with every
colour, as the contest's solution does.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from segcore.data.case import Case
from segcore.data.classes import VOID, ClassTable

Image = npt.NDArray[np.uint8]
ReadMask = Callable[[Path], Image]
Transform = Callable[..., Mapping[str, Any]]


class FileStreets(Dataset[tuple[Tensor, Tensor]]):
    """Images and masks from their files, transformed by an albumentations pipeline that ends in tensors.

    Args:
        cases: the labelled images.
        read_mask: decodes a mask's file.
        transform: takes `image` and `mask`.
        target_type: type of the target, int64 for class indices, fp32 for one-hot masks.
    """

    def __init__(
        self, cases: Sequence[Case], read_mask: ReadMask, transform: Transform, target_type: torch.dtype
    ) -> None:
        self._cases = cases
        self._read_mask = read_mask
        self._transform = transform
        self._target_type = target_type

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        case = self._cases[index]
        sample = self._transform(image=read_rgb(case.image), mask=self._read_mask(case.mask))
        return sample["image"], sample["mask"].to(self._target_type)


def read_rgb(file: Path) -> Image:
    """Decode an image file to RGB."""
    image_HW3: Image = cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return image_HW3


def build_colour_table(classes: ClassTable) -> Image:
    """Return the class index of every 24-bit colour; void where the colour is in no class."""
    index_of_colour = np.full(1 << 24, VOID, np.uint8)
    for index, (red, green, blue) in enumerate(classes.colours):
        index_of_colour[red << 16 | green << 8 | blue] = index
    return index_of_colour


def read_indices(file: Path, index_of_colour: Image) -> Image:
    """Decode a colour mask to class indices (H, W) with the table of `build_colour_table`."""
    mask_HW3 = read_rgb(file).astype(np.int32)
    codes_HW = mask_HW3[..., 0] << 16 | mask_HW3[..., 1] << 8 | mask_HW3[..., 2]
    indices_HW: Image = index_of_colour[codes_HW]
    return indices_HW


def read_one_hot(file: Path, classes: ClassTable) -> Image:
    """Decode a colour mask to one mask per class (H, W, C) of 0 and 1."""
    mask_HW3 = read_rgb(file)
    masks = [np.all(mask_HW3 == np.array(colour, np.uint8), axis=-1) for colour in classes.colours]
    return np.stack(masks, axis=-1).astype(np.uint8)
