"""The class table and the mask encoding that a `dataset.json` means; its form lives in `description`."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from segcore.counting import count_words
from segcore.data.classes import BACKGROUND, VOID, ClassTable, score_all_but_background
from segcore.data.colours import BLACK, Colour, choose_colours
from segcore.data.decoding import read_mode
from segcore.data.encoding import Kind, build_encoding, colour_code
from segcore.data.names import list_first
from segcore.data.sources.description import TO_DO, DescribedClass, Description
from segcore.data.sources.kinds import count_codes, find_kind, require_one_reading
from segcore.data.sources.meaning import Table
from segcore.errors import DataError


def build_table(description: Description, masks: Sequence[Path]) -> Table:
    """Return what masks mean.

    Args:
        description: what the `dataset.json` says.
        masks: files of masks, at least one: their palette may be needed, or their numbers.

    Raises:
        DataError: when the classes contradict each other, or masks are of another kind.
    """
    notes = [f"classes: {len(description.classes)}, named in dataset.json"]
    kind, palette = _find_kind(description, masks, notes)
    entries = description.classes
    if description.numbered:
        entries = _number(description, kind, masks, notes)
    ignored = frozenset(description.ignored)
    kept = _add_background(tuple(entry for entry in entries if entry.name not in ignored), description)
    void = _list_void(description, entries)
    names = tuple(entry.name for entry in kept)
    classes = ClassTable(
        names=names,
        colours=_choose_colours(kept, void, palette[1:] if description.reduce_zero_label else palette),
        scored=score_all_but_background(names) if description.scored is None else description.scored,
        void=() if description.numbered else tuple(code for code in void if not isinstance(code, int)),
        ids=tuple(_code(entry.ids[0], description) for entry in kept) if description.numbered else (),
    )
    if any(name.startswith(TO_DO) for name in names):
        unnamed = sum(name.startswith(TO_DO) for name in names)
        notes.append(
            f"names: {count_words(unnamed, 'class is', 'classes are')} "
            f"called {TO_DO}...; name them in dataset.json when you know them"
        )
    notes.append(_describe_masks(description, void))
    encoding = build_encoding(kind, _index_codes(description, kept, void), palette)
    return Table(classes=classes, encoding=encoding, notes=tuple(notes))


def _find_kind(description: Description, masks: Sequence[Path], notes: list[str]) -> tuple[Kind, tuple[Colour, ...]]:
    if description.encoding == "rgb":
        return "rgb", ()
    if description.encoding == "index":
        kind: Kind = "index"
        # Whoever says that masks hold numbers need not care for palettes.
        with suppress(DataError):
            found = find_kind(masks)[0]
            kind = "grey" if found == "grey" else "index"
            if found == "rgb" and read_mode(masks[0])[0] == "P":
                notes.append(
                    "palettes: each mask has its own, and its numbers are read whatever their colours; if these are "
                    "meant, write the encoding rgb"
                )
        require_one_reading(masks, kind)
        return kind, ()
    kind, palette = find_kind(masks)
    if kind != "index" or not palette:
        raise DataError(
            f"it says encoding palette, but the masks of {masks[0].parent} do not share a palette; write index if they "
            "hold numbers, or rgb if they have colours."
        )
    return kind, palette


def _number(
    description: Description, kind: Kind, masks: Sequence[Path], notes: list[str]
) -> tuple[DescribedClass, ...]:
    """Return the classes with numbers, those of their order where they have none.

    Raises:
        DataError: when void has one of that order.
    """
    entries = description.classes
    if any(entry.ids for entry in entries):
        return tuple(entries)
    alone = len(entries) == 1
    numbers = [1] if alone else list(range(len(entries)))
    if len(numbers) <= 2 and count_codes(masks, kind).keys() <= {0, VOID}:
        numbers[-1] = VOID
    for entry, number in zip(entries, numbers, strict=True):
        if number in (description.void or ()):
            raise DataError(
                f"void has {number}, which is {entry.name!r} by the order of the classes, for they have no ids; give "
                f"each class its ids, or take {number} out of void."
            )
    notes.append(f"numbers: {', '.join(map(str, numbers))} in the order of dataset.json, which gives no ids")
    return tuple(
        DescribedClass(name=entry.name, ids=(number,), rgb=entry.rgb)
        for entry, number in zip(entries, numbers, strict=True)
    )


def _add_background(kept: tuple[DescribedClass, ...], description: Description) -> tuple[DescribedClass, ...]:
    """Return the classes with everything else as a second where there is one: number 0, or black."""
    if len(kept) != 1 or kept[0].name.lower() == BACKGROUND:
        return kept
    taken = (*kept[0].ids, *kept[0].colours, *(description.void or ()))
    if (0 if description.numbered else BLACK) in taken or description.reduce_zero_label or description.ignored:
        return kept
    if description.numbered:
        return DescribedClass(name=BACKGROUND, ids=(0,)), *kept
    return DescribedClass(name=BACKGROUND, colours=(BLACK,)), *kept


def _list_void(description: Description, entries: Sequence[DescribedClass]) -> tuple[int | Colour, ...]:
    given = description.void
    if given is None:
        owned = any(VOID in entry.ids for entry in entries)
        given = (VOID,) if description.numbered and not owned else ()
    names = frozenset(description.ignored)
    ignored = [entry for entry in entries if entry.name in names]
    codes = [code for entry in ignored for code in (entry.ids if description.numbered else entry.colours)]
    return (*given, *codes)


def _code(number: int, description: Description) -> int:
    """Return what masks have where a `dataset.json` says a number."""
    return number + 1 if description.reduce_zero_label and number != VOID else number


def _index_codes(
    description: Description, kept: Sequence[DescribedClass], void: Sequence[int | Colour]
) -> dict[int, int]:
    """Return the class index of each code of masks."""
    index_of: dict[int, int] = {0: VOID} if description.reduce_zero_label else {}
    listed = [(code, VOID) for code in void]
    for index, entry in enumerate(kept):
        listed += [(code, index) for code in (entry.ids if description.numbered else entry.colours)]
    for code, index in listed:
        index_of[_code(code, description) if isinstance(code, int) else colour_code(code)] = index
    return index_of


def _choose_colours(
    kept: Sequence[DescribedClass], void: Sequence[int | Colour], palette: Sequence[Colour]
) -> tuple[Colour, ...]:
    """Return a colour for each class: the one given, its first in masks, its palette's, or one that is free."""
    given = {entry.rgb or next(iter(entry.colours), None) for entry in kept} | set(void)
    chosen: list[Colour | None] = []
    for entry in kept:
        own = entry.rgb or next(iter(entry.colours), None)
        if own is None:
            likely = _at(palette, entry.ids[0]) or (BLACK if entry.name.lower() == BACKGROUND else None)
            own = likely if likely not in given and likely not in chosen else None
        chosen.append(own)
    taken = [colour for colour in (*chosen, *void) if isinstance(colour, tuple)]
    free = iter(choose_colours(chosen.count(None), (BLACK, *taken)))
    return tuple(next(free) if colour is None else colour for colour in chosen)


def _at(palette: Sequence[Colour], place: int) -> Colour | None:
    return palette[place] if place < len(palette) else None


def _describe_masks(description: Description, void: Sequence[int | Colour]) -> str:
    told = list_first([str(code) for code in void], most=10)
    kind = {"index": "numbers", "rgb": "colours", "palette": "numbers, with a palette"}[description.encoding]
    reduced = "; 0 is void, and the ids count from 0 at 1" if description.reduce_zero_label else ""
    return f"masks: {kind}, as dataset.json gives them{reduced}; void: {told or 'none'}"
