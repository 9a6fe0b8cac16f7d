"""What decoding every case of a data set told, and what of it a person must know: classes, void, sizes.

Whether the data can be trained on, with its folds and its copies, says `gate`.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.case import Case
from segcore.data.classes import ClassTable, is_called_void
from segcore.data.names import list_first
from segcore.data.sides import find_usual_side

_ONE_AND_OTHERS: Final = 2
"""Classes where one is told from everything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What decoding every case of a data set told, in one order.

    Args:
        cases: the cases.
        sizes: their heights and widths, pixels.
        pixels_NC: pixels of each class, in index order, then of void.
        looks_NHW: what each image looks like, see `likeness`.
        masks: what tells equal masks, see `likeness`.
    """

    cases: tuple[Case, ...]
    sizes: tuple[tuple[int, int], ...]
    pixels_NC: npt.NDArray[np.int64]
    looks_NHW: npt.NDArray[np.uint8]
    masks: tuple[Hashable, ...]


def describe_content(content: Content, classes: ClassTable) -> list[str]:
    """Return what a person may want to know: other classes that no mask has, images that are smaller than most."""
    return [*_describe_absent(content, classes), *_describe_sizes(content)]


def warn_of_content(content: Content, classes: ClassTable) -> list[str]:
    """Return what a person should look at: images of void alone, numbers of two meanings, classes without pixels."""
    found = (_find_void(content), _find_two_ways(content, classes), _find_absent_scored(content, classes))
    return [*chain(*found), *_find_called_void(classes)]


def find_nothing_to_learn(content: Content, classes: ClassTable) -> Iterator[str]:
    """Yield why nothing can be learnt of the masks: all void, one class alone, or none that is scored."""
    pixels_C = content.pixels_NC[:, :-1].sum(axis=0)
    present = [name for name, pixels in zip(classes.names, pixels_C.tolist(), strict=True) if pixels]
    if not present:
        yield "every pixel of every mask is void, so there is nothing to learn; look whether the class table fits"
    elif len(present) == 1:
        yield (
            f"every pixel that counts is {present[0]!r}, so there is nothing to tell apart; a second class is needed, "
            "if only 'background'"
        )
    elif not set(present) & set(classes.scored):
        yield f"no mask has a scored class ({list_first(classes.scored)}); name others in 'scored' of the class table"


def _find_void(content: Content) -> Iterator[str]:
    void = [
        case.name for case, pixels_C in zip(content.cases, content.pixels_NC, strict=True) if not pixels_C[:-1].any()
    ]
    if void:
        yield (
            f"{count_words(len(void), 'image is', 'images are')} "
            f"all void, nothing is learnt of them: {list_first(void)}"
        )


def _find_two_ways(content: Content, classes: ClassTable) -> Iterator[str]:
    """Yield a warning where one class and everything else are 0 and 255 in some masks, 0 and 1 in others."""
    if len(classes) != _ONE_AND_OTHERS or sorted(classes.ids) != [0, 1]:
        return
    alone = classes.ids.index(1)
    marked_N, void_N = content.pixels_NC[:, alone] > 0, content.pixels_NC[:, -1] > 0
    if marked_N.any() and void_N.any() and not (marked_N & void_N).any():
        yield (
            f"{count_words(int(void_N.sum()), 'mask has', 'masks have')} the number 255, which is void, without "
            f"{classes.names[alone]}: if 255 stands for it there, write 1 in its place"
        )


def _find_called_void(classes: ClassTable) -> Iterator[str]:
    # Of one class and void the latter is everything else.
    called = [name for name in classes.names if is_called_void(name)] if len(classes) > _ONE_AND_OTHERS else []
    if called:
        yield (
            f"{list_first(called)}: learnt like any other class; if its pixels are to count nowhere, name it in "
            "'ignored' of a dataset.json, or take it out of the classes and into void"
        )


def _find_absent_scored(content: Content, classes: ClassTable) -> Iterator[str]:
    absent = [name for name in _list_absent(content, classes) if name in classes.scored]
    if absent:
        yield f"scored, but in no mask: {list_first(absent)}"


def _describe_absent(content: Content, classes: ClassTable) -> Iterator[str]:
    absent = [name for name in _list_absent(content, classes) if name not in classes.scored]
    if absent:
        yield f"in no mask: {list_first(absent)}"


def _list_absent(content: Content, classes: ClassTable) -> list[str]:
    pixels_C = content.pixels_NC.sum(axis=0)
    return [name for index, name in enumerate(classes.names) if not pixels_C[index]]


def _describe_sizes(content: Content) -> Iterator[str]:
    sides = [min(size) for size in content.sizes]
    if not sides or (usual := find_usual_side(sides)) == min(sides):
        return
    case, (height, width) = min(zip(content.cases, content.sizes, strict=True), key=lambda pair: min(pair[1]))
    smaller = sum(side < usual for side in sides)
    yield (
        f"smaller than usual: {count_words(smaller, 'image has', 'images have')} "
        f"a side of less than {usual} pixels, {case.image.name} with "
        f"{width}x{height} the smallest; a crop that is larger than its image is filled up with void"
    )
