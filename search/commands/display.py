"""What the commands show while a stage runs and when it has ended; the tables themselves are in `tables`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search.commands import tables, verdict_tables
from search.commands.console import console, warn
from search.commands.progress import ProgressLog, TrialNews, Wait, shown_live
from search.folder import STAGE_TITLES, SearchFolder
from search.insight.importance import Importance, measure_importance
from search.memory.best import Winner
from search.memory.history import History
from search.memory.journal import read_history
from search.memory.outcome import FAILURES, Outcome, tell_end
from search.settings import SearchSettings
from search.tracking_uri import mask_uri
from search.verdict.notes import confirmation_line
from search.verdict.selection import choose_candidates
from segcore.counting import count_words

if TYPE_CHECKING:
    from search.stages.stage import OpenStage
    from search.tracking.follower import Tracker


_SHOWN_ROWS: Final = 12


@contextmanager
def decoding_shown(label: str = "decoding images") -> Iterator[Callable[[int, int], None]]:
    """Show how far the data is prepared; yields a function that takes how much is done, and how much there is."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Elsewhere than on a terminal it would leave blank lines.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        # Data that is there already is prepared by nothing.
        task = bar.add_task("cache", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


@contextmanager
def stage_shown(opened: "OpenStage") -> Iterator[None]:
    """Show a stage while it runs: a live table on a terminal, a line a minute elsewhere.

    Args:
        opened: the stage.
    """
    capacity = opened.search.capacity
    stage, history = opened.stage, opened.stage.journal.history
    search = read_search_of(opened)
    budget_seconds = stage.settings.time_budget_seconds if stage.name == "search" else 0.0
    shown = replace(stage.settings, trials=opened.trials, time_budget_seconds=budget_seconds)

    def tell_mlflow() -> str | None:
        problem = opened.tracker.problem
        return f"MLflow waits ({problem}); nothing is lost" if problem else None

    def tell_bucket() -> str | None:
        problem = opened.copier.problem if opened.copier is not None else None
        return f"the bucket waits ({problem}); everything is on this machine" if problem else None

    def render() -> RenderableType:
        about = [line for line in (capacity.lack, tell_bucket(), tell_mlflow()) if line]
        about += [] if opened.tracker.problem else [f"MLflow: {mask_uri(stage.place.tracking_uri)}"]
        about.append(f"logs: {stage.folder.trial(0).parent}/NUMBER/log.txt")
        wide = console.width >= tables.WIDE
        return tables.progress_panel(
            history, shown, concurrent=capacity.count(), about="\n".join(about), wide=wide, search=search
        )

    news = TrialNews(history, "trial" if search is None else "training")
    log = ProgressLog(
        lambda: tables.summary_line(history, shown, capacity.count(), search),
        waits=(
            Wait(tell=tell_mlflow, over="MLflow is back and gets what it missed"),
            Wait(tell=tell_bucket, over="the bucket is back and gets what it missed"),
            Wait(tell=lambda: capacity.lack, over="there is a node for trials", is_urgent=True),
        ),
        find_warnings=lambda: [warning.message for warning in history.warnings],
        pop_news=lambda: news.pop(history),
        status=stage.folder.command("status"),
    )
    if search is not None:
        told = count_words(opened.trials, "training")
        console.print(f"{STAGE_TITLES[stage.name].capitalize()}, {told} at most", style="bold")
    with shown_live(render, log):
        yield


def read_search_of(opened: "OpenStage") -> History | None:
    """Return the search's trials, where these are trainings of another stage; None where they are the search's."""
    folder = opened.stage.folder
    return None if opened.stage.name == "search" else read_history(folder.search_journal, opened.stage.settings.metric)


def show_unsent(tracker: "Tracker", folder: SearchFolder) -> None:
    """Say so when MLflow has not everything of a stage that was left, and what it does not take."""
    show_set_aside(tracker)
    if tracker.lack is not None:
        warn(f"{tracker.lack} {tell_sync(folder, answers=not tracker.returns)}")


def tell_sync(folder: SearchFolder, *, answers: bool) -> str:
    """Return how MLflow gets what it lacks.

    Args:
        folder: the search's files.
        answers: whether it does answer, so that something else has to be mended first.
    """
    when = "once that is mended" if answers else "when it answers"
    return f"Nothing is lost: run '{folder.command('sync')}' {when}."


def show_set_aside(tracker: "Tracker") -> None:
    """Say what MLflow does not take, which is left out there."""
    for name, reason in tracker.set_aside.items():
        console.print(f"MLflow does not take {name} ({reason}).", style="yellow")


def show_interrupted(history: History, settings: SearchSettings, trials: int, search: History | None = None) -> None:
    """Show how far a stage got that was interrupted; the error says how to go on.

    Args:
        history: its trials.
        settings: of the search.
        trials: that the stage is to have at most.
        search: as of `tables.summary_line`.
    """
    history.halt()
    if history.trials:
        shown = tables.most_telling(history, _SHOWN_ROWS)
        wide, trainings = console.width >= tables.WIDE, search is not None
        console.print(tables.trials_table(shown, history.metric, wide=wide, reasons=True, trainings=trainings))
    console.print(tables.summary_line(history, replace(settings, trials=trials), search=search))


def show_failed_trainings(
    settings: SearchSettings, folder: SearchFolder, history: History, confirmation: History
) -> None:
    """Say which trainings of the confirmation have no score, and what to do.

    Args:
        settings: of the search.
        folder: its files.
        history: its trials.
        confirmation: trainings of its best on further folds.
    """
    sources = {trial.number for trial in choose_candidates(history, settings)}
    trainings = [trial for trial in confirmation.in_order if trial.source in sources]
    failed = [
        trial
        for trial in trainings
        if trial.outcome in FAILURES or (trial.outcome is Outcome.FINISHED and trial.best is None)
    ]
    if not failed:
        return
    last = failed[-1]
    where = f"on fold {last.fold}" if settings.folds > 1 else f"with seed {last.values['seed']}"
    said = f"{last.outcome}: {tell_end(last.message)}".rstrip(": ")
    again = "Mend the cause" if last.outcome is Outcome.FAILED else "Where a worker failed, mend the cause"
    warn(
        f"{len(failed)} of {len(trainings)} trainings of the confirmation have no score; the last, of trial "
        f"{last.source} {where}, {said}. {again}, then try again with "
        f"'{folder.command('confirm')}'."
    )


def show_front(settings: SearchSettings, history: History) -> None:
    """Show what can be had between fast and good, where the search was asked to."""
    if settings.weighs_latency:
        console.print(verdict_tables.front_table(history))
        limited = " within the limits" if settings.max_latency_ms or settings.max_memory_gib else ""
        console.print(
            f"best.json holds the best {settings.metric}{limited}; ASHA and the model sought all that no other trial "
            "beats in both.",
            soft_wrap=True,
        )


def show_importance(settings: SearchSettings, history: History) -> list[Importance]:
    """Show what mattered, once enough trials tell, and return it; it takes two seconds, so it comes after all else."""
    importances = measure_importance(history, settings.epochs)
    if importances:
        console.print(tables.importance_table(importances, settings.metric))
    return importances


def show_best(found: Winner) -> None:
    """Show the winner, and how far it is confirmed."""
    console.print(verdict_tables.best_table(found))
    if found.confirmation is not None:
        console.print(verdict_tables.confirmation_table(found.confirmation, console.width))
        console.print(confirmation_line(found.confirmation, found.metric))
    else:
        told = (
            f"Chosen by its score on {found.place} alone, the best of {count_words(found.trials, 'trial')}: "
            "it flatters."
        )
        console.print(told, style="yellow")
