"""What masks mean by a table of classes: by its colours, its numbers, or its order.

Finding the table lives in `tables`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from segcore.data.classes import BACKGROUND, VOID, ClassTable, is_background, is_called_void
from segcore.data.colours import BLACK, WHITE, Colour
from segcore.data.encoding import Kind, MaskEncoding, build_encoding, encoding_of
from segcore.data.sources.kinds import count_codes, is_grey_palette
from segcore.data.sources.names_file import is_list_of_names, is_of_ade
from segcore.errors import DataError

CLASSES_FILE: Final = "classes.json"

_FEWEST: Final = 2
"""Classes of a table."""
_SAMPLE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What the masks of a folder mean.

    Args:
        classes: the class table.
        encoding: how masks say classes.
        notes: where both come from, a line each.
        source: file in the data set's folder that names the classes; empty: there is none.
    """

    classes: ClassTable
    encoding: MaskEncoding
    notes: tuple[str, ...]
    source: str = ""


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
        encoding, told = encoding_of(replace(table, ids=())), "masks: colours"
        return Table(classes=table, encoding=encoding, notes=(*notes, told), source=source)
    by_colour = not is_list_of_names(source) and not table.ids
    known = _find_by_colours(table, kind, palette, source, masks) if by_colour else {}
    if known:
        said = "colours of their palette" if palette else "grey levels, which are the colours of the classes"
        if palette and VOID not in known:
            known[VOID] = VOID
            said += ", 255 is void"
        encoding, told = build_encoding(kind, known, palette), f"masks: read by the {said}"
        return Table(classes=table, encoding=encoding, notes=(*notes, told), source=source)
    told = f"masks: numbers, as {source} gives them"
    if is_of_ade(source):
        told += "; 0, where it names nothing, and 255 are void"
    elif table.ids and min(table.ids) == 1:
        told += f'; if they have 0 too, name it in {source}, or call it void in a dataset.json: "void": [0, 255]'
    if not table.ids:
        table, told = _number_in_order(table, kind, source, masks)
    if _has_levels_of(table, palette, masks):
        kind, palette, told = "grey", (), f"{told}; they are the grey levels of a palette"
    if VOID in table.ids and len(table) > _FEWEST:
        told += f"; {VOID} is {table.names[table.ids.index(VOID)]}, and nothing is void"
    index_of = ({0: VOID} if is_of_ade(source) else {}) | dict(encoding_of(table).index_of)
    encoding = build_encoding(kind, index_of, palette)
    return Table(classes=table, encoding=encoding, notes=(*notes, told), source=source)


def leave_out_void(table: Table, masks: Sequence[Path]) -> Table:
    """Return what masks mean without the classes that are called void, of which the pixels count nowhere.

    Args:
        table: by a list of names or colours; where it has one class beside void, that is everything else, and a class.
        masks: at least one.
    """
    classes = table.classes
    kept = [index for index, name in enumerate(classes.names) if not is_called_void(name)]
    if len(kept) == len(classes) or len(kept) < _FEWEST:
        return table
    place_of = {index: place for place, index in enumerate(kept)}
    codes = table.encoding.index_of
    void = [(table.encoding.name_code(code), classes.names[i]) for code, i in codes if i not in place_of and i != VOID]
    told = ", ".join(f"{code} ({name})" for code, name in void)
    return replace(
        table,
        classes=replace(
            classes,
            names=tuple(classes.names[index] for index in kept),
            colours=tuple(classes.colours[index] for index in kept),
            scored=tuple(name for name in classes.scored if not is_called_void(name)),
            void=classes.void if classes.ids else (*classes.void, *_list_others(classes.colours, kept)),
            ids=tuple(classes.ids[index] for index in kept if classes.ids),
        ),
        encoding=replace(
            table.encoding, index_of=tuple((code, place_of.get(index, VOID)) for code, index in table.encoding.index_of)
        ),
        notes=(*table.notes, f"void by their names: {told}", *_doubt_two_voids(table, kept, masks)),
    )


def _doubt_two_voids(table: Table, kept: Sequence[int], masks: Sequence[Path]) -> Iterator[str]:
    """Yield what may be misread where 0 is void by its name and masks have 255 too."""
    first, kind = table.classes.names[kept[0]], table.encoding.kind
    index_of = dict(table.encoding.index_of)
    if kind == "rgb" or index_of.get(1) != kept[0] or index_of.get(0, VOID) in (VOID, *kept):
        return
    found: Counter[int] = Counter()
    for mask in masks[:: max(1, len(masks) // _SAMPLE)]:
        # Who decodes all masks names one that cannot be.
        with suppress(DataError):
            found += count_codes([mask], kind)
    if {0, VOID} <= found.keys():
        yield (
            f"masks have 0 and {VOID}: if 0 is {first}, as in COCO-Stuff's, and {VOID} alone is void, every class is "
            f"read one off: then take {table.classes.names[index_of[0]]} out of {table.source}, and its numbers"
        )


def _list_others(colours: Sequence[Colour], kept: Sequence[int]) -> tuple[Colour, ...]:
    return tuple(colour for index, colour in enumerate(colours) if index not in kept)


def stand_for_colours(
    table: ClassTable, kind: Kind, palette: Sequence[Colour], source: str, masks: Sequence[Path]
) -> bool:
    """Say whether masks of numbers have those that stand for the table's colours: places of a palette, or greys.

    Args:
        table: the file's.
        kind: what masks hold.
        palette: which they share, if any.
        source: the file's name.
        masks: at least one.

    Raises:
        DataError: when some stand for colours of the table, and others for none.
    """
    one_bit = not palette and {*table.colours} == {BLACK, WHITE} and count_codes(masks, kind).keys() <= {0, 1}
    return one_bit or bool(_find_by_colours(table, kind, palette, source, masks))


def _find_by_colours(
    table: ClassTable, kind: Kind, palette: Sequence[Colour], source: str, masks: Sequence[Path]
) -> dict[int, int]:
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
    meant = _means_colours(table, colours, numbers - {VOID if palette else -1}, source)
    return _list_known(table, colours) if meant else {}


def _list_known(table: ClassTable, colours: Mapping[int, Colour]) -> dict[int, int]:
    by_number = {number: _index_of(table, colour) for number, colour in colours.items()}
    return {number: index for number, index in by_number.items() if index is not None}


def _means_colours(table: ClassTable, colours: Mapping[int, Colour], numbers: Set[int], source: str) -> bool:
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
                f"{colours[strange]}; add it to {source}"
                + (", or give each class an id." if source == CLASSES_FILE else ".")
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
    if len(table) > 2 and not (is_background(table.names[0]) or is_called_void(table.names[0])):
        # With the last class and everything else in no mask, those that count from 1 look the same.
        given = f"{source}, as '1 {table.names[0]}'" if is_list_of_names(source) else f'{CLASSES_FILE}, as "id": 1'
        told += f"; if they count from 1, every class is read one off: give each its number in {given}"
    if len(table) == 2:
        # Everything else is 0, wherever it stands, and so is black.
        if table.names[1].lower() == BACKGROUND or (not is_list_of_names(source) and table.colours[1] == BLACK):
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
