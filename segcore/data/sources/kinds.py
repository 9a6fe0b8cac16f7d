"""Whether masks hold colours or numbers, and which; `tables` says what these mean."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from segcore.data.colours import Colour
from segcore.data.decoding import decode_colours, read_mode
from segcore.data.encoding import Kind, build_encoding
from segcore.data.levels import have_equal_places
from segcore.errors import DataError

_SAMPLE: Final = 16
_HEADERS: Final = 256
"""Of so many masks the colour mode is read, which takes a fraction of a millisecond; one palette may be unlike all."""

_Read = TypeVar("_Read")


def find_kind(masks: Sequence[Path]) -> tuple[Kind, tuple[Colour, ...]]:
    """Return whether masks hold colours or numbers, and the palette that they share, if any.

    Args:
        masks: at least one; some of them are looked at. Files of one number a pixel hold numbers, and so do
            files of colours that are all grey. Files with a palette each of its own hold colours, or if these are
            greys their levels, as files with a grey palette beside others without one do.

    Raises:
        DataError: when none can be decoded, or some have palettes each of its own, and others none.
    """
    readable, modes = _read_each(masks[:: max(1, len(masks) // _HEADERS)], read_mode)
    palettes = [palette for mode, palette in modes if mode == "P"]
    if all(mode in ("P", "L", "1", "F") or mode.startswith("I") for mode, _ in modes):
        return _find_kind_of_palettes(readable[0].parent, palettes, alone=len(palettes) == len(modes))
    sample = readable[:: max(1, len(readable) // _SAMPLE)]
    _, grey = _read_each(sample, lambda mask: _is_grey(decode_colours(mask)))
    return ("index" if all(grey) else "rgb"), ()


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
    encoding = build_encoding(kind, {})

    def count(mask: Path) -> Counter[int]:
        return encoding.count_codes(encoding.read_pixels(mask))

    total: Counter[int] = Counter()
    for counts in _read_each(masks, count)[1]:
        total.update(counts)
    return total


def _read_each(masks: Sequence[Path], read: Callable[[Path], _Read]) -> tuple[list[Path], list[_Read]]:
    """Return the masks that can be read and what is read of each; those that cannot are named by who decodes all.

    Raises:
        DataError: of the first mask, when none can be read.
    """

    def attempt(mask: Path) -> _Read | DataError:
        try:
            return read(mask)
        except DataError as error:
            return error

    with ThreadPoolExecutor() as pool:
        results = list(zip(masks, pool.map(attempt, masks), strict=True))
    readable = [(mask, result) for mask, result in results if not isinstance(result, DataError)]
    if results and not readable:
        assert isinstance(results[0][1], DataError), "none was read"
        raise results[0][1]
    return [mask for mask, _ in readable], [result for _, result in readable]


def _is_grey(colours_HW3: npt.NDArray[np.uint8]) -> bool:
    return bool(colours_HW3.size and (colours_HW3 == colours_HW3[..., :1]).all())
