"""`status` and `best`: look at a search; nothing is trained. The pages of MLflow are in `browse`."""

from typing import Annotated

import typer

from search.commands.console import console, print_whole
from search.commands.display import show_best, show_front, show_importance
from search.commands.documents import BestDocument, encode_document
from search.commands.filling import fill_status
from search.commands.options import AsJson, Name, Storage
from search.commands.reading import Look
from search.commands.source import TrackingUri, reached
from search.commands.state import show_state
from search.commands.status_tables import answer_lines, choices_line, cost_table, scores_table, stage_line
from search.commands.tables import WIDE, insight_report, summary_line, trials_table, warning_lines
from search.commands.watching import watch
from search.finding import find_folder
from search.judge.progress import replay_search
from search.memory.best import describe_winner
from search.opening import read_what
from search.place import DEFAULT_STORAGE
from search.verdict.selection import name_winner
from segcore.data.dividing.split import read_folds
from segcore.errors import ConfigError


def status(
    name: Name,
    importance: Annotated[
        bool, typer.Option("--importance", help="show what mattered, too; it takes some seconds")
    ] = False,
    follow: Annotated[
        bool,
        typer.Option("--watch", help="show it until no process runs it any more, from any machine"),
    ] = False,
    as_json: AsJson = False,
    tracking_uri: TrackingUri = "",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Show every trial of a search, how it ended and why, the scores, what it took, and what is left."""
    if follow and as_json:
        raise ConfigError("--watch shows to a person, --json to a program: give one of them.")
    with reached(name, storage, tracking_uri) as source:
        look = watch(source.folder, look=source.look, is_far=source.is_far) if follow else source.look()
        if as_json:
            print_whole(encode_document(fill_status(look)))
            return
        _show_trials(look)
        _show_insight(look, importance=importance)
        _show_whereabouts(look)
        if told := source.tell():
            console.print(told, style="dim", soft_wrap=True)


def _show_trials(look: Look) -> None:
    history, settings = look.record.history, look.record.settings
    if history.trials:
        wide = console.width >= WIDE
        console.print(trials_table(history.in_order, history.metric, wide=wide, reasons=True))
    console.print(summary_line(history, settings))
    if line := stage_line(look):
        console.print(line, style="bold")
    for warning in warning_lines(history):
        console.print(warning, soft_wrap=True)


def _show_insight(look: Look, *, importance: bool) -> None:
    history, settings = look.record.history, look.record.settings
    if not history.ranked:
        return
    console.print(scores_table(look))
    console.print(cost_table(look))
    console.print(insight_report(history, settings))
    for line in answer_lines(look):
        console.print(line)
    if importance:
        importances = show_importance(settings, history)
        console.print(choices_line(look, importances))


def _show_whereabouts(look: Look) -> None:
    record, folder = look.record, look.record.folder
    if folder.folds.is_file():
        console.print(read_folds(folder.folds).describe(), soft_wrap=True)
    show_state(record.settings, folder, record.history, look.asha, look.driven)
    logs = folder.search_stage.trial(0).parent
    where = logs if logs.is_dir() else folder.search_stage.address(logs)
    console.print(f"logs: {where}/NUMBER/log.txt", style="dim", soft_wrap=True)


def best(name: Name, as_json: AsJson = False, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show the best configuration so far and write best.json."""
    folder = find_folder(storage, name)
    settings = read_what(folder)
    history, asha = replay_search(settings, folder.search_stage.journal)
    found = name_winner(settings, folder)
    if as_json:
        print_whole(encode_document(BestDocument(file=str(folder.best), best=describe_winner(found))))
        return
    show_best(found)
    show_front(settings, history)
    show_state(settings, folder, history, asha, names_best=False)
    console.print(f"written to {folder.best}", soft_wrap=True)
