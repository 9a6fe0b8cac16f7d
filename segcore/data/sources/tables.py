"""The class table and mask encoding of a folder that is known by its files alone, from what lies in it.

    classes.json                                  as everywhere, see `classes`
    names.txt, classes.txt, labels.txt, ...       class names, see `names_file`
    class_dict.csv, labelmap.txt, ...             of masks of colours, see `colours_file`
    nothing                                       masks of numbers: a class for each number that occurs

Nothing is guessed without saying so: each function returns notes for a person.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from segcore.data.classes import (
    BACKGROUND,
    MOST_CLASSES,
    VOID,
    ClassTable,
    find_class_table,
    is_background,
    score_all_but_background,
)
from segcore.data.colours import BLACK, Colour, choose_colours
from segcore.data.encoding import Kind, MaskEncoding, build_encoding, encoding_of
from segcore.data.names import has_name
from segcore.data.sources.advice import init_command
from segcore.data.sources.colours_file import find_colours_file, read_colours
from segcore.data.sources.kinds import count_codes, find_kind, is_grey_palette
from segcore.data.sources.mask_values import MaskValues, find_doubts, require_sharp
from segcore.data.sources.names_file import ADE_FILES, LISTS_OF_NAMES, find_names_file, read_names
from segcore.errors import DataError

CLASSES_FILE: Final = "classes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the masks of a folder mean.

    Args:
        classes: the class table.
        encoding: how masks say classes.
        notes: where both come from, a line each.
    """

    classes: ClassTable
    encoding: MaskEncoding
    notes: tuple[str, ...]


def names_classes(folder: Path) -> bool:
    """Say whether a table or a list in a folder names its classes; it goes before those that a layout is known for.

    Raises:
        DataError: when there are lists that are not the same.
    """
    return has_name(folder / CLASSES_FILE) or find_names_file(folder) is not None


def find_table(folder: Path, masks: Sequence[Path]) -> Table:
    """Return what masks mean, from what lies in their folder or, of masks of numbers, from the numbers themselves.

    Args:
        folder: the data-set folder.
        masks: its masks, at least one.

    Raises:
        DataError: when masks have colours and nothing names them, or a file that names classes cannot be used.
    """
    kind, palette = find_kind(masks)
    table = find_class_table(folder)
    if table is not None:
        return read_by(table, kind, palette, CLASSES_FILE, masks)
    file = find_colours_file(folder) if kind == "rgb" else find_names_file(folder)
    if file is not None:
        named = read_colours(file) if kind == "rgb" else _table_of_names(file, palette)
        return read_by(named, kind, palette, file.name, masks)
    if kind == "rgb":
        raise DataError(
            f"{folder}: masks have colours, and no classes.json says what they mean; '{init_command(folder)}' "
            "counts them and writes a file to fill in."
        )
    return _table_of_values(folder, kind, masks, palette)


def read_by(table: ClassTable, kind: Kind, palette: Sequence[Colour], source: str, masks: Sequence[Path]) -> Table:
    """Return what masks mean by a table that a file describes.

    Args:
        table: the file's.
        kind: what masks hold.
        palette: which they share, if any.
        source: the file's name.
        masks: at least one.

    Raises:
        DataError: when a mask cannot be decoded.
    """
    notes = [f"classes: {len(table)}, named in {source}"]
    if kind == "rgb":
        # A table may give numbers too, and masks have one of the two.
        return Table(classes=table, encoding=encoding_of(replace(table, ids=())), notes=(*notes, "masks: colours"))
    by_colour = source not in LISTS_OF_NAMES and not table.ids
    known = _find_by_colours(table, kind, palette, masks) if by_colour else {}
    if known:
        said = "colours of their palette" if palette else "grey levels, which are the colours of the classes"
        if palette and VOID not in known:
            known[VOID] = VOID
            said += ", 255 is void"
        notes.append(f"masks: read by the {said}")
        return Table(classes=table, encoding=build_encoding(kind, known, palette), notes=tuple(notes))
    told = f"masks: numbers, as {source} gives them"
    if source in ADE_FILES:
        told += "; 0, where it names nothing, and 255 are void"
    elif table.ids and min(table.ids) == 1:
        told += f'; if they have 0 too, name it in {source}, or call it void in a dataset.json: "void": [0, 255]'
    if not table.ids:
        table, told = _number_in_order(table, kind, source, masks)
    if _has_levels_of(table, palette, masks):
        kind, palette, told = "grey", (), f"{told}; they are the grey levels of a palette"
    index_of = ({0: VOID} if source in ADE_FILES else {}) | dict(encoding_of(table).index_of)
    return Table(classes=table, encoding=build_encoding(kind, index_of, palette), notes=(*notes, told))


def _find_by_colours(table: ClassTable, kind: Kind, palette: Sequence[Colour], masks: Sequence[Path]) -> dict[int, int]:
    """Return the class of each number of masks whose numbers stand for colours that the table names; else none."""
    colours = dict(enumerate(palette))
    if not palette and all(len(set(colour)) == 1 for colour in table.colours):
        colours = {level: (level, level, level) for level in range(VOID + 1)}
    elif palette and {*table.colours} <= {*palette}:
        return _list_known(table, colours)
    numbers = count_codes(masks, kind).keys() & colours.keys() if colours else set[int]()
    if not palette and len(table) == 2 and numbers <= {0, 1}:
        # Of one class and everything else, whatever its colour.
        return {}
    # Of a palette 255 is the border, whatever its colour.
    return _list_known(table, colours) if _means_colours(table, colours, numbers - {VOID if palette else -1}) else {}


def _list_known(table: ClassTable, colours: Mapping[int, Colour]) -> dict[int, int]:
    by_number = {number: _index_of(table, colour) for number, colour in colours.items()}
    return {number: index for number, index in by_number.items() if index is not None}


def _means_colours(table: ClassTable, colours: Mapping[int, Colour], numbers: Set[int]) -> bool:
    """Say whether the colours that numbers stand for are the table's, so that they are those of who wrote the file.

    Raises:
        DataError: when some are, and are not in the table's order, but others that occur are not.
    """
    # A file may lack the colours of classes that are in no mask.
    index_of = {number: _index_of(table, colours[number]) for number in sorted(numbers)}
    strange = next((number for number, index in index_of.items() if index is None), None)
    if strange is None:
        return bool(colours)
    for number, index in index_of.items():
        if index not in (None, VOID, number):
            raise DataError(
                f"By its colour number {number} of the masks is {table.names[index]}, and number {strange} no class, "
                f"{colours[strange]}; add it to {CLASSES_FILE}, or give each class an id."
            )
    return False


def _has_levels_of(table: ClassTable, palette: Sequence[Colour], masks: Sequence[Path]) -> bool:
    """Say whether the levels of a grey palette are numbers of the table, where they are not its places."""
    if not palette or not is_grey_palette(palette):
        return False
    used = [place for place in count_codes(masks, "index") if place < len(palette)]
    levels = {palette[place][0] for place in used if palette[place][0] != place}
    return bool(levels) and levels <= {*table.ids}


def _number_in_order(table: ClassTable, kind: Kind, source: str, masks: Sequence[Path]) -> tuple[ClassTable, str]:
    """Return the table with the numbers of its order, and how they were found, for a person."""
    numbers = list(range(len(table)))
    told = f"masks: numbers, 0 to {len(table) - 1} in the order of {source}, 255 is void"
    if len(table) > 2 and not is_background(table.names[0]):
        # With the last class and everything else in no mask, those that count from 1 look the same.
        given = f"{source}, as '1 {table.names[0]}'" if source in LISTS_OF_NAMES else f'{CLASSES_FILE}, as "id": 1'
        told += f"; if they count from 1, every class is read one off: give each its number in {given}"
    if len(table) == 2:
        # Everything else is 0, wherever it stands.
        if table.names[1].lower() == BACKGROUND:
            numbers = [1, 0]
        if count_codes(masks, kind).keys() <= {0, VOID}:
            numbers = [VOID if number else 0 for number in numbers]
        pairs = sorted(zip(numbers, table.names, strict=True))
        told = "masks: numbers, " + " and ".join(f"{number} is {name}" for number, name in pairs)
        told += ": there are no others" if VOID in numbers else ", 255 is void"
    return replace(table, ids=tuple(numbers)), told


def _index_of(table: ClassTable, colour: Colour) -> int | None:
    if colour in table.void:
        return VOID
    return table.colours.index(colour) if colour in table.colours else None


def _table_of_names(file: Path, palette: Sequence[Colour]) -> ClassTable:
    names, numbers = read_names(file)
    if len(names) == 1:
        names = (BACKGROUND, *names)
    try:
        colours = _colours(numbers or range(len(names)), palette)
        return ClassTable(names=names, colours=colours, scored=score_all_but_background(names), ids=numbers)
    except DataError as error:
        raise DataError(f"{file} cannot be used:", error.problems) from error


def _table_of_values(folder: Path, kind: Kind, masks: Sequence[Path], palette: Sequence[Colour]) -> Table:
    counts = count_codes(masks, kind)
    counted = MaskValues(kind=kind, palette=tuple(palette), pixels=counts, images=Counter(), masks=len(masks))
    values = sorted(value for value in counts if value != VOID or counted.is_void_a_class)
    require_sharp(counted, masks)
    if len(values) > MOST_CLASSES:
        raise DataError(
            f"Masks have {len(values)} different numbers, and at most {MOST_CLASSES} are classes; if their borders are "
            "smoothed or they show objects and not classes, make them again."
        )
    if len(values) < 2:
        alone = f"the number {values[0]}" if values else "void, which is 255,"
        raise DataError(f"Masks have {alone} alone, so there is nothing to tell apart; are they masks of classes?")
    names = tuple(BACKGROUND if value == 0 and len(values) == 2 else f"class_{value}" for value in values)
    classes = ClassTable(
        names=names,
        colours=_colours(values, palette),
        scored=score_all_but_background(names),
        ids=tuple(values),
    )
    told = ", ".join(str(value) for value in values)
    notes = (
        f"classes: not named; one for each number in the masks: {told} ('{init_command(folder, force=True)}' writes a "
        "file to name them in)",
        "masks: numbers" + (_tell_class_255(values) if VOID in values else ", 255 is void"),
        *find_doubts(counted, masks),
    )
    encoding = replace(encoding_of(classes), kind=kind, palette=tuple(palette))
    return Table(classes=classes, encoding=encoding, notes=notes)


def _tell_class_255(values: Sequence[int]) -> str:
    reason = "there is only 0 beside it" if len(values) == 2 else "they are spread evenly from 0 to it"
    return f"; 255 is a class, as {reason}"


def _colours(values: Sequence[int], palette: Sequence[Colour]) -> tuple[Colour, ...]:
    """Return the palette's colours where they tell classes apart, else others."""
    own = [palette[value] for value in values if value < len(palette)]
    if len(own) == len(values) and len(set(own)) == len(own):
        return tuple(own)
    return choose_colours(len(values), (BLACK,))
