"""The classes of a data set: names, colours, which are scored, which colours are void.

Decoding a colour mask to class indices lives here; reading the mask's file lives in `dataset`,
the form of a `classes.json` in `class_form`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from segcore.data.class_form import CLASSES_FORM, find_form_problems
from segcore.data.names import find_equal_names, find_name_fault
from segcore.errors import DataError

VOID: Final = 255
"""Class index of pixels that count neither in the loss nor in the metric."""

VOID_NAME: Final = "(void)"
"""Stands where a class's name would in counts of void pixels, so no class has it."""

PADDING_GREY: Final = 114
"""Grey level of pixels that are in no picture: padding and what geometry brings in; their class is `VOID`."""

_UNKNOWN: Final = 254
_MOST_PROBLEMS: Final = 50
_MOST_COLOURS: Final = 10
_SOFT_SHARE: Final = 0.2
_BAND_PIXELS: Final = 1 << 22

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTable:
    """The classes of a data set, in index order.

    Args:
        names: class names, up to 100 characters that can be seen, told apart by the eye; the position is the class
            index (at most 254).
        colours: the RGB colour of each class in masks, as many as names, all different.
        scored: names of the classes that the contest's metric counts.
        void: RGB colours of pixels that count neither in the loss nor in the metric.

    Raises:
        DataError: when the table contradicts itself.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    scored: tuple[str, ...]
    void: tuple[Colour, ...] = ()

    def __post_init__(self) -> None:
        problems = list(islice(_find_table_problems(self), _MOST_PROBLEMS))
        if problems:
            raise DataError("The class table cannot be used:", problems)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def scored_indices(self) -> tuple[int, ...]:
        """Class indices of the scored classes, in the order of `scored`."""
        return tuple(self.names.index(name) for name in self.scored)

    @property
    def palette_N3(self) -> npt.NDArray[np.uint8]:
        """RGB colour of every index 0..255; indices that are no class are black."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self.colours)] = self.colours
        return palette

    def decode_mask(self, mask_HW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turn an RGB mask into class indices.

        Args:
            mask_HW3: the mask's colours, uint8.

        Returns:
            Class indices (H, W), uint8; `VOID` where the colour is a void colour.

        Raises:
            DataError: naming each unknown colour with its number of pixels, or soft borders with their share.
        """
        lookup = _lookup_table(self)
        indices_HW = np.empty(mask_HW3.shape[:2], np.uint8)
        for rows in _bands(mask_HW3):
            indices_HW[rows] = lookup[_colour_codes(mask_HW3[rows])]
        unknown_HW = indices_HW == _UNKNOWN
        if unknown_HW.any():
            codes, pixels = _count_colours(mask_HW3, unknown_HW)
            raise DataError(
                "The mask has colours that are in no class:", _describe_colours(codes, pixels, indices_HW.size)
            )
        return indices_HW


def read_class_table(folder: Path) -> ClassTable:
    """Read `classes.json` of a data-set folder, or take the contest's table where there is none.

    Args:
        folder: the data-set folder.

    Raises:
        DataError: when the file is not JSON or not of the expected form.
    """
    file = folder / "classes.json"
    if not file.exists():
        return CONTEST_CLASSES
    if not file.is_file():
        raise DataError(f"{file} is no regular file; {CLASSES_FORM}.")
    try:
        text = file.read_text(encoding="utf-8-sig")
        return class_table_from_json(json.loads(text, object_pairs_hook=_refuse_repeated_keys))
    except DataError as error:
        raise DataError(f"{file} cannot be used:", error.problems) from error
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(f"{file} cannot be read ({error!r}); {CLASSES_FORM}.") from error


def count_indices(mask_HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the pixels of each index 0..255."""
    # NumPy counts eight-byte numbers, and would make them of the whole mask at once.
    bands = (np.bincount(mask_HW[rows].reshape(-1), minlength=256) for rows in _bands(mask_HW))
    return sum(bands, start=np.zeros(256, np.int64))


def class_table_from_json(document: object) -> ClassTable:
    """Build a table from the decoded content of a `classes.json`; the reverse of `class_table_to_json`.

    Raises:
        DataError: when it is not of the form, or the table contradicts itself.
    """
    problems = list(islice(find_form_problems(document), _MOST_PROBLEMS))
    if problems:
        raise DataError("The class table cannot be used:", [*problems, CLASSES_FORM])
    assert isinstance(document, dict), "other forms are refused"
    names = tuple(entry["name"] for entry in document["classes"])
    return ClassTable(
        names=names,
        colours=tuple(tuple(entry["rgb"]) for entry in document["classes"]),
        scored=tuple(document.get("scored", names)),
        void=tuple(tuple(colour) for colour in document.get("void", ())),
    )


def class_table_to_json(table: ClassTable) -> dict[str, object]:
    """Return the table in the form of a `classes.json`."""
    return {
        "classes": [{"name": name, "rgb": list(rgb)} for name, rgb in zip(table.names, table.colours, strict=True)],
        "scored": list(table.scored),
        "void": [list(colour) for colour in table.void],
    }


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError(f"the key {_repeated(tuple(key for key, _ in pairs))[0]!r} occurs twice in one object")
    return content


def _find_table_problems(table: ClassTable) -> Iterator[str]:
    if not 2 <= len(table.names) <= _UNKNOWN:
        yield f"{len(table.names)} classes: a table has 2 to {_UNKNOWN}"
        return
    if len(table.names) != len(table.colours):
        yield f"{len(table.names)} names but {len(table.colours)} colours: each class needs one"
    yield from _find_name_problems(table.names)
    every_colour = (*table.colours, *table.void)
    yield from (f"colour {colour} occurs twice" for colour in _repeated(every_colour))
    if any(not 0 <= part <= 255 for colour in every_colour for part in colour):
        yield "a colour has a part outside 0..255"
    names = frozenset(table.names)
    yield from (f"scored class {name!r} is not among the classes" for name in table.scored if name not in names)
    yield from (f"scored class {name!r} occurs twice" for name in _repeated(table.scored))
    if not table.scored:
        yield "no class is scored: name at least one in 'scored'"


def _find_name_problems(names: tuple[str, ...]) -> Iterator[str]:
    yield from (f"class name {fault}" for fault in map(find_name_fault, names) if fault)
    yield from (f"class name {name!r} occurs twice" for name in _repeated(names))
    if VOID_NAME in names:
        yield f"class name {VOID_NAME!r} stands for pixels without a class; choose another"
    for first, second in find_equal_names(tuple(dict.fromkeys(names))):
        yield f"class names {first!a} and {second!a} look alike; rename one"


def _repeated(values: tuple[Any, ...]) -> list[Any]:
    return sorted((value for value, times in Counter(values).items() if times > 1), key=str)


def _colour_codes(mask_HW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    red, green, blue = (mask_HW3[..., channel].astype(np.uint32) for channel in range(3))
    return np.asarray((red << 16) | (green << 8) | blue, np.uint32)


def _bands(mask: npt.NDArray[np.uint8]) -> Iterator[slice]:
    # Codes take many times the bytes of the colours: those of a large mask would fill the memory.
    rows = max(1, _BAND_PIXELS // max(1, mask.shape[1]))
    yield from (slice(top, top + rows) for top in range(0, mask.shape[0], rows))


@lru_cache(maxsize=4)
def _lookup_table(table: ClassTable) -> npt.NDArray[np.uint8]:
    # One byte for each of the 2^24 colours: exact, and a mask touches only a few cache lines of it.
    lookup = np.full(1 << 24, _UNKNOWN, np.uint8)
    lookup[_colour_codes(np.array(table.colours, np.uint8)[None])[0]] = np.arange(len(table), dtype=np.uint8)
    if table.void:
        lookup[_colour_codes(np.array(table.void, np.uint8)[None])[0]] = VOID
    return lookup


def _count_colours(
    mask_HW3: npt.NDArray[np.uint8], unknown_HW: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    codes, pixels = np.empty(0, np.int64), np.empty(0, np.int64)
    for rows in _bands(mask_HW3):
        more, counts = np.unique(_colour_codes(mask_HW3[rows][unknown_HW[rows]]), return_counts=True)
        codes, places = np.unique(np.concatenate([codes, more]), return_inverse=True)
        pixels = np.bincount(places, np.concatenate([pixels, counts])).astype(np.int64)
    return codes, pixels


def _describe_colours(codes: npt.NDArray[np.int64], pixels: npt.NDArray[np.int64], total: int) -> list[str]:
    order = np.argsort(-pixels, kind="stable")[:_MOST_COLOURS]
    colours = [f"({codes[i] >> 16}, {codes[i] >> 8 & 255}, {codes[i] & 255})" for i in order]
    share = pixels.sum() / total
    # A wrong table misses few colours of large areas; mixtures of two classes are many, on little area.
    if len(codes) > _UNKNOWN or (len(codes) > _MOST_COLOURS and share < _SOFT_SHARE):
        return [
            f"soft borders: {len(codes)} colours that are in no class on {share:.2%} of the pixels ({pixels.sum()}), "
            f"such as {', '.join(colours[:3])}; draw the mask without smoothing, resize it by its nearest pixels and "
            "save it as PNG"
        ]
    lines = [f"unknown colour {colour}: {pixels[i]} pixels" for colour, i in zip(colours, order, strict=True)]
    if len(codes) > len(order):
        lines.append(f"and {len(codes) - len(order)} more unknown colours")
    return lines


CONTEST_CLASSES: Final = ClassTable(
    names=(
        "car", "pedestrian", "lane", "bus", "truck", "svehicle", "motorbike", "bicycle", "signal", "signs",
        "sky", "building", "natural", "wall", "ground", "sidewalk", "roadshoulder", "obstacle", "others", "own",
    ),
    colours=(
        (0, 0, 255), (255, 0, 0), (69, 47, 142), (193, 214, 0), (180, 0, 129), (255, 121, 166), (65, 166, 1),
        (208, 149, 1), (255, 255, 0), (255, 134, 0), (0, 152, 225), (0, 203, 151), (85, 255, 50), (92, 136, 125),
        (136, 45, 66), (0, 255, 255), (215, 0, 255), (180, 131, 135), (81, 99, 0), (86, 62, 67),
    ),
    scored=("car", "pedestrian", "lane", "signal"),
)  # fmt: skip
"""The 20 classes of the SIGNATE AI Edge contest (segmentation), 4 of them scored."""
