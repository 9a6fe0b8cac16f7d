"""`MaskEncoding`: how the pixels of masks say classes, as colours or as numbers; decoding a mask to class indices.

Which classes there are says `classes`; reading a file's pixels lives in `decoding`, choosing the encoding of a folder
in `sources`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from segcore.data.classes import MOST_CLASSES, VOID, ClassTable, bands
from segcore.data.colours import Colour
from segcore.data.decoding import decode_colours, decode_values, is_blurred_format
from segcore.errors import DataError

LARGEST_VALUE: Final = 65535
"""Of a mask's numbers: its file has 8 or 16 bits a pixel."""

Kind = Literal["rgb", "index", "grey"]
"""What pixels of masks have: colours; numbers, in files with a palette places in it; or numbers, in files with a
palette its grey levels, which programs that make PNG files smaller leave."""

_UNKNOWN: Final = 254
_MOST_TOLD: Final = 10
_SOFT_SHARE: Final = 0.2
_MOST_SHARP: Final = 2
"""Numbers in a mask whose compression mixes them, of which a mixture would be another."""
_BLURRED: Final = (
    "its content is JPEG, or compressed like it, which changes colours at every border; make it again from its source, "
    "as PNG"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskEncoding:
    """What each colour or number of a data set's masks means.

    Args:
        kind: what pixels have; of colours the code is red << 16 | green << 8 | blue, of numbers the number.
        index_of: pairs of a code and its class index, or `VOID`; ascending, no code twice.
        palette: colours of the places that all masks with a palette share; one with another is refused, for its numbers
            mean other classes; empty: whatever palette is taken.
    """

    kind: Kind
    index_of: tuple[tuple[int, int], ...]
    # What is refused has no pixels that a cache could hold, so its key need not tell of this.
    palette: tuple[Colour, ...] = field(default=(), repr=False)

    def decode(self, file: Path) -> npt.NDArray[np.uint8]:
        """Decode a mask file to upright class indices (H, W), uint8; `VOID` where the pixel counts nowhere.

        Raises:
            DataError: when the file cannot be decoded, naming each unknown colour or number with its pixels, or when it
                has numbers that its compression mixed: of 1 and 3 a mixture may be another class.
        """
        pixels = self.read_pixels(file)
        try:
            indices_HW = self.decode_pixels(pixels)
        except DataError as error:
            problems = [f"{file.name}: {problem}" for problem in error.problems]
            if is_blurred_format(file):
                # To make a class of each mixture would be no help.
                problems = [*(problems if len(problems) <= _MOST_SHARP else ()), f"{file.name}: {_BLURRED}"]
            raise DataError(f"{file} cannot be used: {error.summary}", problems) from error
        if self.kind != "rgb" and is_blurred_format(file) and len(self.count_codes(pixels)) > _MOST_SHARP:
            raise DataError(f"{file} cannot be used:", [f"{file.name}: {_BLURRED}"])
        return indices_HW

    def read_pixels(self, file: Path) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Decode a mask file to the colours (H, W, 3) or numbers (H, W) of its pixels, whatever they mean.

        Raises:
            DataError: when the file cannot be decoded.
        """
        if self.kind == "rgb":
            return decode_colours(file)
        return decode_values(file, palette=self.palette, by_level=self.kind == "grey")

    def decode_pixels(self, pixels: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.uint8]:
        """Turn a mask's pixels into class indices (H, W), uint8; `VOID` where they count nowhere.

        Args:
            pixels: colours (H, W, 3), or numbers (H, W).

        Raises:
            DataError: naming each unknown colour or number with its pixels, or soft borders with their share.
        """
        lookup = _lookup_table(self)
        indices_HW = np.empty(pixels.shape[:2], np.uint8)
        for rows in bands(pixels):
            indices_HW[rows] = lookup[self._read_codes(pixels[rows])]
        unknown_HW = indices_HW == _UNKNOWN
        if unknown_HW.any():
            counts = self.count_codes(pixels, unknown_HW)
            raise DataError(
                f"The mask has {self._said}s that are in no class:", self._describe(counts, unknown_HW.size)
            )
        return indices_HW

    def count_codes(
        self, pixels: npt.NDArray[np.unsignedinteger[Any]], chosen_HW: npt.NDArray[np.bool_] | None = None
    ) -> Counter[int]:
        """Return the pixels of each code, of the chosen pixels or of all."""
        counts: Counter[int] = Counter()
        for rows in bands(pixels):
            codes = self._read_codes(pixels[rows])
            found, times = _count(codes if chosen_HW is None else codes[chosen_HW[rows]])
            counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))
        return counts

    def name_code(self, code: int) -> str:
        """Return a code as a person writes it."""
        return f"({code >> 16}, {code >> 8 & 255}, {code & 255})" if self.kind == "rgb" else str(code)

    @property
    def _said(self) -> str:
        return "colour" if self.kind == "rgb" else "number"

    def _read_codes(self, pixels: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.unsignedinteger[Any]]:
        if self.kind != "rgb":
            return pixels
        red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
        return np.asarray((red << 16) | (green << 8) | blue, np.uint32)

    def _describe(self, counts: Counter[int], total: int) -> list[str]:
        told = [(self.name_code(code), pixels) for code, pixels in counts.most_common(_MOST_TOLD)]
        # The last is -1, as others write void.
        objects = self.kind != "rgb" and min(counts) > VOID and counts.keys() != {LARGEST_VALUE}
        pixels = counts.total()
        # A wrong table misses few colours of large areas; mixtures of two classes are many, on little area.
        if not objects and (len(counts) > MOST_CLASSES or (len(counts) > _MOST_TOLD and pixels / total < _SOFT_SHARE)):
            return [
                f"soft borders: {len(counts)} {self._said}s that are in no class on {pixels / total:.2%} of the pixels "
                f"({pixels}), such as {', '.join(code for code, _ in told[:3])}; draw the mask without smoothing, "
                "resize it by its nearest pixels and save it as PNG"
            ]
        remedy = "" if objects else "; make it a class, or void"
        lines = [f"unknown {self._said} {code}: {pixels} pixels{remedy}" for code, pixels in told]
        if len(counts) > len(told):
            lines.append(f"and {len(counts) - len(told)} more unknown {self._said}s")
        if objects:
            lines.append(f"numbers above {VOID} are often those of objects: take the masks that hold classes")
        return lines


def encoding_of(table: ClassTable) -> MaskEncoding:
    """Return how masks are read that a table alone describes, as predictions are: by its numbers, else by its colours.

    In masks of numbers 255 is void, unless a class has it.
    """
    if table.ids:
        return build_encoding("index", {VOID: VOID, **{code: index for index, code in enumerate(table.ids)}})
    void = {colour_code(colour): VOID for colour in table.void}
    return build_encoding("rgb", void | {colour_code(colour): index for index, colour in enumerate(table.colours)})


def build_encoding(kind: Kind, index_of: Mapping[int, int], palette: Sequence[Colour] = ()) -> MaskEncoding:
    """Return an encoding from codes and their class indices, and the palette that masks share, if any."""
    return MaskEncoding(kind=kind, index_of=tuple(sorted(index_of.items())), palette=tuple(palette))


def colour_code(colour: Colour) -> int:
    """Return the code of a colour in masks of kind `rgb`."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _count(
    codes: npt.NDArray[np.unsignedinteger[Any]],
) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.int64]]:
    """Return the codes that occur, and how often."""
    if codes.dtype.itemsize > 2:
        return np.unique(codes, return_counts=True)
    # Small numbers can be counted without sorting them.
    times = np.bincount(codes.reshape(-1))
    found = np.flatnonzero(times)
    return found, times[found]


@lru_cache(maxsize=4)
def _lookup_table(encoding: MaskEncoding) -> npt.NDArray[np.uint8]:
    # One byte for each code: exact, and a mask touches only a few cache lines of it.
    lookup = np.full(1 << 24 if encoding.kind == "rgb" else LARGEST_VALUE + 1, _UNKNOWN, np.uint8)
    codes, indices = np.array(encoding.index_of, np.int64).reshape(-1, 2).T
    lookup[codes] = indices
    return lookup
