"""Writes the first `dataset.json` of a folder that nobody has described: where its files lie, which values masks have.

Names are taken from a file in the folder that names classes; what it does not name is left to be filled in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segcore.data.classes import BACKGROUND, VOID
from segcore.data.colours import BLACK, Colour, choose_colours
from segcore.data.encoding import LARGEST_VALUE
from segcore.data.picture_files import write_whole
from segcore.data.sources.description import DESCRIPTION_FILE, TO_DO, format_description
from segcore.data.sources.mask_values import MaskValues
from segcore.data.sources.match import Patterns
from segcore.data.sources.meaning import Table
from segcore.data.sources.tables import find_named_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A first `dataset.json`.

    Args:
        name_of: name of each code of the masks, or of the names that were found; `TODO_...` where nobody says it.
        void: codes that count nowhere.
        source: file of the names; empty: there is none.
        content: what the file says.
    """

    name_of: dict[int, str]
    void: tuple[int, ...]
    source: str
    content: dict[str, object]

    @property
    def unnamed(self) -> int:
        """How many classes nobody has named."""
        return sum(name.startswith(TO_DO) for name in self.name_of.values())


def draft_description(folder: Path, patterns: Patterns, values: MaskValues, masks: Sequence[Path]) -> Draft:
    """Return a first `dataset.json`.

    Args:
        folder: the data-set folder.
        patterns: where images and masks lie.
        values: what masks have.
        masks: their files.

    Raises:
        DataError: when the folder has a file of names that cannot be used.
    """
    table = find_named_table(folder, masks)
    name_of = _list_names(table) if table is not None else {}
    known_void = {code for code, index in table.encoding.index_of if index == VOID} if table is not None else set()
    if values.kind != "rgb" and not values.is_void_a_class:
        known_void |= {VOID, LARGEST_VALUE} - name_of.keys()
    void = sorted(known_void & values.pixels.keys())
    for code in sorted(values.pixels.keys() - name_of.keys() - {*void}):
        name_of[code] = _name_code(code, values)
    encoding = _choose_encoding(values, table, list(name_of))
    classes = _list_classes(name_of, values)
    if encoding == "index":
        for entry, colour in zip(classes, _choose_shown(list(dict.fromkeys(name_of.values())), table), strict=True):
            entry["rgb"] = list(colour)
    content: dict[str, object] = {
        "images": patterns.images,
        "masks": patterns.masks,
        "encoding": encoding,
        "classes": classes,
        "void": [_write_code(code, values) for code in void],
    }
    source = table.source if table is not None else ""
    return Draft(name_of=name_of, void=tuple(void), source=source, content=content)


def save_draft(draft: Draft, folder: Path) -> Path:
    """Write a first `dataset.json`, whole or not at all, and return the file.

    Raises:
        StorageError: when it cannot be written.
    """
    file = folder / DESCRIPTION_FILE
    write_whole(format_description(draft.content).encode(), file)
    return file


def _list_names(table: Table) -> dict[int, str]:
    return {code: table.classes.names[index] for code, index in table.encoding.index_of if index != VOID}


def _name_code(code: int, values: MaskValues) -> str:
    if values.kind == "rgb":
        return f"{TO_DO}class_{code >> 16}_{code >> 8 & 255}_{code & 255}"
    return BACKGROUND if code == 0 and len(values.pixels.keys() | {VOID}) <= 3 else f"{TO_DO}class_{code}"


def _choose_encoding(values: MaskValues, table: Table | None, codes: Sequence[int]) -> str:
    colours = {values.palette[code] for code in codes if code < len(values.palette)}
    # A palette of few colours shows little.
    if values.palette and table is None and len(colours) == len(codes):
        return "palette"
    return "rgb" if values.kind == "rgb" else "index"


def _list_classes(name_of: dict[int, str], values: MaskValues) -> list[dict[str, object]]:
    """Return the classes as a `dataset.json` has them: what has one name is one class."""
    codes_of: dict[str, list[int]] = {}
    for code, name in name_of.items():
        codes_of.setdefault(name, []).append(code)
    key = "colours" if values.kind == "rgb" else "ids"
    return [{"name": name, key: [_write_code(code, values) for code in codes]} for name, codes in codes_of.items()]


def _choose_shown(names: Sequence[str], table: Table | None) -> list[Colour]:
    own = dict(zip(table.classes.names, table.classes.colours, strict=True)) if table is not None else {}
    if BACKGROUND in names:
        own.setdefault(BACKGROUND, BLACK)
    free = iter(choose_colours(len(names), (BLACK, *own.values())))
    return [own[name] if name in own else next(free) for name in names]


def _write_code(code: int, values: MaskValues) -> int | list[int]:
    return [code >> 16, code >> 8 & 255, code & 255] if values.kind == "rgb" else code
