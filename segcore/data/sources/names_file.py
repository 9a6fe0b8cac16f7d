"""Files that list the names of classes, `names.txt` and the like; read strictly, for a list misread shifts every class.

road           a name a line, in the order of the masks' numbers from 0; lines that begin with # do not count
7 road         or on each line the number first: '7 road', '7: road', '7,road', '7. road', '[7] road'

Roboflow writes `_classes.csv` into each side of the split: 'Pixel Value, Class', then '7, road'. ADE20K's table has
more columns, 'Idx Ratio Train Val Stuff Name'; of '2 0.11 6046 612 1 building, edifice' the first name is taken.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from segcore.data.classes import VOID
from segcore.data.names import find_called
from segcore.data.texts import read_text
from segcore.errors import DataError

_NAMES_FILES: Final = (
    "names.txt", "classes.txt", "labels.txt", "class_names.txt", "label_names.txt", "categories.txt", "codes.txt",
)  # fmt: skip

_ROBOFLOW_FILE: Final = "_classes.csv"

_ADE_FILES: Final = ("objectInfo150.txt", "object150_info.csv")
"""Their masks have 0 where none of the classes is."""

LISTS_OF_NAMES: Final = (*_NAMES_FILES, _ROBOFLOW_FILE, *_ADE_FILES)
"""Whatever the case of their letters."""

_ROBOFLOW_HEADING: Final = re.compile(r"pixel value\s*,\s*class", re.IGNORECASE)
_ADE_HEADING: Final = re.compile(r"idx[\s,]+ratio[\s,]+train[\s,]+val[\s,]+stuff[\s,]+name", re.IGNORECASE)
_ADE_ROW: Final = re.compile(r"(\d{1,5})(?:[\s,]+[\d.]+){4}[\s,]+([^,;]+).*")
_FORM: Final = "write a name on each line, in the order of the masks' numbers from 0, or each with its number: '7 road'"
_IGNORED: Final = "__ignore__"
_COMMENT: Final = "#"
_NUMBERED: Final = re.compile(r"\[?(\d{1,5})(\s*(?:[-=]>|[:,;=|])\s*|[.)\]]\s+|\s+-\s+|\s+)(\S.*)")
_BEGUN_BY_NUMBER: Final = re.compile(r"\W*(\d+)(.*)")
_NUMBERED_BEHIND: Final = re.compile(r"(\S.*?)(\s*[:,;=\t]\s*|\s+)(\d{1,5})")
_COLOURED: Final = re.compile(r"(\d{1,3}[\s,;]+){3}\D.*|\D.*([\s,;:=]+\d{1,3}){3}")
_NO_CLASS: Final = re.compile(
    r"\W*_*(void|un(label|known|def|class|annot|det|assign|spec|used)|ignor|invalid|none|nothing|empty|missing|null|n/?a\b"
    r"|no.?(data|label|class|value)|not\W|non\W|border|boundary|contour|ambiguous|don.?t|out.?(of|side))",
    re.IGNORECASE,
)
"""How names begin that 255 has where it counts nowhere."""
_MARKED: Final = re.compile(r"[-*]\s.*|([\"']).*\1,?|.*,")
_WORDS: Final = re.compile(r"[a-z]+")
_TITLES_ALONE: Final = frozenset(
    ("name", "names", "class", "classes", "label", "labels", "category", "categories", "id", "ids")
)
_TITLES: Final = _TITLES_ALONE | {"idx", "index", "number", "no", "value", "r", "g", "b", "rgb"}
_LONGEST_LINE: Final = 300
"""Of lines whose parts are told apart; no longer one is a name."""


def is_list_of_names(name: str) -> bool:
    """Say whether a file of this name lists names of classes."""
    return name.lower() in map(str.lower, LISTS_OF_NAMES)


def is_of_ade(name: str) -> bool:
    """Say whether a file of this name is ADE20K's."""
    return name.lower() in map(str.lower, _ADE_FILES)


def find_names_file(folder: Path, masks: Sequence[Path] = ()) -> Path | None:
    """Return the file that lists names of classes, in a folder or else among its masks, or None.

    Args:
        folder: the data-set folder.
        masks: its masks; a list of them, as others keep it, names no classes.

    Raises:
        DataError: when there are several, which are not the same.
    """
    found = [*find_called(folder, LISTS_OF_NAMES), *sorted(folder.glob(f"*/{_ROBOFLOW_FILE}"))]
    if not found:
        direct = {mask.parent for mask in masks}
        among = direct | {above for parent in direct for above in parent.parents}
        below = sorted(parent for parent in among if folder in parent.parents)
        found = [file for parent in below for file in find_called(parent, LISTS_OF_NAMES)]
    found = [file for file in found if not _lists_masks(file, masks)]
    readable = [file for file in found if file.is_file()]
    other = next((file for file in readable[1:] if _read_lines(file) != _read_lines(readable[0])), None)
    if other is not None:
        raise DataError(
            f"{folder} has {readable[0].relative_to(folder)} and {other.relative_to(folder)}, which do not name the "
            "same classes; move the one that is not meant away."
        )
    return found[0] if found else None


def _lists_masks(file: Path, masks: Sequence[Path]) -> bool:
    lines = _read_lines(file) if masks and file.is_file() else []
    names = {name for mask in masks for name in (mask.name, mask.stem)}
    return bool(lines) and all(Path(os.fsdecode(line)).name in names for line in lines)


def read_names(file: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return class names, and the number of each if the file gives them.

    Empty lines at the end do not count, nor labelme's name for 255 at the top. Beside two classes or more, 255 is void,
    unless the file calls it otherwise.

    Raises:
        DataError: when the file cannot be read, or nobody can tell which name has which number.
    """
    if not file.is_file():
        raise DataError(f"{file} is no regular file; it has the name of a class on each line.")
    try:
        text = read_text(file).rstrip().splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}); it has the name of a class on each line.") from error
    lines = [line.strip() for line in text if not line.startswith(_COMMENT)]
    lines = _read_heading(lines)
    fault = next(_find_faults(lines), "")
    if fault:
        raise DataError(f"{file} cannot be used:", [f"{fault}; {_FORM}"])
    return _split_numbers(lines)


def _read_heading(lines: list[str]) -> list[str]:
    """Return lines without a heading that is known, each with its number and name alone."""
    heading = next(iter(lines), "")
    if heading == _IGNORED or _ROBOFLOW_HEADING.fullmatch(heading):
        return lines[1:]
    rows = [_ADE_ROW.fullmatch(line) for line in lines[1:]] if _ADE_HEADING.fullmatch(heading) else [None]
    named = [f"{row[1]} {row[2].strip()}" for row in rows if row is not None]
    return named if len(named) == len(rows) else lines


def _read_lines(file: Path) -> list[bytes]:
    try:
        return [line.strip() for line in file.read_bytes().rstrip().splitlines()]
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error}); it has the name of a class on each line.") from error


def _find_faults(lines: Sequence[str]) -> Iterator[str]:
    """Yield why names cannot be told from what else stands on the lines."""
    if lines and _is_heading(lines[0]):
        yield f"line 1, {lines[0]!r:.60}, is a heading and no class"
    if len(lines) == 1 and (lines[0][:1] in "[{" or "," in lines[0]):
        yield f"its only line, {lines[0]!r:.60}, is a list"
    if "" in lines[1:]:
        yield f"the line behind {lines[lines.index('', 1) - 1]!r:.60} is empty: take it out, or name its number"
    if len(lines) < 2 or any(len(line) > _LONGEST_LINE for line in lines):
        return
    if all(map(_COLOURED.fullmatch, lines)):
        yield f"its lines have colours, as {lines[0]!r:.60}; of masks that hold colours a classes.json names them"
    numbered = [match for line in lines if (match := _NUMBERED.fullmatch(line))]
    # A single '2 wheeler' is a name.
    if len(numbered) < len(lines) and (len(numbered) > 1 or any(match[2].strip() for match in numbered)):
        bare = next(line for line in lines if not _NUMBERED.fullmatch(line))
        yield f"some of its lines begin with a number, as {numbered[0][0]!r:.60}, and others do not, as {bare!r:.60}"
    if not numbered and _begin_with_numbers(lines):
        yield f"its lines begin with a number of another form, as {lines[0]!r:.60}"
    if not numbered and _has_numbers_behind(lines):
        yield f"its lines have the number behind the name, as {lines[0]!r:.60}"
    if all(map(_MARKED.fullmatch, lines[:-1])):
        yield f"its lines have dashes, quotes or commas, as {lines[0]!r:.60}"


def _is_heading(line: str) -> bool:
    words = _WORDS.findall(line.lower())
    return not re.search(r"\d", line) and (
        bool(words) and _TITLES.issuperset(words) and (len(words) > 1 or _TITLES_ALONE.issuperset(words))
    )


def _has_numbers_behind(lines: Sequence[str]) -> bool:
    matches = [match for line in lines if (match := _NUMBERED_BEHIND.fullmatch(line))]
    if len(matches) < len(lines):
        return False
    if all(match[2].strip(" ") for match in matches):
        return True
    # 'lane 1' and 'lane 2' are names; 'road 7' and 'car 26' are not, nor does it matter where the order says the same.
    apart = len({match[1] for match in matches}) == len({match[3] for match in matches}) == len(lines)
    return apart and [int(match[3]) for match in matches] != list(range(len(lines)))


def _begin_with_numbers(lines: Sequence[str]) -> bool:
    matches = [match for line in lines if (match := _BEGUN_BY_NUMBER.fullmatch(line))]
    # '2-wheeler' and '4-wheeler' are names.
    return len({match[1] for match in matches}) == len({match[2] for match in matches}) == len(lines)


def _split_numbers(lines: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    found = [_NUMBERED.fullmatch(line) for line in lines]
    if len(lines) < 2 or None in found:
        return tuple(lines), ()
    pairs = [(match[3], int(match[1])) for match in found if match is not None]
    called = [name for name, number in pairs if number == VOID]
    # Cityscapes' training numbers have 255 for the hood, the ground and much else.
    is_void = len(pairs) > 2 and (len(called) > 1 or any(map(_NO_CLASS.match, called)))
    kept = [one for one in pairs if one[1] != VOID or not is_void]
    return tuple(name for name, _ in kept), tuple(number for _, number in kept)
