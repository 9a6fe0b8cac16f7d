"""Files that say which colour of masks is which class, in the forms in which data sets come with them.

    class_dict.csv       name,r,g,b              then a line for each class; class_dict_seg.csv and label_class_dict.csv
    label_colors.txt     64 128 64 Animal        a line for each class
    labelmap.txt         road:128,64,128::       a line for each class, as CVAT writes it

What they call void, unlabelled or ignore counts nowhere; of a labelmap.txt `meaning` leaves it out.
"""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from segcore.data.classes import ClassTable, is_called_void, score_all_but_background
from segcore.data.colours import Colour
from segcore.data.names import find_called
from segcore.data.texts import read_text
from segcore.errors import DataError

CLASS_DICT: Final = "class_dict.csv"
_CLASS_DICTS: Final = (CLASS_DICT, "class_dict_seg.csv", "label_class_dict.csv")
LABEL_COLOURS: Final = "label_colors.txt"
LABEL_MAP: Final = "labelmap.txt"
COLOURS_FILES: Final = (*_CLASS_DICTS, LABEL_COLOURS, LABEL_MAP)
"""Whatever the case of their letters."""

_CHANNELS: Final = 3
_TOLD_LETTERS: Final = 200
_LINE: Final = re.compile(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\S.*?)\s*")

_Rows = list[tuple[str, Colour]]


def find_colours_file(folder: Path) -> Path | None:
    """Return the file of a folder that names the colours of masks, whatever the case of its letters, or None."""
    return next(iter(find_called(folder, COLOURS_FILES)), None)


def read_colours(file: Path) -> ClassTable:
    """Return the classes that a file names, by their colours.

    Args:
        file: called as one of the known forms.

    Raises:
        DataError: when it cannot be read, or its classes contradict each other.
    """
    name = file.name.lower()
    parse, form = _FORMS[name]
    if not file.is_file():
        raise DataError(f"{file} is no regular file; it has {form}.")
    try:
        rows = parse(read_text(file))
        # In masks of numbers CVAT counts all its lines, so none may be missing yet.
        left_out = [(called, colour) for called, colour in rows if name != LABEL_MAP and is_called_void(called)]
        named = [row for row in rows if row not in left_out]
        names = tuple(name for name, _ in named)
        return ClassTable(
            names=names,
            colours=tuple(colour for _, colour in named),
            scored=score_all_but_background(names),
            void=tuple(colour for _, colour in left_out),
        )
    except DataError as error:
        raise DataError(f"{file} cannot be used:", error.problems) from error
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file} cannot be read ({str(error)[:_TOLD_LETTERS]}); it has {form}.") from error


def _parse_class_dict(text: str) -> _Rows:
    heading = text.partition("\n")[0].strip()
    # Where a comma stands in numbers, spreadsheets write semicolons.
    lines = csv.reader(text.splitlines(), strict=True, delimiter=max(",;\t", key=heading.count))
    columns = [column.strip().lower() for column in next(lines, [])]
    if not {"name", "r", "g", "b"} <= {*columns}:
        raise ValueError(f"its first line is {heading!r:.60}")
    rows: _Rows = []
    for line in filter(any, lines):
        if len(line) != len(columns):
            raise ValueError(f"the line {line!r:.60}")
        row = dict(zip(columns, (value.strip() for value in line), strict=True))
        rows.append((row["name"], _parse_colour([row["r"], row["g"], row["b"]])))
    return rows


def _parse_label_colours(text: str) -> _Rows:
    rows: _Rows = []
    for line in filter(str.strip, text.splitlines()):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"the line {line!r:.60}")
        rows.append((match[4], (int(match[1]), int(match[2]), int(match[3]))))
    return rows


def _parse_label_map(text: str) -> _Rows:
    lines = [line.strip() for line in text.splitlines()]
    parts = [line.rsplit(":", maxsplit=3) for line in lines if line and not line.startswith("#")]
    return [(name, _parse_colour(colour.split(","))) for name, colour, *_ in parts]


def _parse_colour(texts: Sequence[str]) -> Colour:
    levels = [int(text) for text in texts if text.strip().isdecimal()]
    if len(levels) != _CHANNELS or len(texts) != _CHANNELS:
        raise ValueError(f"{','.join(texts)!r:.60} are no three whole numbers from 0 to 255")
    red, green, blue = levels
    return red, green, blue


_FORMS: Final[dict[str, tuple[Callable[[str], _Rows], str]]] = {
    **dict.fromkeys(_CLASS_DICTS, (_parse_class_dict, "the columns name,r,g,b")),
    LABEL_COLOURS: (_parse_label_colours, "a line such as '64 128 64 Animal' for each class"),
    LABEL_MAP: (_parse_label_map, "a line such as 'road:128,64,128::' for each class"),
}
