"""`list`: the searches of a storage, a line each; `status` shows one of them in detail."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from search.commands.console import console, print_whole, warn
from search.commands.documents import ListDocument, SearchLine, encode_document
from search.commands.filling import fill_line
from search.commands.options import AsJson, Storage
from search.commands.reading import look_at
from search.commands.tables import WIDE, describe_score
from search.finding import find_folder, list_names
from search.insight.words import describe_seconds
from search.place import DEFAULT_STORAGE
from search.storage import name_storage
from segcore.data.caching.disk import resolve_folder
from segcore.errors import StreetError


def list_searches(storage: Storage = DEFAULT_STORAGE, as_json: AsJson = False) -> None:
    """List the searches of a storage: how far each is, what it reached and what it took."""
    root = resolve_folder("storage", storage)
    lines = [_read_line(root, name) for name in list_names(root)]
    if as_json:
        print_whole(encode_document(ListDocument(storage=name_storage(root), searches=lines)))
        return
    if not lines:
        told = f"No searches in {name_storage(root)}; launch one there, or give another folder with --storage."
        console.print(told, soft_wrap=True)
        return
    console.print(searches_table(lines, wide=console.width >= WIDE))
    for line in lines:
        if line.problem:
            warn(f"{line.name}: {line.problem}")


def searches_table(lines: Sequence[SearchLine], *, wide: bool) -> Table:
    """Return the searches, one a row.

    Args:
        lines: of them.
        wide: whether there is room for all columns.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("search", overflow="fold")
    table.add_column("state", overflow="fold")
    more = ("confirmed", "out of fold", "cost", "last heard of") if wide else ("confirmed",)
    for name in ("trials", "best", *more):
        table.add_column(name, justify="right", overflow="fold")
    for line in lines:
        cells = (line.confirmed, line.out_of_fold) if wide else (line.confirmed,)
        scores = [describe_score(score) for score in (line.best, *cells)]
        hours = (f"{line.device_hours:.2f} {line.device}", _describe_ago(line.last_heard)) if wide else ()
        metric = f" {line.metric}" if line.best is not None else ""
        table.add_row(
            line.name, line.state, f"{line.trials}/{line.planned_trials}", scores[0] + metric, *scores[1:], *hours
        )
    return table


def _read_line(root: Path, name: str) -> SearchLine:
    try:
        return fill_line(look_at(find_folder(root, name)))
    except StreetError as error:
        return SearchLine(name=name, state="unreadable", problem=str(error))


def _describe_ago(moment: float | None) -> str:
    return "-" if moment is None else f"{describe_seconds(max(0.0, time.time() - moment))} ago"
