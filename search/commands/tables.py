"""What a person looks at: the live table of a search, its status, what it learnt; printing is done elsewhere.

The tables of its winner are in `verdict_tables`.
"""

import re
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search.commands.options import describe_fields
from search.insight.grace import Grace, read_whole_curves, suggest_grace, warn_of_grace
from search.insight.importance import CHANCE, Importance
from search.insight.spending import account, best_by, count_stops, score_against_time
from search.insight.time_left import count_at_once, estimate_seconds_left, estimate_trainings_left
from search.insight.words import describe_seconds, describe_values
from search.memory.history import History, TrialRecord
from search.memory.moment import now
from search.memory.outcome import Outcome, tell_last_line
from search.place import Place, place_values
from search.settings import SearchSettings, settings_values
from search.storage import name_storage
from search.tracking_uri import mask_uri

WIDE: Final = 100
"""Columns of a terminal from which on tables have all of theirs; with fewer they have those that tell most."""
_TOLD_WARNINGS: Final = 3
_RANKED: Final = re.compile(r"^.* after epoch (\d+) is (rank \d+ of \d+)(?:(; none .*)|;.*)$")
"""What ASHA says, of which the score and the share stand elsewhere."""
_ALONE: Final = re.compile(r"^rank 1 of 1 (after epoch \d+)$")
"""Of a journal that says nothing of those who come first."""
_UNSET: Final = re.compile(r"\b(?:0|empty): ([^;]+)")
"""What the description of a setting says of one that is not given."""
_COLOURS: Final = {
    None: "cyan",
    Outcome.FINISHED: "green",
    Outcome.STOPPED: "yellow",
    Outcome.FAILED: "red",
    Outcome.DIVERGED: "red",
    Outcome.OUT_OF_MEMORY: "red",
    Outcome.OVER_LIMIT: "yellow",
    Outcome.PRUNED: "yellow",
}


def settings_table(settings: SearchSettings, place: Place) -> Table:
    """Return the resolved settings and where it runs, one per line."""
    table = Table(box=box.SIMPLE, show_header=False, title=f"Search {settings.name}", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    told = {
        "storage": name_storage(place.storage),
        "grace_epochs": f"{settings.resolved_grace_epochs} (of {settings.epochs})",
    }
    descriptions = {**describe_fields(SearchSettings), **describe_fields(Place)}
    for name, value in {**settings_values(settings), **place_values(place)}.items():
        # What is tried first is resolved, and told, when the data has been read.
        if name not in ("home", "first"):
            shown = told.get(name) or _describe_setting(value, descriptions[name])
            table.add_row(name, mask_uri(shown))
    return table


def _describe_setting(value: Any, description: str) -> str:
    """Return a setting as the table shows it: of one that is not given what its description says of that."""
    unset = _UNSET.search(description)
    if not value and value is not False and unset:
        return unset[1]
    match value:
        case float():
            return f"{value:.10g}"
        case list() | dict():
            # As the options were given, that make it.
            parts = [f"{name}={each}" for name, each in value.items()] if isinstance(value, dict) else map(str, value)
            return ", ".join(parts) or "none"
        case _:
            return "none" if value == "" else str(value)


def progress_panel(
    history: History,
    settings: SearchSettings,
    *,
    concurrent: int,
    about: str,
    rows: int = 12,
    wide: bool = True,
    search: History | None = None,
) -> RenderableType:
    """Return the live view: trials by state, the best so far, time left, the latest trials.

    Args:
        history: what happened.
        settings: trials and epochs are used.
        concurrent: trials that run at a time.
        about: where MLflow and the logs are.
        rows: trials shown.
        wide: whether there is room for all columns.
        search: as of `summary_line`.
    """
    return Group(
        trials_table(most_telling(history, rows), history.metric, wide=wide, trainings=search is not None),
        summary_line(history, settings, concurrent, search),
        *warning_lines(history),
        Text(about, style="dim"),
    )


def warning_lines(history: History) -> list[Text]:
    """Return the latest warnings, a line each."""
    return [Text(warning.message, style="yellow") for warning in history.warnings[-_TOLD_WARNINGS:]]


def summary_line(
    history: History, settings: SearchSettings, concurrent: int | None = None, search: History | None = None
) -> Text:
    """Return counts by state, the best score and the time left, in two lines.

    Args:
        history: what happened.
        settings: of the search.
        concurrent: trials that run at a time; None where only the history tells.
        search: the search's trials, where these are trainings of another stage, each of which goes to its end.
    """
    counts = [(outcome, history.count(outcome)) for outcome in Outcome]
    unfinished = history.unfinished
    running = sum(trial.running for trial in unfinished)
    noun = "trials" if search is None else "trainings"
    parts = [f"{len(history.trials)} of {settings.trials} {noun}", f"{running} running"]
    if len(unfinished) > running:
        parts.append(f"{len(unfinished) - running} waiting")
    parts += [f"{count} {outcome}" for outcome, count in counts if count]
    line = Text("  ·  ".join(parts), style="bold")
    leader = next(iter(history.eligible), None)
    if leader is not None and leader.best is not None:
        best = f"best {history.metric} {leader.best.score:.4f} in {noun[:-1]} {leader.number}"
        line.append(f"\n{best}", style="bold green")
    at_once = concurrent or count_at_once(history)
    if search is None:
        seconds = estimate_seconds_left(history, settings, at_once) if at_once else None
    else:
        seconds = estimate_trainings_left(history, search, settings.trials)
    if left := _describe_time_left(seconds, at_once, running):
        line.append(f"  ·  {left}" if leader else f"\n{left}", style="bold")
    return line


def _describe_time_left(seconds: float | None, at_once: int | None, running: int) -> str:
    """Return the time left with what it rests on; empty where nothing tells or nothing is left."""
    if not seconds:
        return ""
    resumed = "" if running else " once it goes on"
    return f"about {describe_seconds(seconds)} left{resumed}, {at_once or 1} at a time"


def trials_table(
    trials: list[TrialRecord], metric: str, *, wide: bool = True, reasons: bool = False, trainings: bool = False
) -> Table:
    """Return trials with their state, score, how long ago those that run were heard of, and what was drawn for them.

    Args:
        trials: in the order of the rows.
        metric: what decides; another one is shown beside it where there is room.
        wide: whether there is room for all columns.
        reasons: whether to say why trials ended as they did.
        trainings: whether these are trainings of a confirmation or a retraining, whose numbers are not the trials'.
    """
    other = "iou" if metric == "miou" else "miou"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("training" if trainings else "trial", "state", "epoch", metric, *([other] if wide else [])):
        table.add_column(name, justify="left" if name == "state" else "right", overflow="fold")
    moment, running = now(), wide and any(trial.running for trial in trials)
    if running:
        table.add_column("heard of", justify="right")
    table.add_column("configuration", overflow="fold")
    for trial in trials:
        best = trial.best
        scores = [best.metrics.get(name) if best else None for name in ([other] if wide else [])]
        table.add_row(
            str(trial.number),
            Text(name_state(trial, wide=wide), style=_COLOURS[trial.outcome]),
            str(trial.last_epoch),
            *(describe_score(score) for score in (best.score if best else None, *scores)),
            *([f"{describe_seconds(max(0.0, moment - trial.heard))} ago" if trial.running else "-"] if running else []),
            _describe_trial(trial, reasons=reasons, trainings=trainings),
        )
    return table


def name_state(trial: TrialRecord, *, wide: bool = True) -> str:
    """Return how a trial ended, or whether a worker has it; in a word where there is no room for more."""
    told = trial.state
    return told if wide else told.replace(" by ASHA", "").replace("out of memory", "memory").replace("over a ", "")


def describe_reason(trial: TrialRecord) -> str:
    """Return in a line why a trial ended as it did, or is to end."""
    told = _RANKED.sub(r"\2 after epoch \1\3", tell_last_line(trial.message or trial.pruned))
    return _ALONE.sub(r"first \1, with none to compare with yet", told)


def _describe_trial(trial: TrialRecord, *, reasons: bool, trainings: bool) -> Text:
    is_spared = trial.kept and trial.outcome in (None, Outcome.STOPPED)
    # A retraining's trainings of the winner name no trial.
    whose = "" if trial.source is None else f"trial {trial.source}, "
    of_what = f"{whose}fold {trial.fold}: " if trainings else ""
    told = Text(of_what + describe_values(trial.values) + ("; kept" if is_spared else ""))
    reason = describe_reason(trial) if reasons else ""
    return told.append(f"\n{reason}", style="dim") if reason else told


def describe_score(score: float | None) -> str:
    """Return a score as tables show it."""
    return "-" if score is None else f"{score:.4f}"


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
    """Return how much each hyperparameter explains, beside what a random number would.

    Args:
        importances: at least one, with that of `CHANCE`.
        metric: what decides.
    """
    title = f"What mattered for how trials stand: how far they got, then their {metric} there"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for name in ("hyperparameter", "explains", "range over resamples"):
        table.add_column(name, justify="left" if name == "hyperparameter" else "right", overflow="fold")
    table.add_column("verdict")
    chance = next(importance for importance in importances if importance.name == CHANCE)
    for each in importances:
        told = "" if each is chance else "matters" if each.low > chance.high else "cannot be told from chance"
        table.add_row(each.name, f"{each.share:.0%}", f"{each.low:.0%} to {each.high:.0%}", told)
    return table


def most_telling(history: History, rows: int) -> list[TrialRecord]:
    """Return so many trials that tell most, by number: the best, those that have not ended, those that ended last."""
    recent = sorted(history.in_order, key=lambda trial: -(trial.ended or 0.0))
    by_rank = {trial.number: trial for trial in [*history.ranked[:3], *history.unfinished, *recent]}
    return sorted(list(by_rank.values())[:rows], key=lambda trial: trial.number)
