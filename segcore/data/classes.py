"""The classes of a data set: names, colours, numbers in masks, which are scored, which colours are void.

Decoding a mask to class indices lives in `encoding`, the form of a `classes.json` in `class_form`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from segcore.counting import count_words
from segcore.data.class_form import CLASSES_FORM, find_form_problems
from segcore.data.colours import BLACK, Colour, choose_colours
from segcore.data.names import find_equal_names, find_name_fault, find_repeated, has_name, refuse_repeated_keys
from segcore.data.texts import read_text
from segcore.errors import DataError

VOID: Final = 255
"""Class index of pixels that count neither in the loss nor in the metric."""

VOID_NAME: Final = "(void)"
"""Stands where a class's name would in counts of void pixels, so no class has it."""

PADDING_GREY: Final = 114
"""Grey level of pixels that are in no picture: padding and what geometry brings in; their class is `VOID`."""

MOST_CLASSES: Final = 254
"""Of a table: class indices have eight bits, and one of them is void."""

BACKGROUND: Final = "background"
"""Name of the class of everything else, where a table names one class alone."""

_VOID_NAMES: Final = frozenset({"void", "unlabelled", "unlabeled", "ignore", "ignored"})
_MOST_PROBLEMS: Final = 50
_BAND_PIXELS: Final = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTable:
    """The classes of a data set, in index order.

    Args:
        names: class names, up to 100 characters that can be seen, told apart by the eye; the position is the class
            index (at most 254).
        colours: the RGB colour of each class in pictures, and in masks of colours; as many as names, all different.
        scored: names of the classes that the contest's metric counts.
        void: RGB colours of pixels that count neither in the loss nor in the metric.
        ids: the number of each class in masks of numbers, 0 to 65535, all different; none: masks have colours.

    Raises:
        DataError: when the table contradicts itself.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    scored: tuple[str, ...]
    void: tuple[Colour, ...] = ()
    ids: tuple[int, ...] = ()

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
    def background_colour(self) -> Colour:
        """Colour of void and of background: black, or where a class is black a void colour, or the lightest grey.

        A table has at most 254 classes, so a grey that is no class's is always left.
        """
        greys: list[Colour] = [(level, level, level) for level in range(255, -1, -1)]
        return next(colour for colour in (BLACK, *self.void, *greys) if colour not in self.colours)

    @property
    def palette_N3(self) -> npt.NDArray[np.uint8]:
        """RGB colour of every index 0..255; indices that are no class have that of background."""
        palette = np.full((256, 3), self.background_colour, np.uint8)
        palette[: len(self.colours)] = self.colours
        return palette


def find_class_table(folder: Path) -> ClassTable | None:
    """Read `classes.json` of a data-set folder; None where there is none.

    Args:
        folder: the data-set folder.

    Raises:
        DataError: when the file is not JSON or not of the expected form.
    """
    file = folder / "classes.json"
    if not has_name(file):
        return None
    if not file.is_file():
        raise DataError(f"{file} is no regular file; {CLASSES_FORM}.")
    try:
        text = read_text(file)
        return class_table_from_json(json.loads(text, object_pairs_hook=refuse_repeated_keys))
    except DataError as error:
        raise DataError(f"{file} cannot be used:", error.problems) from error
    except (ValueError, RecursionError, OSError) as error:
        # The text of an error of decoding is short, its form holds the whole file.
        raise DataError(f"{file} cannot be read ({error or type(error).__name__}); {CLASSES_FORM}.") from error


def score_all_but_background(names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that are scored where nobody says which: all, but what is called background beside others."""
    others = tuple(name for name in names if not is_background(name))
    return others or tuple(names)


def is_background(name: str) -> bool:
    """Say whether a class is everything else, by its name."""
    return name.strip("_").lower() == BACKGROUND


def is_called_void(name: str) -> bool:
    """Say whether a name of a list stands for what counts nowhere."""
    return name.strip("_").lower() in _VOID_NAMES


def count_indices(mask_HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the pixels of each index 0..255."""
    # NumPy counts eight-byte numbers, and would make them of the whole mask at once.
    counts = (np.bincount(mask_HW[rows].reshape(-1), minlength=256) for rows in bands(mask_HW))
    return sum(counts, start=np.zeros(256, np.int64))


def bands(pixels: npt.NDArray[Any]) -> Iterator[slice]:
    """Yield rows of an image, so few at a time that eight bytes for each pixel of them take little memory."""
    rows = max(1, _BAND_PIXELS // max(1, pixels.shape[1]))
    yield from (slice(top, top + rows) for top in range(0, pixels.shape[0], rows))


def class_table_from_json(document: object) -> ClassTable:
    """Build a table from the decoded content of a `classes.json`; the reverse of `class_table_to_json`.

    Raises:
        DataError: when it is not of the form, or the table contradicts itself.
    """
    problems = list(islice(find_form_problems(document), _MOST_PROBLEMS))
    if problems:
        raise DataError("The class table cannot be used:", [*problems, CLASSES_FORM])
    assert isinstance(document, dict), "other forms are refused"
    entries = document["classes"]
    void = tuple(tuple(colour) for colour in document.get("void", ()))
    given = [tuple(entry["rgb"]) for entry in entries if "rgb" in entry]
    free = iter(choose_colours(len(entries) - len(given), (*given, *void)))
    names = tuple(entry["name"] for entry in entries)
    table = {
        "names": names,
        "colours": tuple(tuple(entry["rgb"]) if "rgb" in entry else next(free) for entry in entries),
        "scored": tuple(document.get("scored", names)),
        "void": void,
        "ids": tuple(entry["id"] for entry in entries if "id" in entry),
    }
    return ClassTable(**(_add_background(table) if len(names) == 1 else table))


def class_table_to_json(table: ClassTable) -> dict[str, object]:
    """Return the table in the form of a `classes.json`."""
    entries: list[dict[str, object]] = [
        {"name": name, "rgb": list(rgb)} for name, rgb in zip(table.names, table.colours, strict=True)
    ]
    for entry, number in zip(entries, table.ids, strict=False):
        entry["id"] = number
    return {"classes": entries, "scored": list(table.scored), "void": [list(colour) for colour in table.void]}


def _add_background(table: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a table of one class with everything else as a second: black, or number 0."""
    ids = table["ids"]
    if BLACK in (*table["colours"], *table["void"]) or 0 in ids:
        return table
    more = {"names": (BACKGROUND,), "colours": (BLACK,), "ids": (0,) if ids else ()}
    return {**table, **{name: table[name] + added for name, added in more.items()}}


def _find_table_problems(table: ClassTable) -> Iterator[str]:
    if not 2 <= len(table.names) <= MOST_CLASSES:
        yield (
            f"{count_words(len(table.names), 'class', 'classes')}: "
            f"a table has 2 to {MOST_CLASSES}; {_advise_on_count(len(table.names))}"
        )
        return
    if len(table.names) != len(table.colours):
        yield (
            f"{count_words(len(table.names), 'name')} "
            f"but {count_words(len(table.colours), 'colour')}: each class needs one"
        )
    if table.ids and len(table.names) != len(table.ids):
        yield (
            f"{count_words(len(table.names), 'name')} "
            f"but {count_words(len(table.ids), 'number')}: each class has one, or none has"
        )
    yield from (f"number {number} occurs twice" for number in find_repeated(table.ids))
    yield from (f"number {number} is outside 0..65535" for number in table.ids if not 0 <= number <= 65535)
    yield from _find_name_problems(table.names)
    every_colour = (*table.colours, *table.void)
    yield from (f"colour {colour} occurs twice" for colour in find_repeated(every_colour))
    if any(not 0 <= part <= 255 for colour in every_colour for part in colour):
        yield "a colour has a part outside 0..255"
    names = frozenset(table.names)
    yield from (f"scored class {name!r} is not among the classes" for name in table.scored if name not in names)
    repeated = {*find_repeated(table.names)}
    yield from (f"scored class {name!r} occurs twice" for name in find_repeated(table.scored) if name not in repeated)
    if not table.scored:
        yield "no class is scored: name at least one in 'scored'"


def _advise_on_count(classes: int) -> str:
    if classes == 1:
        return "everything else is void or black here, so name what is not it"
    return "make several one class by their 'ids' in a dataset.json" if classes else "name them, or move the file away"


def _find_name_problems(names: tuple[str, ...]) -> Iterator[str]:
    yield from (f"class name {fault}" for fault in map(find_name_fault, names) if fault)
    yield from (f"class name {name!r} occurs twice; rename one" for name in find_repeated(names))
    if VOID_NAME in names:
        yield f"class name {VOID_NAME!r} stands for pixels without a class; choose another"
    for first, second in find_equal_names(tuple(dict.fromkeys(names))):
        yield f"class names {first!a} and {second!a} look alike; rename one"


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
