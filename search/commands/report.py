"""`report` and `compare`: one or two searches as a page; that of one is also written at the end of each stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from search.commands.console import console, warn
from search.commands.options import Name, Storage
from search.commands.reading import look_at
from search.commands.source import TrackingUri, reached, reached_at
from search.folder import SearchFolder
from search.insight.importance import Importance
from search.mirror import send_file
from search.place import DEFAULT_STORAGE, Place
from search.settings import SearchSettings
from segcore.errors import StreetError


def report(
    name: Name,
    out: Annotated[
        Path | None, typer.Option(help="page to write, .html; left out: report.html in the search's folder")
    ] = None,
    tracking_uri: TrackingUri = "",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write all that is known of a search as one page, which fetches nothing; it may still run."""
    # What draws pictures takes a second to import, and few commands come here.
    from search.report.page import write_report

    with reached(name, storage, tracking_uri) as source:
        look, file = source.look(), out or source.place_for(source.folder.report)
        source.fetch_pictures(look)
        write_report(look.record, file)
        if told := source.tell():
            console.print(told, soft_wrap=True)
        console.print(f"report:     {file}", soft_wrap=True)


def compare(
    first: Annotated[str, typer.Argument(help="a search: NAME, or NAME@PLACE, a storage or MLflow's address")],
    second: Annotated[str, typer.Argument(help="the search to put beside it, likewise")],
    out: Annotated[
        Path | None, typer.Option(help="page to write, .html; left out: in the first search's folder")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write two searches beside each other as one page: who is ahead, how sure that is, what they differ in."""
    from search.insight.side_by_side import tell_ahead
    from search.report.compare import write_comparison

    with reached_at(first, storage) as one, reached_at(second, storage) as other:
        ours, theirs = one.look().record, other.look().record
        file = out or one.place_for(one.folder.root / f"compare-{other.folder.name}.html")
        write_comparison(ours, theirs, file)
        for told in filter(None, (one.tell(), other.tell())):
            console.print(told, soft_wrap=True)
        console.print(tell_ahead(ours, theirs), soft_wrap=True)
        console.print(f"page:       {file}", soft_wrap=True)


def keep_report(
    settings: SearchSettings, place: Place, folder: SearchFolder, importances: Sequence[Importance] | None = None
) -> None:
    """Write the page of a search whose stage has ended, for MLflow too; a failure is shown, not raised.

    Args:
        settings: of the search.
        place: where MLflow is.
        folder: the search's files.
        importances: as `measure_importance` returns them; None: they are measured.
    """
    from search.report.page import write_report

    try:
        write_report(look_at(folder).record, folder.report, importances)
        console.print(f"report:     {folder.report}", soft_wrap=True)
        send_report(settings, place, folder)
        send_file(folder.root, folder.report)
    # The stage is over, and its results are kept.
    except StreetError as error:
        warn(str(error))


def send_report(settings: SearchSettings, place: Place, folder: SearchFolder) -> None:
    """Send the page of a search to MLflow, where there is one.

    Raises:
        TrackingError: when MLflow does not take it.
    """
    from search.tracking.reports import log_report

    if folder.report.exists():
        log_report(settings, place, folder.search_stage, folder.report)
