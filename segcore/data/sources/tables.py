"""The class table and mask encoding of a folder that is known by its files alone, from what lies in it.

    classes.json                                  as everywhere, see `classes`
    names.txt, classes.txt, labels.txt, ...       class names, among the masks too, see `names_file`
    class_dict.csv, labelmap.txt, ...             of masks of colours, a palette or greys, see `colours_file`
    nothing                                       masks of numbers: a class for each number that occurs

Nothing is guessed without saying so: each function returns notes for a person.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from segcore.data.classes import (
    BACKGROUND,
    MOST_CLASSES,
    VOID,
    ClassTable,
    find_class_table,
    score_all_but_background,
)
from segcore.data.colours import BLACK, Colour, choose_colours
from segcore.data.encoding import LARGEST_VALUE, Kind, build_encoding, encoding_of
from segcore.data.names import has_name
from segcore.data.sources.advice import init_command
from segcore.data.sources.colours_file import find_colours_file, read_colours
from segcore.data.sources.kinds import count_codes, find_kind
from segcore.data.sources.mask_values import MaskValues, find_doubts, require_sharp
from segcore.data.sources.meaning import CLASSES_FILE, Table, leave_out_void, read_by, stand_for_colours
from segcore.data.sources.names_file import find_names_file, read_names
from segcore.errors import DataError


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
    named = _find_named(folder, kind, palette, masks)
    if named is not None:
        return named
    if kind == "rgb":
        names = find_names_file(folder, masks)
        told = f" ({names.name} names numbers, which they have none of)" if names is not None else ""
        raise DataError(
            f"{folder}: masks have colours, and no classes.json says what they mean{told}; '{init_command(folder)}' "
            "counts them and writes a file to fill in."
        )
    return _table_of_values(folder, kind, masks, palette)


def find_named_table(folder: Path, masks: Sequence[Path]) -> Table | None:
    """Return what masks mean by a file in their folder that names classes, or None where none does.

    Args:
        folder: the data-set folder.
        masks: its masks, at least one.

    Raises:
        DataError: when such a file cannot be used.
    """
    return _find_named(folder, *find_kind(masks), masks)


def _find_named(folder: Path, kind: Kind, palette: Sequence[Colour], masks: Sequence[Path]) -> Table | None:
    table = find_class_table(folder)
    if table is not None:
        return read_by(table, kind, palette, CLASSES_FILE, masks)
    listed = find_names_file(folder, masks) if kind != "rgb" else None
    # What lies in the folder itself goes before a list among the masks.
    if listed is None or find_names_file(folder) is None:
        coloured = _find_coloured(folder, kind, palette, masks)
        if coloured is not None or listed is None:
            return coloured
    return leave_out_void(read_by(_table_of_names(listed, palette), kind, palette, listed.name, masks), masks)


def _find_coloured(folder: Path, kind: Kind, palette: Sequence[Colour], masks: Sequence[Path]) -> Table | None:
    file = find_colours_file(folder)
    if file is None:
        return None
    named = read_colours(file)
    # Of numbers that stand for no colours it says nothing.
    if kind != "rgb" and not stand_for_colours(named, kind, palette, file.name, masks):
        return None
    return leave_out_void(read_by(named, kind, palette, file.name, masks), masks)


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
    void = {LARGEST_VALUE} if counted.is_void_a_class else {VOID, LARGEST_VALUE}
    values = sorted(counts.keys() - void)
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
        *(["65535, which is -1 in 16 bits, is void"] if LARGEST_VALUE in counts else []),
        *find_doubts(counted, masks),
    )
    index_of = {**dict.fromkeys(void & counts.keys(), VOID), **dict(encoding_of(classes).index_of)}
    encoding = build_encoding(kind, index_of, palette)
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
