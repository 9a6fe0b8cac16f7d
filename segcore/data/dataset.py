"""Reads a data-set folder in the contest's layout and finds everything that is wrong with it.

    DATA/seg_train_images/NAME.jpg           or .jpeg, .png, .tif, .tiff, .bmp, .webp
    DATA/seg_train_annotations/NAME.png      RGB colours of the class table
    DATA/seg_train_annotations/NAME.json     {"attributes": {"route", "timeofday", "pseudo"}, "frameIndex"}
    DATA/classes.json                        optional, see `classes`

Decoding a file lives in `decoding`, listing a folder in `listing`; keeping what was decoded lives in `cache`, counting
it for a person in `check`.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.data.case import Case
from segcore.data.classes import ClassTable, read_class_table
from segcore.data.decoding import IMAGE_SUFFIXES, decode_colours, decode_rgb, is_blurred_format, share_memory
from segcore.data.listing import (
    Annotations,
    broken_folder,
    find_annotations,
    find_images,
    name_of,
    unreadable_folder,
)
from segcore.data.names import find_name_fault
from segcore.errors import DataError

IMAGES_FOLDER: Final = "seg_train_images"
ANNOTATIONS_FOLDER: Final = "seg_train_annotations"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A readable data-set folder: its class table and its cases, sorted by name."""

    folder: Path
    classes: ClassTable
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedCase:
    """Pixels of one case: RGB image (H, W, 3) and class indices (H, W), both uint8."""

    image_HW3: npt.NDArray[np.uint8]
    mask_HW: npt.NDArray[np.uint8]


def read_dataset(folder: Path) -> DataSet:
    """List a data-set folder and read its annotations; pixels are read only if something is wrong.

    Args:
        folder: the data-set folder.

    Raises:
        DataError: with every problem of the folder, those in pixels included.
    """
    dataset, problems = scan_dataset(folder)
    if problems:
        problems += [line for _, line in find_pixel_problems(dataset)]
        raise broken_folder(folder, problems)
    return dataset


def scan_dataset(folder: Path) -> tuple[DataSet, list[str]]:
    """List the usable cases of a folder and the problems that show without decoding pixels.

    Raises:
        DataError: when the folder or its image folder is missing or may not be read, or `classes.json` cannot be used.
    """
    try:
        return _scan(folder)
    except OSError as error:
        raise unreadable_folder(folder, error) from error


def find_pixel_problems(dataset: DataSet) -> Iterator[tuple[Case, str]]:
    """Decode every case and yield each problem found, in the order of the cases."""

    def decode(case: Case) -> tuple[str, ...]:
        try:
            with share_memory(case.image, case.mask):
                decode_case(case, dataset.classes)
        except DataError as error:
            return error.problems
        return ()

    with ThreadPoolExecutor() as pool:
        for case, problems in zip(dataset.cases, pool.map(decode, dataset.cases), strict=True):
            yield from ((case, problem) for problem in problems)


def decode_case(case: Case, classes: ClassTable) -> DecodedCase:
    """Decode image and mask of a case.

    Raises:
        DataError: naming file and problem, one line each.
    """
    problems: list[str] = []
    image_HW3 = _note_problem(decode_rgb, case.image, problems)
    colours_HW3 = _note_problem(decode_colours, case.mask, problems)
    mask_HW = None
    if colours_HW3 is not None:
        try:
            mask_HW = classes.decode_mask(colours_HW3)
        except DataError as error:
            problems += [f"{case.mask.name}: {problem}" for problem in error.problems]
            if is_blurred_format(case.mask):
                problems.append(
                    f"{case.mask.name}: its content is JPEG, which changes colours at every border; make it again from "
                    "its source, as PNG"
                )
    if image_HW3 is not None and colours_HW3 is not None and image_HW3.shape != colours_HW3.shape:
        lying = image_HW3.shape[:2] == colours_HW3.shape[1::-1]
        problems.append(
            f"{case.mask.name}: {_size(colours_HW3)} pixels, but {case.image.name} has {_size(image_HW3)}"
            + ("; images are turned upright by their EXIF orientation: turn the mask too" if lying else "")
        )
    if problems or image_HW3 is None or mask_HW is None:
        raise DataError(f"{case.name} cannot be used:", problems)
    return DecodedCase(image_HW3=image_HW3, mask_HW=mask_HW)


def _scan(folder: Path) -> tuple[DataSet, list[str]]:
    images = folder / IMAGES_FOLDER
    if not images.is_dir():
        raise DataError(
            f"{folder} is no data set: it must be a folder with {IMAGES_FOLDER}/ and {ANNOTATIONS_FOLDER}/."
        )
    classes = read_class_table(folder)
    if not (folder / ANNOTATIONS_FOLDER).is_dir():
        # One line instead of two for each image.
        problem = f"{ANNOTATIONS_FOLDER}/ is missing: it must hold NAME.png and NAME.json for every image"
        return DataSet(folder=folder, classes=classes, cases=()), [problem]
    files, problems = find_images(images)
    annotations = find_annotations(folder / ANNOTATIONS_FOLDER)
    problems += annotations.problems
    cases = []
    for file in files:
        found = _read_case(file, annotations)
        if isinstance(found, Case):
            cases.append(found)
        else:
            problems += found
    problems += _find_orphans(annotations, {name_of(file) for file in files})
    if not files:
        problems.append(f"{IMAGES_FOLDER}/ has no image ({', '.join(IMAGE_SUFFIXES)})")
    return DataSet(folder=folder, classes=classes, cases=tuple(cases)), problems


def _read_case(image: Path, annotations: Annotations) -> Case | list[str]:
    name = name_of(image)
    mask = annotations.masks.get(name, annotations.folder / f"{name}.png")
    document = annotations.documents.get(name, annotations.folder / f"{name}.json")
    problems = [fault for file in (image, mask, document) if (fault := _find_file_fault(file))]
    if not document.is_file():
        return problems
    try:
        content = json.loads(document.read_text(encoding="utf-8-sig"))
        attributes = content["attributes"]
        case = Case(
            name=name,
            image=image,
            mask=mask,
            group=_text(attributes, "route"),
            condition=_text(attributes, "timeofday"),
            frame=_whole(content, "frameIndex"),
            pseudo=_flag(attributes, "pseudo"),
        )
    except KeyError as error:
        problems.append(f"{document.name}: {error.args[0]!r} is missing")
    except (ValueError, TypeError, RecursionError, OSError) as error:
        problems.append(f"{document.name}: cannot be read ({error or type(error).__name__})")
    return problems or case


def _text(attributes: dict[str, object], name: str) -> str:
    value = attributes[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is {value!r}, not a text")
    if fault := find_name_fault(value):
        raise ValueError(f"{name} {fault}")
    return value


def _whole(content: dict[str, object], name: str) -> int:
    value = content[name]
    if type(value) is not int:
        raise ValueError(f"{name} is {value!r}, not a whole number")
    return value


def _flag(attributes: dict[str, object], name: str) -> bool:
    value = attributes.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, not true or false")
    return value


def _find_file_fault(file: Path) -> str:
    if file.is_file():
        return ""
    return f"{file.name}: " + ("is no regular file; put a copy in its place" if file.exists() else "missing")


def _find_orphans(annotations: Annotations, names: set[str]) -> list[str]:
    masks = (mask for name, mask in annotations.masks.items() if name not in names and mask.suffix.lower() == ".png")
    return [f"{mask.name}: a mask without an image of that name in {IMAGES_FOLDER}/" for mask in masks]


def _note_problem(
    decode: Callable[[Path], npt.NDArray[np.uint8]], file: Path, problems: list[str]
) -> npt.NDArray[np.uint8] | None:
    try:
        return decode(file)
    except DataError as error:
        problems.append(str(error))
        return None


def _size(image_HW3: npt.NDArray[np.uint8]) -> str:
    return f"{image_HW3.shape[1]}x{image_HW3.shape[0]}"
