"""`report` and `compare`: a search, or two beside each other, as one page."""

from pathlib import Path
from typing import Annotated

import typer

from search.commands.console import console
from search.commands.options import Name, Storage
from search.finding import find_folder, is_in_use
from search.folder import SearchFolder
from search.insight.record import Record, read_record
from search.place import DEFAULT_STORAGE


def report(
    name: Name,
    out: Annotated[
        Path | None, typer.Option(help="page to write, .html; left out: report.html in the search's folder")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write all that is known of a search as one page, which fetches nothing; it may still run."""
    # What draws pictures takes a second to import, and few commands come here.
    from search.report.page import write_report

    folder = find_folder(storage, name)
    file = out or folder.report
    write_report(read_now(folder), file)
    console.print(f"report:     {file}", soft_wrap=True)


def read_now(folder: SearchFolder) -> Record:
    """Return what is known of a search; of one that no process runs, nothing counts as running."""
    record = read_record(folder)
    for name, history in record.stages.items():
        if not is_in_use(folder.stages[name]):
            history.halt()
    return record
