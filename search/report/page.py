"""The report of a search: its parts in order, as one page."""

import time
from collections.abc import Sequence
from pathlib import Path

from search.insight.importance import Importance
from search.insight.record import Record
from search.insight.words import tell_moment
from search.report.again import next_commands, reproduce
from search.report.choices import importance, slices
from search.report.curves import curves
from search.report.look import SCRIPT, STYLE
from search.report.matter import Matter, gather
from search.report.parallel import parallel
from search.report.pictures import pictures
from search.report.questions import lead, questions
from search.report.spending import score_against_cost, workers
from search.report.stopping import stopping
from search.report.trials import told_trials, trials
from search.report.winner import rivals, weakness
from segcore.insight.page import build_page, require_writable, write_page


def render_report(matter: Matter, made: str) -> str:
    """Return the page of a search.

    Args:
        matter: what is known of it.
        made: when the page is made, in words.
    """
    sections = [
        questions(matter),
        rivals(matter),
        weakness(matter),
        curves(matter),
        stopping(matter),
        importance(matter),
        slices(matter),
        parallel(matter),
        score_against_cost(matter),
        workers(matter),
        pictures(matter),
        trials(matter),
        reproduce(matter),
        next_commands(matter),
    ]
    top = [lead(matter, made), told_trials(matter)]
    return build_page(f"Search {matter.record.settings.name}", top, sections, style=STYLE, script=SCRIPT)


def write_report(record: Record, file: Path, importances: Sequence[Importance] | None = None) -> None:
    """Write the page of a search.

    Args:
        record: of the search.
        file: to write.
        importances: see `matter.gather`.

    Raises:
        StorageError: when the file cannot be written.
    """
    require_writable(file)
    write_page(render_report(gather(record, importances), tell_now()), file)


def tell_now() -> str:
    """Return the time as a page says it."""
    return tell_moment(time.time())
