"""Writes the objects of a COCO file as a data set of index masks, whole or not at all.

    OUT/images/NAME.jpg     the image, linked where the disk allows it
    OUT/masks/NAME.png      0 where there is no object, its class's number else; 255 is void
    OUT/dataset.json        what it all means, see `sources.description`

An area of objects that nobody told apart (`iscrowd`) lies below all others; of other objects the smaller lies on top.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.caching.cache import Progress
from segcore.data.classes import VOID
from segcore.data.coco.annotations import CocoFile, CocoImage, CocoObject, CocoRuns, Identity, read_coco, tell_first
from segcore.data.coco.shapes import Pixels, draw_polygons, draw_runs
from segcore.data.colours import BLACK, choose_colours
from segcore.data.decoding import read_size, share_memory
from segcore.data.new_folder import link_or_copy, new_folder
from segcore.data.picture_files import fill_palette, save_index_png
from segcore.data.sources.description import DESCRIPTION_FILE, format_description
from segcore.errors import DataError

IMAGES_FOLDER: Final = "images"
_MASKS_FOLDER: Final = "masks"

Crowd = Literal["void", "class"]
"""What an area of objects that nobody told apart is: void, or of its class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoReport:
    """What was written.

    Args:
        names: class name of each number in masks.
        images: how many images.
        blank: how many of them have no object.
        objects: objects by class name, crowds too.
        void: names of categories that count nowhere.
        crowds: how many areas are crowds.
        vanished: how many objects have no pixel: too small, or hidden by smaller ones.
        overlapping: pixels that belong to more than one object.
    """

    names: dict[int, str]
    images: int
    blank: int
    objects: dict[str, int]
    void: tuple[str, ...]
    crowds: int
    vanished: int
    overlapping: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    mask_HW: npt.NDArray[np.uint8]
    vanished: int
    overlapping: int


def import_coco(annotations: Path, images: Path, out: Path, crowd: Crowd, progress: Progress) -> CocoReport:
    """Write the objects of a COCO file as a data set of index masks.

    Args:
        annotations: the COCO file.
        images: the folder that its file names start from.
        out: the data-set folder to make; it must not exist or be empty.
        crowd: what crowds are.
        progress: called with (images done, images in all).

    Raises:
        DataError: with every problem of the file, its images and its outlines.
        StorageError: when the folder holds something already or cannot be written.
    """
    content = read_coco(annotations)
    with new_folder(out) as part:
        measured, problems = _measure_images(content.images, images)
        if problems:
            raise DataError(
                f"{annotations} and {images} do not fit together, {count_words(len(problems), 'problem')}:",
                tell_first(problems),
            )
        return _write(replace(content, images=measured), images, part, crowd, progress)


def _measure_images(images: Sequence[CocoImage], folder: Path) -> tuple[tuple[CocoImage, ...], list[str]]:
    """Return the images with the sizes that they have, and those that have another by the file, or cannot be read."""

    def measure(image: CocoImage) -> CocoImage | str:
        try:
            height, width = read_size(folder / image.file_name)
        except DataError as error:
            return str(error)
        # What made the file may not have known the size.
        if (image.height or height, image.width or width) == (height, width):
            return replace(image, height=height, width=width)
        told = f"{image.file_name}: has {width}x{height} pixels, upright, and {image.width}x{image.height} by the file"
        return f"{told}; outlines would not fit it"

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(measure, images))
    problems = [result for result in results if isinstance(result, str)]
    return tuple(result for result in results if isinstance(result, CocoImage)), problems


def _write(content: CocoFile, images: Path, out: Path, crowd: Crowd, progress: Progress) -> CocoReport:
    numbers, names = content.number_of_category, content.names
    colours = [BLACK, *choose_colours(len(names) - 1, (BLACK,))]
    palette_N3 = fill_palette(colours)
    objects_of: dict[Identity, list[CocoObject]] = defaultdict(list)
    for one in content.annotations:
        objects_of[one.image_id].append(one)

    def write(image: CocoImage) -> _Drawn | list[str]:
        try:
            with share_memory(images / image.file_name):
                drawn = _draw(image, objects_of[image.id], numbers, crowd)
                file = out / _MASKS_FOLDER / PurePosixPath(image.file_name).with_suffix(".png")
                file.parent.mkdir(parents=True, exist_ok=True)
                save_index_png(drawn.mask_HW.astype(np.uint16), palette_N3, file)
        except DataError as error:
            return list(error.problems)
        _place(images / image.file_name, out / IMAGES_FOLDER / image.file_name)
        return drawn

    problems: list[str] = []
    vanished = overlapping = 0
    with ThreadPoolExecutor() as pool:
        for done, drawn in enumerate(pool.map(write, content.images), start=1):
            if isinstance(drawn, _Drawn):
                vanished += drawn.vanished
                overlapping += drawn.overlapping
            else:
                problems += drawn
            progress(done, len(content.images))
    if problems:
        raise DataError(f"{count_words(len(problems), 'outline')} cannot be drawn:", tell_first(problems))
    if vanished == len(content.annotations) > 0:
        raise DataError(
            f"None of the {vanished} objects has a pixel: all lie outside of their images, or enclose nothing; "
            "outlines are in pixels from the upper left corner."
        )
    (out / DESCRIPTION_FILE).write_text(format_description(_describe(names, colours)), encoding="utf-8")
    counts = Counter(names[number] for one in content.annotations if (number := numbers[one.category_id]) in names)
    return CocoReport(
        names=names,
        images=len(content.images),
        blank=sum(not objects_of[image.id] for image in content.images),
        objects={name: counts[name] for name in names.values()},
        void=content.void,
        crowds=sum(one.iscrowd for one in content.annotations),
        vanished=vanished,
        overlapping=overlapping,
    )


def _draw(image: CocoImage, objects: Sequence[CocoObject], numbers: dict[Identity, int], crowd: Crowd) -> _Drawn:
    sizes: list[int] = []
    problems = []
    for one in objects:
        try:
            sizes.append(int(_draw_object(one, image).sum()))
        except DataError as error:
            problems.append(f"{image.file_name}: annotation {one.id} of category {one.category_id}: {error}")
    if problems:
        raise DataError(f"{image.file_name} cannot be drawn:", problems)
    mask_HW, owner_HW, times_HW = (
        np.zeros((image.height, image.width), kind) for kind in (np.uint8, np.uint32, np.uint32)
    )
    # Crowds first, then the large; where both are equal, in the file's order.
    order = sorted(range(len(objects)), key=lambda place: (not objects[place].iscrowd, -sizes[place]))
    for place in order:
        one = objects[place]
        # Drawn anew: all objects of a large image at once would fill the memory.
        pixels_HW = _draw_object(one, image)
        mask_HW[pixels_HW] = VOID if one.iscrowd and crowd == "void" else numbers[one.category_id]
        owner_HW[pixels_HW] = place + 1
        times_HW += pixels_HW
    seen = int(np.count_nonzero(np.unique(owner_HW)))
    return _Drawn(mask_HW=mask_HW, vanished=len(objects) - seen, overlapping=int((times_HW > 1).sum()))


def _draw_object(one: CocoObject, image: CocoImage) -> Pixels:
    if not one.segmentation and one.area != 0:
        raise DataError(
            "it has no outline, perhaps a box alone, from which no mask can be drawn; outline it, or take it out"
        )
    parts = one.segmentation or ()
    polygons = [part for part in parts if not isinstance(part, CocoRuns)]
    pixels_HW = draw_polygons(polygons, image.height, image.width)
    for part in parts:
        if isinstance(part, CocoRuns):
            pixels_HW |= draw_runs(part.counts, part.size, image.height, image.width)
    return pixels_HW


def _place(image: Path, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(image, file)


def _describe(names: dict[int, str], colours: Sequence[tuple[int, int, int]]) -> dict[str, object]:
    return {
        "images": f"{IMAGES_FOLDER}/**/{{name}}.*",
        "masks": f"{_MASKS_FOLDER}/**/{{name}}.png",
        "encoding": "index",
        "classes": [
            {"name": name, "ids": [number], "rgb": list(colours[number])} for number, name in sorted(names.items())
        ],
        "void": [VOID],
    }
