"""`status` and `best`: look at a search; nothing is trained. The pages of MLflow are in `browse`."""

from typing import Annotated

import typer

from search.commands.console import console
from search.commands.display import show_best, show_front, show_importance
from search.commands.options import Name, Storage
from search.commands.state import show_state
from search.commands.tables import insight_report, summary_line, trials_table, warning_lines
from search.finding import find_folder, is_in_use
from search.judge.progress import build_asha
from search.memory.history import History
from search.memory.journal import replay
from search.opening import read_what
from search.place import DEFAULT_STORAGE
from search.verdict.selection import name_winner
from segcore.data.dividing.split import read_folds


def status(
    name: Name,
    importance: Annotated[
        bool, typer.Option("--importance", help="show what mattered, too; it takes some seconds")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Show every trial of a search, and the best."""
    folder = find_folder(storage, name)
    settings = read_what(folder)
    history, asha = History(settings.metric), build_asha(settings)
    replay(folder.search_stage.journal, history, asha)
    if not is_in_use(folder.search_stage):
        history.halt()
    if history.trials:
        console.print(trials_table(history.in_order, history.metric))
    console.print(summary_line(history, settings))
    for line in warning_lines(history):
        console.print(line, soft_wrap=True)
    if history.ranked:
        console.print(insight_report(history, settings))
    if folder.folds.is_file():
        console.print(read_folds(folder.folds).describe(), soft_wrap=True)
    show_state(settings, folder, history, asha)
    logs = folder.search_stage.trial(0).parent
    where = logs if logs.is_dir() else folder.search_stage.address(logs)
    console.print(f"logs: {where}/NUMBER/log.txt", style="dim", soft_wrap=True)
    if importance:
        show_importance(settings, history)


def best(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show the best configuration so far and write best.json."""
    folder = find_folder(storage, name)
    settings = read_what(folder)
    history, asha = History(settings.metric), build_asha(settings)
    replay(folder.search_stage.journal, history, asha)
    show_best(name_winner(settings, folder))
    show_front(settings, history)
    show_state(settings, folder, history, asha)
    console.print(f"written to {folder.best}", soft_wrap=True)
