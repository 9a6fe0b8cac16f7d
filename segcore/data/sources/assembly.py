"""Puts a data set together of what a source found: pairs of files, what masks mean, and what else is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from segcore.data.case import DataSet
from segcore.data.sources.advice import init_command
from segcore.data.sources.facts import add_facts
from segcore.data.sources.meaning import Table
from segcore.data.sources.pairing import Pairing, Root
from segcore.errors import DataError

_MOST_OF_AN_END: Final = 10


def require_pairs(folder: Path, roots: Sequence[Root], found: Pairing) -> None:
    """Refuse a folder of which no image has a mask.

    Raises:
        DataError: with what stands in the way of each pair.
    """
    if not found.pairs:
        told = " or ".join(name_below(root.images, folder) for root in roots) or "its folders"
        raise DataError(
            f"{folder}: no image of {told} has a mask; '{init_command(folder)} --force' looks for masks of other names "
            "and folders. What is amiss:",
            show_ends(found.problems) or found.notes,
        )


def show_ends(problems: Sequence[str]) -> Sequence[str]:
    """Return the first and the last of many problems: images without masks, and masks without images.

    Args:
        problems: all of them, in that order.
    """
    more = len(problems) - 2 * _MOST_OF_AN_END
    if more <= 0:
        return problems
    return [*problems[:_MOST_OF_AN_END], f"and {more} more, and", *problems[-_MOST_OF_AN_END:]]


def assemble(
    layout: str, folder: Path, roots: Sequence[Root], found: Pairing, table: Table, notes: Sequence[str] = ()
) -> tuple[DataSet, list[str]]:
    """Return the data set of some pairs, and its problems.

    Args:
        layout: name of the layout.
        folder: the data-set folder, where a `cases.csv` may lie.
        roots: the folders that were paired.
        found: their pairs, problems and notes.
        table: what masks mean.
        notes: what else a person must know.

    Raises:
        DataError: when `cases.csv` is not of the form.
    """
    cases, problems, facts = add_facts(folder, [pair.to_case(table.encoding) for pair in found.pairs])
    dataset = DataSet(
        folder=folder,
        layout=layout,
        classes=table.classes,
        cases=tuple(cases),
        images=tuple(dict.fromkeys(root.images for root in roots)),
        notes=(*notes, *found.notes, *table.notes, *facts),
    )
    return dataset, [*found.problems, *problems]


def name_below(part: Path, folder: Path) -> str:
    """Return how a person calls a folder inside another."""
    return f"{part.relative_to(folder).as_posix()}/"


def tell_roots(roots: Sequence[Root], folder: Path) -> list[str]:
    """Say which folders were taken, a line for each pair of them."""
    return [f"folders: {name_below(root.images, folder)} and {name_below(root.masks, folder)}" for root in roots]
