"""Whether masks may be of one class each, as many programs write them: `masks/car/a.png` beside `masks/road/a.png`, or
`a_car.png` beside `a_road.png`.

What one such mask calls nothing may be another's class, so whoever reads the masks of one class alone misreads them.
Putting them together lives in `class_masks`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segcore.data.names import find_name_fault, list_first
from segcore.data.sources.advice import class_masks_command
from segcore.data.sources.mask_values import MaskValues
from segcore.data.sources.match import Patterns
from segcore.data.sources.pairing import SHOWN_ENDINGS, SHOWN_FOLDERS
from segcore.data.sources.patterns import CLASS, NAME, count_letters, find_files, index_files, list_places, list_shared
from segcore.errors import DataError

_PLACE: Final = f"{{{CLASS}}}"
_WORD_AT_END: Final = re.compile(r"[^\W_]+$")
_NAME_AND_ENDING: Final = re.compile(rf"(.*\{{{NAME}\}})(.*[^\W_])(\.[^.]+)")
_OF_OBJECTS: Final = re.compile(r"(?<!\*)\*(?!\*).*\.")
"""A * that is not the suffix."""
_SHOWN: Final = frozenset((*SHOWN_FOLDERS, *(ending.removeprefix("_").lower() for ending in SHOWN_ENDINGS)))
_MOST_TOLD: Final = 50
_OF_ONE_CLASS: Final = 2
"""Values of a mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMasks:
    """Masks of the same images, of which folders or the ends of names may be called as their classes are.

    Args:
        images: pattern of the images' paths.
        masks: pattern of the masks' paths, with a `{class}`.
        classes: what it stands for, several.
    """

    images: str
    masks: str
    classes: tuple[str, ...]

    def describe(self, folder: Path) -> str:
        """Return how to put the masks together, for a person.

        Args:
            folder: of the data set.
        """
        return (
            f"if each is of one class ({list_first(self.classes)}), put them together: {class_masks_command(folder)} "
            f"--images '{self.images}' --masks '{self.masks}'"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """An image with its masks of one class each.

    Args:
        image: the image's file.
        masks_of: the files of its masks by the name of their class; several where each is of an object.
    """

    image: Path
    masks_of: Mapping[str, tuple[Path, ...]]


def find_class_masks(folder: Path, patterns: Patterns) -> ClassMasks | None:
    """Return the masks beside those of a pattern that one part of their path tells apart, or None.

    Args:
        folder: the data-set folder.
        patterns: without fault.

    Raises:
        OSError: when a folder may not be read.
    """
    if NAME not in list_places(patterns.images):
        return None
    found_images = find_files(folder, patterns.images)[0]
    images, names = {one.file for one in found_images}, {one.said[NAME] for one in found_images}
    for text in _list_texts(patterns.masks):
        masks = [
            one for one in find_files(folder, text, names)[0] if one.file not in images and one.said[NAME] in names
        ]
        classes = sorted({one.said[CLASS] for one in masks if one.said[CLASS].lower() not in _SHOWN})
        if len(classes) > 1:
            return ClassMasks(images=patterns.images, masks=text, classes=tuple(classes))
    return None


def tell_ambiguous(folder: Path, found: Sequence[Patterns]) -> Iterator[str]:
    """Yield what to do with masks of which nobody can tell which are meant, if they are those of one class each.

    Args:
        folder: the data-set folder.
        found: several, of the same images.
    """
    one = find_class_masks(folder, found[0])
    if one is not None and {one.masks.replace(_PLACE, name) for name in one.classes} >= {each.masks for each in found}:
        yield f"or, {one.describe(folder)}"


def doubt_class_masks(folder: Path, patterns: Patterns, values: MaskValues) -> Iterator[str]:
    """Yield what to do if masks of two values are those of one class of several.

    Args:
        folder: the data-set folder.
        patterns: where its files lie.
        values: what the masks have.
    """
    if len(values.pixels) <= _OF_ONE_CLASS and (one := find_class_masks(folder, patterns)) is not None:
        yield f"each image has masks of {len(one.classes)} kinds; {one.describe(folder)}"


def find_labelled(folder: Path, images: str, masks: str) -> tuple[list[Labelled], int]:
    """Return the images that have masks, and how many have none.

    Args:
        folder: the data-set folder.
        images: pattern of the images' paths, without fault.
        masks: pattern of the masks' paths with a `{class}`, without fault; where it has a *, what that stands for tells
            masks of one class and image apart.

    Raises:
        DataError: with every mask that has no image, and what else does not fit together.
        OSError: when a folder may not be read.
    """
    found_images, problems = find_files(folder, images)
    found_masks, mask_problems = find_files(folder, masks, names={one.said[NAME] for one in found_images})
    if problems or mask_problems:
        raise DataError(f"{folder} has not what is to be put together:", [*problems, *mask_problems])
    # 'a_car.png' beside 'a.png' fits {name}.png too: a file is what the more exact pattern says.
    if count_letters(masks) > count_letters(images):
        found_images = [one for one in found_images if one.file not in {mask.file for mask in found_masks}]
    else:
        found_masks = [one for one in found_masks if one.file not in {image.file for image in found_images}]
    shared = list_shared(images, masks)
    image_of, problems = index_files(found_images, shared)
    twins = [] if _OF_OBJECTS.search(masks) else index_files(found_masks, [*shared, CLASS])[1]
    masks_of: dict[str, dict[str, tuple[Path, ...]]] = defaultdict(dict)
    for one in found_masks:
        of_image, name = masks_of["/".join(one.said[place] for place in shared)], one.said[CLASS]
        of_image[name] = (*of_image.get(name, ()), one.file)
    lonely = [file for key in masks_of if key not in image_of for files in masks_of[key].values() for file in files]
    problems += [*twins, *(f"{file.relative_to(folder)}: a mask without an image of {images}" for file in lonely)]
    classes = dict.fromkeys(one.said[CLASS] for one in found_masks)
    problems += [f"class name {fault}; rename its masks" for fault in map(find_name_fault, classes) if fault]
    labelled = [Labelled(image=one.file, masks_of=masks_of[key]) for key, one in image_of.items() if key in masks_of]
    if not found_masks:
        problems.append(f"{masks}: no file fits but the images; say where masks lie")
    if problems:
        told = problems[:_MOST_TOLD]
        raise DataError(f"{folder}: masks of {masks} and images of {images} do not fit together:", told)
    return labelled, len(image_of) - len(labelled)


def _list_texts(masks: str) -> Iterator[str]:
    """Yield the patterns in which a class stands in place of a name's end, or of a folder or its last word."""
    parts = masks.split("/")
    if ended := _NAME_AND_ENDING.fullmatch(parts[-1]):
        yield "/".join([*parts[:-1], f"{ended[1]}{_WORD_AT_END.sub(_PLACE, ended[2])}{ended[3]}"])
    for place in reversed(range(len(parts) - 1)):
        if "{" not in parts[place]:
            for written in dict.fromkeys((_WORD_AT_END.sub(_PLACE, parts[place]), _PLACE)):
                if _PLACE in written:
                    yield "/".join([*parts[:place], written, *parts[place + 1 :]])
