"""What the commands show while a stage runs and when it has ended; the tables themselves are in `tables`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rich.console import RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search.commands import tables
from search.commands.console import console as console
from search.folder import SearchFolder, is_in_use
from search.memory.history import History
from search.memory.journal import read_history
from search.memory.outcome import FAILURES, Outcome
from search.settings import SearchSettings
from search.verdict.notes import confirmation_line
from search.verdict.race import count_trainings, decide
from search.verdict.selection import can_confirm, choose_candidates
from segcore.data.folds import read_folds

if TYPE_CHECKING:
    from search.stages.stage import OpenStage
    from search.tracking.follower import Tracker

_LOG_SECONDS: Final = 60.0


@contextmanager
def decoding_shown() -> Iterator[Callable[[int, int], None]]:
    """Show how many images are decoded; yields what is to be told, done and in all."""
    columns = (TextColumn("decoding images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("cache", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def stage_shown(opened: "OpenStage", concurrent: int) -> Iterator[None]:
    """Show a stage while it runs: a live table on a terminal, a line a minute elsewhere.

    Args:
        opened: the stage.
        concurrent: trials at a time.
    """
    stage, history = opened.stage, opened.stage.journal.history
    budget_seconds = stage.settings.time_budget_seconds if opened.name == "search" else 0.0
    shown = replace(stage.settings, trials=opened.trials, time_budget_seconds=budget_seconds)

    def render() -> RenderableType:
        problem = opened.tracker.problem
        about = f"MLflow waits: {problem}" if problem else f"MLflow: {stage.place.tracking_uri}"
        about += f"\nlogs: {stage.folder.trial(0).parent}/NUMBER/log.txt"
        return tables.progress_panel(history, shown, concurrent=concurrent, about=about)

    with _shown_live(render, lambda: tables.summary_line(history, shown, concurrent)):
        yield


def show_unsent(tracker: "Tracker", folder: SearchFolder) -> None:
    """Say so when MLflow has not everything of a stage that was left, and what it does not take."""
    show_set_aside(tracker)
    if tracker.lack is not None:
        console.print(
            f"{tracker.lack} Nothing is lost: run '{folder.command('sync')}' when it answers.",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def show_set_aside(tracker: "Tracker") -> None:
    """Say what MLflow does not take, which is left out there."""
    for name, reason in tracker.set_aside.items():
        console.print(f"MLflow does not take {name} ({reason}).", style="yellow", markup=False)


@contextmanager
def _shown_live(render: Callable[[], RenderableType], summarise: Callable[[], RenderableType]) -> Iterator[None]:
    if console.is_terminal:
        with Live(get_renderable=render, console=console, refresh_per_second=2, transient=True):
            yield
        return
    # A log file or a job's output gets a line a minute instead of a moving table.
    done = threading.Event()

    def tell() -> None:
        while not done.wait(_LOG_SECONDS):
            console.print(summarise())

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def show_confirmation_due(settings: SearchSettings, folder: SearchFolder, history: History) -> None:
    """Say when a finished search is still to be confirmed, and which trainings for it failed."""
    if not can_confirm(history, settings) or is_in_use(folder.confirm_stage):
        return
    show_failed_trainings(settings, folder)
    trainings = read_history(folder.confirm_stage.journal)
    if decide(choose_candidates(history, settings), trainings, settings, read_folds(folder.folds).block_of).pending:
        told = f"{len(trainings.trials) - len(trainings.unfinished)} of at most {count_trainings(settings)} trainings"
        console.print(
            f"The winner is not confirmed on further folds yet ({told}); run '{folder.command('confirm')}'.",
            style="yellow",
            soft_wrap=True,
        )


def show_failed_trainings(settings: SearchSettings, folder: SearchFolder) -> None:
    """Say which trainings of the confirmation have no score, and what to do."""
    candidates = choose_candidates(read_history(folder.search_stage.journal), settings)
    sources = {trial.number for trial in candidates}
    trainings = [trial for trial in read_history(folder.confirm_stage.journal).in_order if trial.source in sources]
    failed = [
        trial
        for trial in trainings
        if trial.outcome in FAILURES or (trial.outcome is Outcome.FINISHED and trial.best is None)
    ]
    if not failed:
        return
    last = failed[-1]
    said = f"{last.outcome}: {last.message.strip()[-1000:]}".rstrip(": ")
    again = "Mend the cause" if last.outcome is Outcome.FAILED else "Where a worker failed, mend the cause"
    console.print(
        f"{len(failed)} of {len(trainings)} trainings of the confirmation have no score; the last, of trial "
        f"{last.source} on fold {last.fold}, {said}. {again}, then try again with "
        f"'{folder.command('confirm')}'.",
        style="yellow",
        soft_wrap=True,
        markup=False,
    )


def show_front(settings: SearchSettings, history: History) -> None:
    """Show what can be had between fast and good, where the search was asked to."""
    if settings.weighs_latency:
        console.print(tables.front_table(history))
        limited = " within the limits" if settings.max_latency_ms or settings.max_memory_gib else ""
        console.print(f"best.json holds the best iou{limited}; the sampler sought iou alone.", soft_wrap=True)


def show_best(found: dict[str, Any], folder: SearchFolder) -> None:
    """Show the winner, and how far it is confirmed."""
    console.print(tables.best_table(found))
    if "confirmation" in found:
        console.print(tables.confirmation_table(found["confirmation"]))
        console.print(confirmation_line(found["confirmation"]))
    else:
        console.print(
            f"Chosen by its score on fold {found['fold']} alone; '{folder.command('confirm')}' trains "
            "the best on further folds.",
            style="yellow",
            soft_wrap=True,
        )
