"""The stage of searching: trials until all have ended or the time is spent, and the winner on the search's fold."""

from search.memory.best import write_best
from search.memory.events import Closed
from search.memory.history import History
from search.memory.journal import read_history
from search.run import loop
from search.settings import SearchSettings, write_settings
from search.stages.stage import OpenStage
from search.verdict.notes import best_note
from search.verdict.selection import choose_best


def run_search(opened: OpenStage, extended: SearchSettings | None) -> History:
    """Run the search's trials and write `best.json`.

    Args:
        opened: the search's stage.
        extended: settings to save, once nothing stands against the run; None keeps them.

    Raises:
        InterruptedSearchError: when it was stopped from outside, or its trials do nothing but fail.
    """
    stage, folder = opened.stage, opened.search.folder
    if extended is not None:
        write_settings(extended, folder.settings)
    loop.run_search(stage, opened.search.cache)
    found = choose_best(stage.journal.history, stage.settings)
    write_best(found, folder.best)
    stage.journal.write(Closed(metrics=found.metrics, note=best_note(found)))
    return read_history(stage.folder.journal, stage.settings.metric)
