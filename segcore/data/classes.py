"""The classes of a data set: names, colours, which are scored, which colours are void.

Decoding a colour mask to class indices lives here; reading the mask's file lives in `dataset`.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from segcore.errors import DataError

VOID: Final = 255
"""Class index of pixels that count neither in the loss nor in the metric."""

PADDING_GREY: Final = 114
"""Grey level of pixels that are in no picture: padding and what geometry brings in; their class is `VOID`."""

_UNKNOWN: Final = 254

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTable:
    """The classes of a data set, in index order.

    Args:
        names: class names; the position is the class index (at most 254).
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
        problems = _find_table_problems(self)
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
            DataError: naming each unknown colour with its number of pixels.
        """
        codes_HW = _colour_codes(mask_HW3)
        indices_HW: npt.NDArray[np.uint8] = _lookup_table(self)[codes_HW]
        unknown_HW = indices_HW == _UNKNOWN
        if unknown_HW.any():
            codes, pixels = np.unique(codes_HW[unknown_HW], return_counts=True)
            raise DataError("The mask has colours that are in no class:", _describe_colours(codes, pixels))
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
    try:
        return class_table_from_json(json.loads(file.read_text(encoding="utf-8")))
    except DataError as error:
        raise DataError(f"{file} cannot be used:", error.problems) from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        rule = (
            'it must hold {"classes": [{"name": ..., "rgb": [r, g, b]}, ...], '
            '"scored": [names], "void": [[r, g, b], ...]}'
        )
        raise DataError(f"{file} cannot be read ({error!r}); {rule}.") from error


def class_table_from_json(document: dict[str, object]) -> ClassTable:
    """Build a table from the decoded content of a `classes.json`; the reverse of `class_table_to_json`."""
    classes: list[dict[str, object]] = document["classes"]  # type: ignore[assignment]
    names = tuple(str(entry["name"]) for entry in classes)
    return ClassTable(
        names=names,
        colours=tuple(_read_colour(entry["rgb"]) for entry in classes),
        scored=tuple(str(name) for name in document.get("scored", names)),  # type: ignore[attr-defined]
        void=tuple(_read_colour(colour) for colour in document.get("void", ())),  # type: ignore[attr-defined]
    )


def class_table_to_json(table: ClassTable) -> dict[str, object]:
    """Return the table in the form of a `classes.json`."""
    return {
        "classes": [{"name": name, "rgb": list(rgb)} for name, rgb in zip(table.names, table.colours, strict=True)],
        "scored": list(table.scored),
        "void": [list(colour) for colour in table.void],
    }


def _read_colour(value: object) -> Colour:
    red, green, blue = (int(part) for part in value)  # type: ignore[attr-defined]
    return red, green, blue


def _find_table_problems(table: ClassTable) -> list[str]:
    problems = []
    every_colour = (*table.colours, *table.void)
    if not 2 <= len(table.names) <= _UNKNOWN:
        problems.append(f"{len(table.names)} classes: a table has 2 to {_UNKNOWN}")
    if len(table.names) != len(table.colours):
        problems.append(f"{len(table.names)} names but {len(table.colours)} colours: each class needs one")
    problems += [f"class name {name!r} occurs twice" for name in _repeated(table.names)]
    problems += [f"colour {colour} occurs twice" for colour in _repeated(every_colour)]
    if any(not 0 <= part <= 255 for colour in every_colour for part in colour):
        problems.append("a colour has a part outside 0..255")
    problems += [f"scored class {name!r} is not among the classes" for name in table.scored if name not in table.names]
    problems += [f"scored class {name!r} occurs twice" for name in _repeated(table.scored)]
    if not table.scored:
        problems.append("no class is scored: name at least one in 'scored'")
    return problems


def _repeated(values: tuple[object, ...]) -> list[object]:
    return sorted({value for value in values if values.count(value) > 1}, key=str)


def _colour_codes(mask_HW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    red, green, blue = (mask_HW3[..., channel].astype(np.uint32) for channel in range(3))
    return np.asarray((red << 16) | (green << 8) | blue, np.uint32)


@lru_cache(maxsize=4)
def _lookup_table(table: ClassTable) -> npt.NDArray[np.uint8]:
    # One byte for each of the 2^24 colours: exact, and a mask touches only a few cache lines of it.
    lookup = np.full(1 << 24, _UNKNOWN, np.uint8)
    lookup[_colour_codes(np.array(table.colours, np.uint8)[None])[0]] = np.arange(len(table), dtype=np.uint8)
    if table.void:
        lookup[_colour_codes(np.array(table.void, np.uint8)[None])[0]] = VOID
    return lookup


def _describe_colours(codes: npt.NDArray[np.uint32], pixels: npt.NDArray[np.int64]) -> list[str]:
    order = np.argsort(-pixels)[:10]
    lines = [
        f"unknown colour ({codes[i] >> 16}, {codes[i] >> 8 & 255}, {codes[i] & 255}): {pixels[i]} pixels" for i in order
    ]
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
