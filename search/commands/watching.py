"""`status --watch`: a search that another process runs, maybe on another machine, shown until it ends."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from search.commands.console import console
from search.commands.progress import TrialNews
from search.commands.reading import Look, look_at
from search.commands.status_tables import stage_line
from search.commands.tables import WIDE, most_telling, summary_line, trials_table, warning_lines
from search.finding import find_folder
from search.folder import SearchFolder
from search.storage import find_bucket
from segcore.errors import StoreAwayError

_ROWS: Final = 12
_PAUSE_SECONDS: Final = 2.0
_PAUSE_SECONDS_FAR: Final = 10.0
"""Of files that are fetched anew each time."""
_LOOKS: Final = 2
"""That find nobody at work: a process that goes from one stage to the next is in none for a moment."""


def watch(folder: SearchFolder, *, look: Callable[[SearchFolder], Look] = look_at, is_far: bool = False) -> Look:
    """Show a search until no process runs it any more, or Ctrl-C; return how it was found last.

    Args:
        folder: the search's files.
        look: reads it.
        is_far: whether it is fetched each time.
    """
    is_far = is_far or find_bucket(folder.root.parent) is not None
    pause = _PAUSE_SECONDS_FAR if is_far else _PAUSE_SECONDS
    found = look(folder)
    try:
        if console.is_terminal:
            with Live(_render(found), console=console, auto_refresh=False, transient=True) as live:
                for seen in _look_on(found, look, pause):
                    found = seen
                    live.update(_render(found), refresh=True)
            return found
        for seen in _look_on(found, look, pause):
            before, found = found, seen
            for line in find_news(before, found):
                console.print(line, soft_wrap=True, highlight=False)
    except KeyboardInterrupt:
        # So it is usually left; the search does not notice.
        pass
    return found


def find_news(before: Look, after: Look) -> list[str]:
    """Return a line for each training that lost its worker or ended between two looks, and for a new state."""
    lines = [f"{after.record.settings.name}: {after.state}"] if before.state != after.state else []
    stages = (
        ("trial", before.record.history, after.record.history),
        ("training", before.record.confirmation, after.record.confirmation),
        ("training", before.record.retraining, after.record.retraining),
    )
    return [line for noun, old, new in stages for line in TrialNews(old, noun).pop(new)] + lines


def _look_on(found: Look, look: Callable[[SearchFolder], Look], pause: float) -> Iterator[Look]:
    """Look at a search again and again, and yield each look, until no process runs it."""
    idle = 0 if found.driven else _LOOKS
    while idle < _LOOKS:
        time.sleep(pause)
        found = _look_again(found, look)
        idle = 0 if found.driven else idle + 1
        yield found


def _look_again(found: Look, look: Callable[[SearchFolder], Look]) -> Look:
    folder = found.record.folder
    try:
        return look(find_folder(folder.root.parent, folder.name))
    # A bucket or MLflow may be away for a while; what was seen last stays.
    except StoreAwayError:
        return found


def _render(look: Look) -> RenderableType:
    record = look.record
    shown = {"confirm": record.confirmation, "retrain": record.retraining}.get(look.driven, record.history)
    wide, trainings = console.width >= WIDE, shown is not record.history
    lines: list[RenderableType] = [
        trials_table(most_telling(shown, _ROWS), record.metric, wide=wide, trainings=trainings),
        summary_line(record.history, record.settings),
    ]
    lines += [Text(line, style="bold")] if (line := stage_line(look)) else []
    told = f"{record.settings.name}: {look.state}; Ctrl-C ends this view alone."
    return Group(*lines, *warning_lines(shown), Text(told, style="dim"))
