"""Counts the colours or numbers that masks have, for a person who does not know them yet, and says what looks wrong."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from segcore.counting import count_words
from segcore.data.classes import MOST_CLASSES, VOID
from segcore.data.colours import Colour
from segcore.data.decoding import is_blurred_format, share_memory
from segcore.data.encoding import LARGEST_VALUE, Kind, MaskEncoding, build_encoding
from segcore.data.names import list_first
from segcore.data.sources.kinds import find_kind, is_grey_palette
from segcore.errors import DataError

_ADE_NAME: Final = re.compile(r"ADE_(?:train|val|frame)_[0-9a-z]+_seg")
_RARE_SHARE: Final = 0.001
_MANY: Final = 20
_FEWEST_MIXTURES: Final = 2
"""Numbers on either side of the middle of black and white; few classes have numbers of such a kind."""
_FEWEST_TELLING: Final = 5
"""Masks of which the values that one alone has say something."""
_MOST_TAGS: Final = 63
"""CARLA has 29."""
_FAR_APART: Final = 32
"""Numbers so far from each other were chosen to be seen as greys."""
_MOST_STEPS: Final = 15
"""Between evenly spread numbers: any would be near those that are spread more densely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskValues:
    """What masks have in their pixels.

    Args:
        kind: whether they hold colours or numbers.
        palette: the palette that they share, if any.
        pixels: pixels of each colour or number, by code as in `encoding`.
        images: in how many masks each occurs.
        masks: how many were counted.
    """

    kind: Kind
    palette: tuple[Colour, ...]
    pixels: Counter[int]
    images: Counter[int]
    masks: int

    @property
    def encoding(self) -> MaskEncoding:
        """The encoding that knows no class yet, which names codes."""
        return build_encoding(self.kind, {})

    @property
    def is_void_a_class(self) -> bool:
        """Whether 255 is a class: the numbers are spread evenly from 0 to it, as grey levels of a few classes are."""
        steps = len(self.pixels) - 1
        return (
            self.kind != "rgb"
            and 0 < steps <= _MOST_STEPS
            and all(abs(number - VOID * step / steps) < 1 for step, number in enumerate(sorted(self.pixels)))
        )


def count_values(masks: Sequence[Path], progress: Callable[[int, int], None]) -> MaskValues:
    """Decode masks and count what they have.

    Args:
        masks: files, at least one.
        progress: called with (masks done, masks in all).

    Raises:
        DataError: with each mask that cannot be decoded, or when they are JPEG or have more values than classes can be,
            or are those of ADE20K's full release.
    """
    _refuse_ade(masks)
    kind, palette = find_kind(masks)
    encoding = build_encoding(kind, {})
    pixels: Counter[int] = Counter()
    images: Counter[int] = Counter()
    problems: list[str] = []

    def count(mask: Path) -> Counter[int] | DataError:
        try:
            with share_memory(mask):
                return encoding.count_codes(encoding.read_pixels(mask))
        except DataError as error:
            return error

    with ThreadPoolExecutor() as pool:
        for done, counts in enumerate(pool.map(count, masks), start=1):
            if isinstance(counts, DataError):
                problems += counts.problems or (str(counts),)
            else:
                pixels.update(counts)
                images.update(counts.keys())
            progress(done, len(masks))
    if problems:
        raise DataError(f"{count_words(len(problems), 'mask')} cannot be read:", problems)
    values = MaskValues(kind=kind, palette=palette, pixels=pixels, images=images, masks=len(masks))
    _require_few(values, masks)
    require_sharp(values, masks)
    return values


def require_sharp(values: MaskValues, masks: Sequence[Path]) -> None:
    """Refuse masks that nothing names and that were smoothed, for each mixture at a border would be a class.

    Args:
        values: what was counted.
        masks: the files.

    Raises:
        DataError: when some are JPEG and have more than two values, or all are black and white but for their borders.
    """
    if _is_smooth_black_and_white(values):
        raise DataError(_describe_smooth(values))
    blurred = sum(map(is_blurred_format, masks))
    if blurred and len(values.pixels) > 2:
        raise DataError(
            f"{blurred} of {count_words(len(masks), 'mask is', 'masks are')} JPEG, or compressed like it, which "
            f"changes values at every border: {len(values.pixels)} are in the masks, and which are classes cannot be "
            "told; make them anew from their source, as PNG."
        )


def find_doubts(values: MaskValues, masks: Sequence[Path]) -> list[str]:
    """Return what of masks looks as if they were not made for classes, a line each.

    Args:
        values: what was counted.
        masks: the files.
    """
    doubts = []
    if len(values.pixels) == 1:
        doubts.append("one value: all masks are the same everywhere, and nothing can be learnt from them")
    rare = _list_rare(values)
    if _is_soft(values):
        doubts.append(
            f"soft borders: {len(rare)} of {len(values.pixels)} values have under {_RARE_SHARE:.1%} of the pixels each"
            "; if they are mixtures of classes, make the masks again without smoothing and resizing"
        )
    blurred = sum(is_blurred_format(mask) for mask in masks)
    if blurred:
        doubts.append(
            f"JPEG: {count_words(blurred, 'mask is', 'masks are')} JPEG, or compressed like it, which changes "
            "values at every border; make such masks again as PNG"
        )
    if _is_red_alone(values):
        doubts.append(
            "red alone: a class's number may stand in the red channel, as CARLA's camera writes it: (7, 0, 0) is its "
            "tag 7; name the colours so"
        )
    largest = max(values.pixels.keys() - {LARGEST_VALUE}, default=0)
    if values.kind != "rgb" and largest > VOID:
        doubts.append(
            f"large numbers: up to {largest}; if they tell objects apart, as 26001 and 26002, and not "
            "classes, take the files that hold classes"
        )
    return [*doubts, *_doubt_void(values), *_doubt_objects(values), *_doubt_grey_palette(values)]


def _doubt_void(values: MaskValues) -> Iterator[str]:
    numbers = sorted(values.pixels)
    apart = all(after - before >= _FAR_APART for before, after in pairwise(numbers))
    if values.kind != "rgb" and len(numbers) > 2 and numbers[-1] == VOID and apart and not values.is_void_a_class:
        yield (
            f"{VOID}: counts nowhere, as void, but the numbers {list_first([*map(str, numbers)])} look like grey "
            f"levels; if {VOID} is a class, name it by its number: in a names.txt as '{VOID} car', or in a dataset.json"
        )


def _doubt_objects(values: MaskValues) -> Iterator[str]:
    alone = sum(images == 1 for images in values.images.values())
    # Classes are in many masks, and a few of them in one.
    if values.masks >= _FEWEST_TELLING and 2 * alone > len(values.pixels):
        yield (
            f"objects: {alone} of {len(values.pixels)} values are in one mask each; if they tell objects apart and not "
            "classes, take the files that hold classes"
        )


def _doubt_grey_palette(values: MaskValues) -> Iterator[str]:
    used = sorted(place for place in values.pixels if place < len(values.palette))
    levels = [values.palette[place][0] for place in used]
    if levels != used and is_grey_palette(values.palette):
        places, shown = list_first([*map(str, used)]), list_first([*map(str, levels)])
        yield (
            f"palette: numbers are its places, {places}, which are shown as the grey levels {shown}; if these are the "
            "numbers, save the masks without a palette"
        )


def _refuse_ade(masks: Sequence[Path]) -> None:
    # Two of its colours may be one class, in different objects.
    if all(_ADE_NAME.fullmatch(mask.stem) for mask in masks):
        raise DataError(
            f"{masks[0].name} is called as masks of ADE20K's full release are: the class is red // 10 * 256 + green "
            "there, and blue tells objects apart. Take its scene parsing benchmark (ADEChallengeData2016), whose masks "
            "have the 150 classes; or write masks of these numbers, as PNG of 16 bits, and call them otherwise."
        )


def _require_few(values: MaskValues, masks: Sequence[Path]) -> None:
    if len(values.pixels) <= MOST_CLASSES + 1:
        return
    common = ", ".join(
        f"{values.encoding.name_code(code)} on {pixels / values.pixels.total():.1%}"
        for code, pixels in values.pixels.most_common(5)
    )
    raise DataError(
        f"The masks have {len(values.pixels)} different {'colours' if values.kind == 'rgb' else 'numbers'}, and at "
        f"most {MOST_CLASSES} can be classes; the most common: {common}.",
        find_doubts(values, masks) or ["if they tell objects apart and not classes, take the files that hold classes"],
    )


def _is_smooth_black_and_white(values: MaskValues) -> bool:
    """Say whether most pixels have 0 and 255, and few all that is between, dark and light."""
    between = values.pixels.keys() - {0, VOID}
    dark = sum(number < (VOID + 1) // 2 for number in between)
    return (
        values.kind != "rgb"
        and not values.is_void_a_class
        and max(between, default=0) < VOID
        and {code for code, _ in values.pixels.most_common(2)} == {0, VOID}
        and min(dark, len(between) - dark) >= _FEWEST_MIXTURES
        and sum(values.pixels[number] for number in between) < values.pixels[VOID]
    )


def _describe_smooth(values: MaskValues) -> str:
    black, white = (values.pixels[level] / values.pixels.total() for level in (0, VOID))
    return (
        f"Masks look black and white with smooth borders: 0 on {black:.1%} of the pixels, 255 on {white:.1%} and "
        f"{len(values.pixels) - 2} numbers between on the rest. Save them again with 0 and 255 alone, as PNG; if these "
        "are numbers of classes, name them in a names.txt, as '7 road'."
    )


def _is_red_alone(values: MaskValues) -> bool:
    """Say whether all colours are small numbers in the red channel."""
    alone = all(code >> 16 <= _MOST_TAGS and not code & 0xFFFF for code in values.pixels)
    return values.kind == "rgb" and len(values.pixels) > 1 and alone


def _is_soft(values: MaskValues) -> bool:
    rare = _list_rare(values)
    # Rare classes are a few; mixtures of two classes are most of the values, on little area.
    return len(values.pixels) > _MANY and len(rare) > len(values.pixels) / 2


def _list_rare(values: MaskValues) -> list[int]:
    total = values.pixels.total()
    return [code for code, pixels in values.pixels.items() if pixels < _RARE_SHARE * total]
