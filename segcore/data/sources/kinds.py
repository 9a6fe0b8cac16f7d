"""Whether masks hold colours or numbers, and which; `tables` says what these mean."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from segcore.data.colours import Colour
from segcore.data.decoding import decode_colours, read_mode
from segcore.data.encoding import Kind, build_encoding
from segcore.data.levels import have_equal_places
from segcore.data.names import list_first
from segcore.errors import DataError

_SAMPLE: Final = 16
_HEADERS: Final = 256
"""Of so many masks the colour mode is read, which takes a fraction of a millisecond; one palette may be unlike all."""

_BITS_OF_SPREAD: Final = {255: 1, 85: 2, 17: 4}

_Read = TypeVar("_Read")


def find_kind(masks: Sequence[Path]) -> tuple[Kind, tuple[Colour, ...]]:
    """Return whether masks hold colours or numbers, and the palette that they share, if any.

    Args:
        masks: at least one; some of them are looked at. Files of one number a pixel hold numbers, and so do
            files of colours that are all grey. Files with a palette each of its own hold colours, or if these are
            greys their levels, as files with a grey palette beside others without one do.

    Raises:
        DataError: when none can be decoded, some have palettes each of its own and others none, or numbers of few bits
            may be meant as grey levels, see `require_one_reading`.
    """
    readable, modes = _read_each(_choose_headers(masks), read_mode)
    palettes = [palette for mode, _, palette in modes if mode == "P"]
    if all(mode in ("P", "L", "1", "F") or mode.startswith("I") for mode, _, _ in modes):
        kind, palette = _find_kind_of_palettes(readable[0].parent, palettes, alone=len(palettes) == len(modes))
        if kind != "rgb":
            require_one_reading(masks, kind)
        return kind, palette
    if _have_colours(masks, readable[:: max(1, len(readable) // _SAMPLE)]):
        return "rgb", ()
    require_one_reading(masks, "index")
    return "index", ()


def require_one_reading(masks: Sequence[Path], kind: Kind) -> None:
    """Refuse masks of 1, 2 or 4 bits whose grey levels others have as numbers.

    Programs that make PNG files smaller keep 0 and 255 as one bit, 0 and 1, and so would a mask of the numbers 0 and 1.

    Args:
        masks: some of them are looked at.
        kind: what they hold.

    Raises:
        DataError: naming the first of such masks.
    """
    of_spread: dict[int, list[Path]] = {}
    for mask, found in _attempt_each(_choose_headers(masks), read_mode):
        if not isinstance(found, DataError):
            of_spread.setdefault(found[1], []).append(mask)
    whole = of_spread.pop(1, [])
    numbers = _count_readable(whole, kind).keys() if of_spread else set[int]()
    for spread, few in of_spread.items():
        levels = {spread * number for number in _count_readable(few, kind) if number}
        if levels and levels <= numbers:
            raise DataError(_describe_few_bits(few, sorted(levels), spread))


def _describe_few_bits(few: Sequence[Path], levels: Sequence[int], spread: int) -> str:
    shown, kept = (list_first([str(level // divisor) for level in levels]) for divisor in (1, spread))
    return (
        f"{few[0].parent}: {len(few)} of the masks, {few[0].name} first, have bits a pixel: {_BITS_OF_SPREAD[spread]}, "
        f"and others 8; whether their {kept} means {kept}, or {shown} as in the others, nobody can tell; save all with "
        "8 bits."
    )


def _choose_headers(masks: Sequence[Path]) -> Sequence[Path]:
    return masks[:: max(1, len(masks) // _HEADERS)]


def is_grey_palette(palette: Sequence[Colour]) -> bool:
    """Say whether all colours of a palette are grey levels."""
    return all(len({*colour}) == 1 for colour in palette)


def _find_kind_of_palettes(
    folder: Path, palettes: Sequence[tuple[Colour, ...]], *, alone: bool
) -> tuple[Kind, tuple[Colour, ...]]:
    """Return what masks of one number a pixel hold, given the palettes of those that have one.

    Args:
        folder: where they lie.
        palettes: theirs.
        alone: whether all have one.
    """
    longest = max(palettes, key=len, default=())
    shared = all(have_equal_places(palette, longest) for palette in palettes)
    if alone and shared and longest:
        return "index", longest
    if palettes and all(map(is_grey_palette, palettes)):
        return "grey", ()
    if alone:
        return "rgb", ()
    if not shared:
        raise DataError(
            f"{folder}: some masks have palettes each of its own, and others have none, so their numbers mean other "
            "classes; save all as RGB, or all with one palette."
        )
    return "index", ()


def count_codes(masks: Sequence[Path], kind: Kind) -> Counter[int]:
    """Return the pixels of each colour or number in masks; each file is decoded.

    Raises:
        DataError: when none can be decoded.
    """
    return _add_up(_read_each(masks, _counter(kind))[1])


def _count_readable(masks: Sequence[Path], kind: Kind) -> Counter[int]:
    results = _attempt_each(masks, _counter(kind))
    return _add_up(counts for _, counts in results if not isinstance(counts, DataError))


def _counter(kind: Kind) -> Callable[[Path], Counter[int]]:
    encoding = build_encoding(kind, {})
    return lambda mask: encoding.count_codes(encoding.read_pixels(mask))


def _add_up(counted: Iterable[Counter[int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for counts in counted:
        total.update(counts)
    return total


def _read_each(masks: Sequence[Path], read: Callable[[Path], _Read]) -> tuple[list[Path], list[_Read]]:
    """Return the masks that can be read and what is read of each; those that cannot are named by who decodes all.

    Raises:
        DataError: of the first mask, when none can be read.
    """
    results = _attempt_each(masks, read)
    readable = [(mask, result) for mask, result in results if not isinstance(result, DataError)]
    if results and not readable:
        assert isinstance(results[0][1], DataError), "none was read"
        raise results[0][1]
    return [mask for mask, _ in readable], [result for _, result in readable]


def _attempt_each(masks: Sequence[Path], read: Callable[[Path], _Read]) -> list[tuple[Path, _Read | DataError]]:
    def attempt(mask: Path) -> _Read | DataError:
        try:
            return read(mask)
        except DataError as error:
            return error

    with ThreadPoolExecutor() as pool:
        return list(zip(masks, pool.map(attempt, masks), strict=True))


def _have_colours(masks: Sequence[Path], sample: Sequence[Path]) -> bool:
    """Say whether masks have colours; where a sample has one grey alone, the others are looked at until one has more.

    Raises:
        DataError: when none of the sample can be decoded.
    """
    levels, coloured = _look_at(_read_each(sample, _read_levels)[1])
    for start in range(0, len(masks), _HEADERS):
        if coloured or len(levels) > 1:
            break
        # Lanes may be in one image of twenty, and the masks of all others black.
        results = _attempt_each(masks[start : start + _HEADERS], _read_levels)
        more, coloured = _look_at([found for _, found in results if not isinstance(found, DataError)])
        levels |= more
    return coloured


def _look_at(found: Sequence[frozenset[int] | None]) -> tuple[frozenset[int], bool]:
    """Return the greys that masks have, and whether one has colours."""
    greys = [levels for levels in found if levels is not None]
    return frozenset[int]().union(*greys), len(greys) < len(found)


def _read_levels(mask: Path) -> frozenset[int] | None:
    """Return the grey levels of a mask, or None where it has colours."""
    colours_HW3 = decode_colours(mask)
    if (colours_HW3 != colours_HW3[..., :1]).any():
        return None
    return frozenset(np.flatnonzero(np.bincount(colours_HW3[..., 0].reshape(-1))).tolist())
