"""Reads a data-set folder, whatever its layout, decodes its cases, and finds everything that is wrong with it.

Which layouts there are lives in `sources`, decoding a file in `decoding` and `encoding`; keeping what was decoded lives
in `cache`, counting it for a person in `check`.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.case import Case, DataSet
from segcore.data.decoding import decode_rgb, share_memory
from segcore.data.listing import broken_folder, unreadable_folder
from segcore.data.sources.layouts import find_layout
from segcore.errors import DataError

_UNLIKE: Final = "; save the mask at the image's size, resized by its nearest pixels"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedCase:
    """Pixels of one case: RGB image (H, W, 3) and class indices (H, W), both uint8."""

    image_HW3: npt.NDArray[np.uint8]
    mask_HW: npt.NDArray[np.uint8]


def read_dataset(folder: Path, layout: str = "") -> DataSet:
    """List a data-set folder and read its annotations; pixels are read only if something is wrong.

    Args:
        folder: the data-set folder.
        layout: a name in `sources.layouts`; empty: recognised.

    Raises:
        ConfigError: when there is no such layout.
        DataError: with every problem of the folder, those in pixels included.
    """
    dataset, problems = scan_dataset(folder, layout)
    if problems:
        problems += [line for _, line in find_pixel_problems(dataset)]
        raise broken_folder(folder, problems)
    return dataset


def scan_dataset(folder: Path, layout: str = "") -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder and the problems that show without decoding pixels.

    Args:
        folder: the data-set folder.
        layout: a name in `sources.layouts`; empty: recognised.

    Raises:
        ConfigError: when there is no such layout.
        DataError: when the folder has no known layout or may not be read, or what describes it cannot be used.
    """
    try:
        return find_layout(folder, layout).scan(folder)
    except OSError as error:
        raise unreadable_folder(folder, error) from error


def find_pixel_problems(dataset: DataSet) -> Iterator[tuple[Case, str]]:
    """Decode every case and yield each problem found, in the order of the cases."""

    def decode(case: Case) -> tuple[str, ...]:
        try:
            with share_memory(case.image, case.mask):
                decode_case(case)
        except DataError as error:
            return error.problems
        return ()

    with ThreadPoolExecutor() as pool:
        for case, problems in zip(dataset.cases, pool.map(decode, dataset.cases), strict=True):
            yield from ((case, problem) for problem in problems)


def decode_case(case: Case) -> DecodedCase:
    """Decode image and mask of a case.

    Raises:
        DataError: naming file and problem, one line each.
    """
    problems: list[str] = []
    image_HW3 = _note_problems(decode_rgb, case.image, problems)
    mask_HW = _note_problems(case.encoding.decode, case.mask, problems)
    if image_HW3 is not None and mask_HW is not None and image_HW3.shape[:2] != mask_HW.shape:
        lying = image_HW3.shape[:2] == mask_HW.shape[::-1]
        problems.append(
            f"{case.mask.name}: {_size(mask_HW)} pixels, but {case.image.name} has {_size(image_HW3)}"
            + ("; images are turned upright by their EXIF orientation: turn the mask too" if lying else _UNLIKE)
        )
    if problems or image_HW3 is None or mask_HW is None:
        raise DataError(f"{case.name} cannot be used:", problems)
    return DecodedCase(image_HW3=image_HW3, mask_HW=mask_HW)


def _note_problems(
    decode: Callable[[Path], npt.NDArray[np.uint8]], file: Path, problems: list[str]
) -> npt.NDArray[np.uint8] | None:
    try:
        return decode(file)
    except DataError as error:
        problems += error.problems or (str(error),)
        return None


def _size(pixels: npt.NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
