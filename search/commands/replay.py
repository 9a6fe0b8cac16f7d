"""`replay`: what ASHA would have decided in a search under other settings; nothing is trained."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table

from search.commands.console import console, print_whole
from search.commands.documents import ReplayDocument, encode_document
from search.commands.filling import fill_decisions
from search.commands.options import AsJson, Name, Storage
from search.commands.tables import WIDE
from search.finding import find_folder
from search.insight.decisions import Decisions, find_unlike, replay_decisions, replay_settings
from search.insight.grace import LEAST_TRIALS, Grace, read_whole_curves, suggest_grace, warn_of_grace
from search.insight.words import describe_seconds
from search.memory.history import History
from search.memory.journal import read_history
from search.opening import read_what
from search.place import DEFAULT_STORAGE
from search.settings import SearchSettings
from search.verdict.selection import choose_best
from segcore.counting import count_words
from segcore.errors import ConfigError

_NARROW: Final = (0, 1, 3, 4, 5, 7)
"""Columns that are shown where there is no room for all."""
_SHOWN: Final = 8
"""So many trials are named in a row."""
_COLUMNS: Final = {
    "grace": "epochs before a trial may be stopped, *: the search's own",
    "factor": "",
    "tau": "how well ranks then agree with the end",
    "stopped": "trials that wait in the end",
    "again": "trials that waited and went on",
    "saved": "epochs not trained",
    "saved time": "",
    "open": "trials that go on beyond their record",
    "further": "epochs that these would take",
    "further time": "",
}
"""What the columns of numbers mean, where they do not say it themselves."""


def replay(
    name: Name,
    grace_epochs: Annotated[
        list[int] | None, typer.Option(min=1, help="first rung to look at; left out: 1, 2, 4, ...")
    ] = None,
    reduction_factor: Annotated[
        list[int] | None, typer.Option(min=2, help="factor to look at; left out: 2, 3 and 4")
    ] = None,
    as_json: AsJson = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Say which trials ASHA would have stopped and promoted later under other settings, for the next search."""
    folder = find_folder(storage, name)
    settings = read_what(folder)
    history = read_history(folder.search_stage.journal, settings.metric)
    best = choose_best(history, settings)
    _require_rungs(grace_epochs or (), settings)
    rows = replay_settings(history, settings, grace_epochs or (), reduction_factor or ())
    grace = suggest_grace(read_whole_curves(history))
    if as_json:
        print_whole(encode_document(_fill(settings, grace, rows)))
        return
    epochs = sum(len(trial.epochs) for trial in history.in_order)
    console.print(
        f"{count_words(len(history.trials), 'trial')}, {epochs} of at most {len(history.trials) * settings.epochs} "
        f"epochs trained; best {settings.metric} {best.score:.4f}, trial {best.trial}"
    )
    console.print(decisions_table(rows, settings, grace, best.trial, wide=console.width >= WIDE))
    own = replay_decisions(history, settings, settings.resolved_grace_epochs, settings.reduction_factor)
    console.print(_describe_match(history, own), soft_wrap=True)
    console.print(_describe_grace(grace, settings.resolved_grace_epochs), soft_wrap=True)


def _require_rungs(grace_epochs: Sequence[int], settings: SearchSettings) -> None:
    """Refuse a first rung at which nobody could be stopped; the search's own may be such a one."""
    late = [each for each in grace_epochs if each >= settings.epochs and each != settings.resolved_grace_epochs]
    if late:
        raise ConfigError(
            f"--grace-epochs {late[0]}: trials of this search have {count_words(settings.epochs, 'epoch')}, and at the "
            "last one nobody is stopped; give fewer."
        )


def _fill(settings: SearchSettings, grace: Grace, rows: Sequence[Decisions]) -> ReplayDocument:
    own = settings.resolved_grace_epochs, settings.reduction_factor
    lines = [fill_decisions(row, own) for row in rows]
    return ReplayDocument(
        name=settings.name, metric=settings.metric, agreements=list(grace.agreements), decisions=lines
    )


def decisions_table(
    rows: Sequence[Decisions], settings: SearchSettings, grace: Grace, winner: int, *, wide: bool
) -> Table:
    """Return a row per pair of settings, the search's own marked by a star.

    Args:
        rows: what they would have decided.
        settings: of the search.
        grace: how early ranks settled.
        winner: the search's best trial.
        wide: whether there is room for all columns.
    """
    kept = range(len(_COLUMNS)) if wide else _NARROW
    shown = {name: told for number, (name, told) in enumerate(_COLUMNS.items()) if number in kept}
    caption = "; ".join(f"{name}: {told}" for name, told in shown.items() if told)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption, caption_justify="left")
    for name in shown:
        table.add_column(name, justify="right")
    table.add_column("winner", overflow="fold")
    own = settings.resolved_grace_epochs, settings.reduction_factor
    for row in rows:
        star = "*" if (row.grace_epochs, row.reduction_factor) == own else ""
        counts = (len(row.stopped), len(row.revived), row.saved_epochs)
        cells = (
            f"{star}{row.grace_epochs}",
            str(row.reduction_factor),
            f"{grace.agreements[row.grace_epochs - 1]:.2f}" if row.grace_epochs <= len(grace.agreements) else "-",
            *map(str, counts),
            describe_seconds(row.saved_seconds),
            str(len(row.open)),
            f"{row.least_epochs} to {row.most_epochs}" if row.open else "-",
            f"{describe_seconds(row.least_seconds)} to {describe_seconds(row.most_seconds)}" if row.open else "-",
        )
        fate = _describe_fate(row, winner)
        table.add_row(*(cells[number] for number in kept), fate if wide else fate.partition(",")[0].partition(";")[0])
    return table


def _describe_fate(row: Decisions, winner: int) -> str:
    fate = f"stopped after epoch {row.stopped[winner]}, best {row.best:.4f}" if winner in row.stopped else "survives"
    return fate + _name_trials("stopped sooner", row.sooner) + _name_trials("open", row.open)


def _name_trials(what: str, trials: Sequence[int]) -> str:
    more = ", ..." if len(trials) > _SHOWN else ""
    return f"; {what}: {', '.join(map(str, trials[:_SHOWN]))}{more}" if trials else ""


def _describe_match(history: History, own: Decisions) -> str:
    unlike = find_unlike(history, own)
    if not unlike:
        stopped = count_words(len(own.stopped), "trial")
        return f"The search's own settings, replayed, leave the same {stopped} stopped after the same epochs."
    numbers = ("trial " if len(unlike) == 1 else "trials ") + ", ".join(map(str, unlike))
    return (
        f"The search's own settings, replayed, decide otherwise on {numbers}: a worker came free later than is "
        "assumed, a trial failed, or the search was interrupted or extended. The table is only near the truth."
    )


def _describe_grace(grace: Grace, own_epochs: int) -> str:
    if grace.suggested_epochs is None:
        return (
            f"How early ranks settle cannot be told: {count_words(grace.trials, 'trial')} "
            "ran as long as the longest, and "
            f"{LEAST_TRIALS} are needed."
        )
    return warn_of_grace(grace, own_epochs) or (
        f"Ranks agree well with the end from epoch {grace.suggested_epochs} on ("
        f"{count_words(grace.trials, 'whole training')})."
    )
