"""Puts masks together that a program wrote one for each class, as a data set of index masks, whole or not at all.

    DATA/images/a.jpg                   DATA/masks/car/a.png and DATA/masks/road/a.png, or a_car.png and a_road.png
    OUT/images/a.jpg                    the image, linked where the disk allows it
    OUT/index_masks/images/a.jpg.png    0 where no class is, its class's number else; 255 is void
    OUT/dataset.json                    what it all means, see `sources.description`

In a mask of one class black is everything else, and one other colour the class. Of classes that overlap the one with
fewer pixels in all masks lies on top, in every image alike; one that is called void counts nowhere, and lies above all.
Several masks of a class and image, as of its objects, are united.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.caching.cache import Progress
from segcore.data.classes import BACKGROUND, MOST_CLASSES, VOID, is_background, is_called_void
from segcore.data.coco.annotations import tell_first
from segcore.data.colours import BLACK, choose_colours
from segcore.data.decoding import read_mode, read_size, share_memory
from segcore.data.encoding import build_encoding
from segcore.data.new_folder import link_or_copy, new_folder
from segcore.data.picture_files import fill_palette, save_index_png
from segcore.data.sources.description import DESCRIPTION_FILE, format_description
from segcore.data.sources.one_class import Labelled, find_labelled
from segcore.errors import DataError

_MASKS_FOLDER: Final = "index_masks"
_FEWEST: Final = 2
"""Classes of a data set."""

_Done = TypeVar("_Done")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMasksReport:
    """What was written.

    Args:
        names: class name of each number in masks.
        pixels: pixels of each number.
        images: how many images.
        images_of: how many of them have each number.
        void: names of classes that count nowhere.
        bare: images without any mask, which were left out.
        overlapping: pixels that belong to more than one class.
    """

    names: dict[int, str]
    pixels: Counter[int]
    images: int
    images_of: Counter[int]
    void: tuple[str, ...]
    bare: int
    overlapping: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    pixels: Counter[int]
    overlapping: int


def import_class_masks(folder: Path, images: str, masks: str, out: Path, progress: Progress) -> ClassMasksReport:
    """Write a data set of index masks from masks of one class each.

    Args:
        folder: the data set's.
        images: pattern of the images' paths, without fault.
        masks: pattern of the masks' paths, in which `{class}` is the name of the class, without fault.
        out: the data-set folder to make; it must not exist or be empty.
        progress: called with (images done, images in all), each image being read twice.

    Raises:
        DataError: with every mask that has no image, or cannot be read as one of one class.
        StorageError: when the folder holds something already or cannot be written.
        OSError: when a folder may not be read.
    """
    labelled, bare = find_labelled(folder, images, masks)
    classes = sorted({name for one in labelled for name in one.masks_of})
    numbers = _number(classes)
    steps = 2 * len(labelled)
    with new_folder(out) as part:
        counted = _for_each(_count, labelled, lambda done: progress(done, steps), "file")
        area = sum(counted, Counter[str]())
        if not area.total():
            raise DataError(f"{folder}: all masks of {masks} are black, which is everything else but their class.")
        # What is void in one mask is so whatever the others say.
        order = sorted(classes, key=lambda name: (numbers[name] == VOID, numbers[name] != 0, -area[name], name))
        names = {0: BACKGROUND} | {number: name for name, number in numbers.items() if number not in (0, VOID)}
        colours = [BLACK, *choose_colours(len(names) - 1, (BLACK,))]
        write = _writer(folder, part, [(name, numbers[name]) for name in order], fill_palette(colours))
        drawn = _for_each(write, labelled, lambda done: progress(len(labelled) + done, steps), "image")
        pixels = sum((one.pixels for one in drawn), Counter[int]())
        # A class that no pixel has would be predicted nowhere rightly, and lower the mean over the classes.
        if not pixels[0] and len(names) > _FEWEST:
            del names[0]
        content = _describe(images, names, colours)
        (part / DESCRIPTION_FILE).write_text(format_description(content), encoding="utf-8")
    return ClassMasksReport(
        names=names,
        pixels=pixels,
        images=len(labelled),
        images_of=Counter(number for one in drawn for number in one.pixels),
        void=tuple(name for name in classes if numbers[name] == VOID),
        bare=bare,
        overlapping=sum(one.overlapping for one in drawn),
    )


def _number(classes: Sequence[str]) -> dict[str, int]:
    """Return the number of each class in index masks: 0 for background, void's for what is called so, else from 1."""
    counted = [name for name in classes if not is_background(name) and not is_called_void(name)]
    if not 0 < len(counted) < MOST_CLASSES:
        raise DataError(
            f"The masks are of {count_words(len(counted), 'class', 'classes')} beside background and void, and there "
            f"may be 1 to {MOST_CLASSES - 1}: {{class}} has to stand where the names of classes are."
        )
    number_of = dict.fromkeys(classes, VOID) | {name: 0 for name in classes if is_background(name)}
    return number_of | {name: number for number, name in enumerate(counted, start=1)}


def _for_each(
    work: Callable[[Labelled], _Done], labelled: Sequence[Labelled], tell: Callable[[int], None], what: str
) -> list[_Done]:
    """Return what a work gives for each image, with every problem where there is one."""

    def attempt(one: Labelled) -> _Done | DataError:
        try:
            with share_memory(one.image, *chain(*one.masks_of.values())):
                return work(one)
        except DataError as error:
            return error

    results: list[_Done] = []
    problems: list[str] = []
    with ThreadPoolExecutor() as pool:
        for done, result in enumerate(pool.map(attempt, labelled), start=1):
            if isinstance(result, DataError):
                problems += result.problems or (str(result),)
            else:
                results.append(result)
            tell(done)
    if problems:
        raise DataError(f"{count_words(len(problems), what)} cannot be used:", tell_first(problems))
    return results


def _count(one: Labelled) -> Counter[str]:
    """Return the pixels of each class of an image."""
    size = read_size(one.image)
    problems: list[str] = []
    area = Counter[str]()
    for name, files in one.masks_of.items():
        try:
            area[name] = int(np.count_nonzero(_read_class(files, one.image, size)))
        except DataError as error:
            problems += [f"class {name!r}: {problem}" for problem in error.problems or (str(error),)]
    if problems:
        raise DataError(f"{one.image} cannot be used:", problems)
    return area


def _read_class(files: Sequence[Path], image: Path, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return where any mask of a class has it (H, W)."""
    pixels_HW = np.zeros(size, np.bool_)
    problems: list[str] = []
    for file in files:
        try:
            own_HW = _read_mask(file)
        except DataError as error:
            problems += error.problems or (str(error),)
            continue
        if own_HW.shape == size:
            pixels_HW |= own_HW
            continue
        problems.append(
            f"{file.name}: {_show_size(own_HW.shape)} pixels, but {image.name} has {_show_size(size)}; make both "
            "of one size"
        )
    if problems:
        raise DataError(f"{image} cannot be used:", problems)
    return pixels_HW


def _read_mask(file: Path) -> npt.NDArray[np.bool_]:
    """Return where the class of a mask is (H, W)."""
    mode = read_mode(file)[0]
    # Greys of 16 bits are no colours.
    encoding = build_encoding("index" if mode[0] in "1LIF" and mode != "LA" else "rgb", {})
    pixels = encoding.read_pixels(file)
    counts = encoding.count_codes(pixels)
    if len(counts.keys() - {0}) > 1 or (len(counts) > 1 and 0 not in counts):
        told = ", ".join(encoding.name_code(code) for code, _ in counts.most_common(4))
        raise DataError(
            f"{file.name}: has {count_words(len(counts), 'value')} ({told}), and a mask of one class has black and one "
            "other; save it so, as PNG without smoothing"
        )
    return np.asarray(pixels.any(axis=2) if pixels.ndim > 2 else pixels > 0, np.bool_)


def _writer(
    folder: Path, out: Path, order: Sequence[tuple[str, int]], palette_N3: npt.NDArray[np.uint8]
) -> Callable[[Labelled], _Drawn]:
    def write(one: Labelled) -> _Drawn:
        size = read_size(one.image)
        mask_HW = np.zeros(size, np.uint8)
        times_HW = np.zeros(mask_HW.shape, np.uint8)
        for name, number in order:
            if name in one.masks_of:
                pixels_HW = _read_class(one.masks_of[name], one.image, size)
                mask_HW[pixels_HW] = number
                times_HW += pixels_HW & (number != 0)
        below = one.image.relative_to(folder)
        (out / below).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(one.image, out / below)
        file = out / _MASKS_FOLDER / below.with_name(f"{below.name}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        save_index_png(mask_HW.astype(np.uint16), palette_N3, file)
        found, times = np.unique(mask_HW, return_counts=True)
        pixels = Counter(dict(zip(found.tolist(), times.tolist(), strict=True)))
        return _Drawn(pixels=pixels, overlapping=int((times_HW > 1).sum()))

    return write


def _describe(images: str, names: Mapping[int, str], colours: Sequence[tuple[int, int, int]]) -> dict[str, object]:
    return {
        "images": images,
        "masks": f"{_MASKS_FOLDER}/{images}.png",
        "encoding": "index",
        "classes": [{"name": name, "ids": [number], "rgb": list(colours[number])} for number, name in names.items()],
        "void": [VOID],
    }


def _show_size(size: tuple[int, ...]) -> str:
    return f"{size[1]}x{size[0]}"
