"""Smaller copies of a data set, which small trainings are recorded on: `python -m benchmarks.quality shrink`.

Only the contest's layout, which drawn streets have too.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2

from segcore.data.sources.contest import ANNOTATIONS_FOLDER, IMAGES_FOLDER, is_contest
from segcore.errors import DataError


def main(words: Sequence[str]) -> None:
    """Write the copy that a command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality shrink", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data-set folder in the contest's layout")
    parser.add_argument("--factor", type=int, default=2, help="how many times smaller an image's sides become")
    parser.add_argument("--out", type=Path, required=True, help="folder of the copy, which must not exist")
    arguments = parser.parse_args(words)
    if arguments.factor < 1:
        parser.error(f"--factor {arguments.factor}: give at least 1")
    shrink(arguments.data, arguments.factor, arguments.out)


def shrink(data: Path, factor: int, out: Path) -> None:
    """Copy a data set with smaller images.

    A pixel of an image is the mean of those that it stands for, one of a mask is one of them.

    Args:
        data: folder in the contest's layout.
        factor: how many times smaller the sides become; what is left over at the right and below is squeezed in.
        out: folder of the copy; images are PNG files.

    Raises:
        DataError: when the folder has another layout, or there is a copy.
    """
    if not is_contest(data):
        raise DataError(f"{data} has no {IMAGES_FOLDER}/; give a folder in the contest's layout.")
    if out.exists():
        raise DataError(f"{out} exists; give a folder that does not.")
    for name in (IMAGES_FOLDER, ANNOTATIONS_FOLDER):
        (out / name).mkdir(parents=True)
    for file in data.glob("classes.json"):
        shutil.copy(file, out)
    for file in sorted((data / IMAGES_FOLDER).iterdir()):
        _shrink_file(file, factor, out / IMAGES_FOLDER / f"{file.stem}.png", cv2.INTER_AREA)
    for file in sorted((data / ANNOTATIONS_FOLDER).iterdir()):
        if file.suffix == ".json":
            shutil.copy(file, out / ANNOTATIONS_FOLDER)
        else:
            _shrink_file(file, factor, out / ANNOTATIONS_FOLDER / file.name, cv2.INTER_NEAREST)


def _shrink_file(file: Path, factor: int, out: Path, interpolation: int) -> None:
    image_HW3 = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image_HW3 is None:
        raise DataError(f"{file} is no image; see 'python -m segcore check'.")
    height, width = image_HW3.shape[:2]
    cv2.imwrite(str(out), cv2.resize(image_HW3, (width // factor, height // factor), interpolation=interpolation))
