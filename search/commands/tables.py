"""What a person looks at: the live table of a search, its status, what it learnt; printing is done elsewhere.

The tables of its winner are in `verdict_tables`.
"""

import time
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.insight.grace import Grace, read_whole_curves, suggest_grace, warn_of_grace
from search.insight.importance import CHANCE, Importance
from search.insight.spending import account, best_by, count_stops, score_against_time
from search.insight.time_left import count_at_once, estimate_seconds_left
from search.insight.words import describe_seconds, describe_values
from search.memory.history import History, TrialRecord
from search.memory.outcome import Outcome
from search.place import Place, place_values
from search.settings import SearchSettings, settings_values
from search.storage import name_storage
from search.tracking_uri import mask_uri

_TOLD_WARNINGS: Final = 3
_TOLD_PARAMS: Final = ("backbone", "loss", "input_mode", "crop_size", "scale")
_COLOURS: Final = {
    None: "cyan",
    Outcome.FINISHED: "green",
    Outcome.STOPPED: "yellow",
    Outcome.FAILED: "red",
    Outcome.DIVERGED: "red",
    Outcome.OUT_OF_MEMORY: "red",
    Outcome.OVER_LIMIT: "yellow",
}


def settings_table(settings: SearchSettings, place: Place) -> Table:
    """Return the resolved settings and where it runs, one per line."""
    table = Table(box=box.SIMPLE, show_header=False, title=f"Search {settings.name}", title_justify="left")
    for name, value in {**settings_values(settings), **place_values(place)}.items():
        if name == "home":
            continue
        if name == "first":
            value = f"{len(value)} configurations"
        if name == "storage":
            value = name_storage(place.storage)
        if name == "grace_epochs":
            value = f"{settings.resolved_grace_epochs} (of {settings.epochs})"
        table.add_row(name, mask_uri(str(value)))
    return table


def progress_panel(
    history: History, settings: SearchSettings, *, concurrent: int, about: str, rows: int = 12
) -> RenderableType:
    """Return the live view: trials by state, the best so far, time left, the latest trials.

    Args:
        history: what happened.
        settings: trials and epochs are used.
        concurrent: trials that run at a time.
        about: where MLflow and the logs are.
        rows: trials shown.
    """
    return Group(
        trials_table(_most_telling(history, rows), history.metric),
        summary_line(history, settings, concurrent),
        *warning_lines(history),
        Text(about, style="dim"),
    )


def warning_lines(history: History) -> list[Text]:
    """Return the latest of what was to be told, a line each."""
    return [Text(warning.message, style="yellow") for warning in history.warnings[-_TOLD_WARNINGS:]]


def summary_line(history: History, settings: SearchSettings, concurrent: int | None = None) -> Text:
    """Return counts by state, the best score and the time left, in two lines.

    Args:
        history: what happened.
        settings: of the search.
        concurrent: trials that run at a time; None where only the history tells.
    """
    counts = [(outcome, history.count(outcome)) for outcome in Outcome]
    unfinished = history.unfinished
    running = sum(trial.running for trial in unfinished)
    parts = [f"{len(history.trials)} of {settings.trials} trials", f"{running} running"]
    if len(unfinished) > running:
        parts.append(f"{len(unfinished) - running} waiting")
    parts += [f"{count} {outcome}" for outcome, count in counts if count]
    line = Text("  ·  ".join(parts), style="bold")
    ranked = history.ranked
    if ranked and ranked[0].best is not None:
        best = f"best {history.metric} {ranked[0].best.score:.4f} in trial {ranked[0].number}"
        line.append(f"\n{best}", style="bold green")
    left = _describe_time_left(history, settings, concurrent or count_at_once(history), running)
    if left:
        line.append(f"  ·  {left}" if ranked else f"\n{left}", style="bold")
    return line


def _describe_time_left(history: History, settings: SearchSettings, at_once: int | None, running: int) -> str:
    """Return the time left with what it rests on; empty where nothing tells or nothing is left."""
    seconds = estimate_seconds_left(history, settings, at_once) if at_once else None
    if not seconds:
        return ""
    resumed = "" if running else " once it goes on"
    return f"about {describe_seconds(seconds)} left{resumed}, {at_once} at a time"


def trials_table(trials: list[TrialRecord], metric: str) -> Table:
    """Return trials with their state, score, how long ago those that run were heard of, and what was drawn for them.

    Args:
        trials: in the order of the rows.
        metric: what decides; another one is shown beside it.
    """
    other = "iou" if metric == "miou" else "miou"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("trial", "state", "epoch", metric, other):
        table.add_column(name, justify="left" if name == "state" else "right")
    now, running = time.time(), any(trial.running for trial in trials)
    if running:
        table.add_column("heard of", justify="right")
    table.add_column("configuration", overflow="fold")
    for trial in trials:
        best = trial.best
        waits = "running" if trial.running else "waiting"
        state = Text(str(trial.outcome or waits), style=_COLOURS[trial.outcome])
        table.add_row(
            str(trial.number),
            state,
            str(trial.last_epoch),
            f"{best.score:.4f}" if best else "-",
            f"{best.metrics[other]:.4f}" if best and other in best.metrics else "-",
            *([f"{describe_seconds(max(0.0, now - trial.heard))} ago" if trial.running else "-"] if running else []),
            describe_values(trial.values),
        )
    return table


def insight_report(history: History, settings: SearchSettings) -> RenderableType:
    """Return what a search's time bought, and what it says of the grace period; see also `importance_table`."""
    parts: list[RenderableType] = [_spending_table(history)]
    stops = count_stops(history)
    if stops:
        told = ", ".join(f"{count} after epoch {epoch}" for epoch, count in stops.items())
        parts.append(f"stopped by ASHA: {told}")
    parts += _grace_lines(suggest_grace(read_whole_curves(history)), settings.resolved_grace_epochs)
    course = score_against_time(history)
    if course:
        shares = ((share, best_by(course, share * history.spent_seconds)) for share in (0.25, 0.5, 0.75, 1.0))
        told = ", ".join(f"{score:.4f} at {share:.0%}" for share, score in shares if score is not None)
        parts.append(
            f"best {history.metric} by time: {told}; the last gain came after {describe_seconds(course[-1][0])}"
        )
    return Group(*parts)


def _grace_lines(grace: Grace, grace_epochs: int) -> list[RenderableType]:
    if grace.suggested_epochs is None:
        return []
    told = ", ".join(f"{tau:.2f}" for tau in grace.agreements)
    evidence = f"ranks after each epoch against the last (Kendall's tau of {grace.trials} whole trainings): {told}"
    warning = warn_of_grace(grace, grace_epochs)
    return [evidence, Text(warning, style="yellow")] if warning else [evidence]


def _spending_table(history: History) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="What the time bought", title_justify="left")
    for name in ("trials", "number", "workers' time", "share", "epochs"):
        table.add_column(name, justify="left" if name == "trials" else "right")
    spendings = account(history)
    total = sum(spending.seconds for spending in spendings) or 1.0
    for each in spendings:
        time_told = describe_seconds(each.seconds)
        table.add_row(each.end, str(each.trials), time_told, f"{each.seconds / total:.0%}", str(each.epochs))
    return table


def importance_table(importances: list[Importance], metric: str) -> Table:
    """Return how much each choice explains, beside what a meaningless number would.

    Args:
        importances: at least one, with that of `CHANCE`.
        metric: what decides.
    """
    title = f"What mattered for how trials stand: how far they got, then their {metric} there"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for name in ("choice", "explains", "range over resamples"):
        table.add_column(name, justify="left" if name == "choice" else "right")
    table.add_column("verdict")
    chance = next(importance for importance in importances if importance.name == CHANCE)
    for each in importances:
        told = "" if each is chance else "matters" if each.low > chance.high else "cannot be told from chance"
        table.add_row(each.name, f"{each.share:.0%}", f"{each.low:.0%} to {each.high:.0%}", told)
    return table


def _most_telling(history: History, rows: int) -> list[TrialRecord]:
    recent = sorted(history.in_order, key=lambda trial: -(trial.ended or 0.0))
    by_rank = {trial.number: trial for trial in [*history.ranked[:3], *history.unfinished, *recent]}
    return sorted(list(by_rank.values())[:rows], key=lambda trial: trial.number)
