"""`status` and `best`: look at a search; nothing is trained. The pages of MLflow are in `browse`."""

from search.commands.display import (
    console,
    show_best,
    show_confirmation_due,
    show_failed_trainings,
    show_front,
)
from search.commands.options import Name, Storage
from search.commands.tables import insight_report, summary_line, trials_table
from search.folder import find_folder, is_in_use
from search.judge.progress import build_asha, is_over
from search.memory.history import History
from search.memory.journal import read_history, replay
from search.opening import read_search
from search.place import DEFAULT_STORAGE
from search.verdict.selection import name_winner


def status(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show every trial of a search, and the best."""
    folder = find_folder(storage, name)
    settings, _ = read_search(folder)
    history, asha = History(), build_asha(settings)
    replay(folder.search_stage.journal, history, asha)
    idle = not is_in_use(folder.search_stage)
    if idle:
        history.halt()
    console.print(trials_table(history.in_order))
    console.print(summary_line(history, settings))
    if history.ranked:
        console.print(insight_report(history, settings))
    if idle and not is_over(settings, history, asha):
        console.print(f"No process runs it; go on with '{folder.command('resume')}'.", style="yellow", soft_wrap=True)
    elif idle:
        show_confirmation_due(settings, folder, history)
    console.print(f"logs: {folder.search_stage.trial(0).parent}/NUMBER/log.txt", style="dim", soft_wrap=True)


def best(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show the best configuration so far and write best.json."""
    folder = find_folder(storage, name)
    settings, _ = read_search(folder)
    show_best(name_winner(settings, folder), folder)
    show_failed_trainings(settings, folder)
    show_front(settings, read_history(folder.search_stage.journal))
    console.print(f"written to {folder.best}", soft_wrap=True)
