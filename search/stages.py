"""Runs the stages of a search for the command line: locks, live display, MLflow in the background, and what is shown.

`__main__` has the commands and their options. Nothing here decides: the stages themselves are in `tuner`, `confirm` and
`retrain`, the tables in `report`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from filelock import FileLock
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search import cluster, registry, report, retrain, selection, tracking, tuner
from search.confirm import can_confirm, confirm_candidates, count_trainings, find_confirmed
from search.journal import History, Journal, read_history
from search.layout import SearchFolder, StageFolder, is_in_use, lock_stage
from search.race import decide
from search.selection import choose_candidates
from search.settings import DEFAULT_STORAGE, SearchSettings
from segcore.cache import PixelCache
from segcore.dataset import read_dataset
from segcore.folds import FoldSplit, read_folds

console = Console()
_LOG_SECONDS: Final = 60.0


def prepare_cache(settings: SearchSettings) -> PixelCache:
    """Decode the images on every node, showing how far it is."""
    if cluster.has_idle_gpus(settings):
        console.print("The cluster has GPUs, but trials run on CPUs: --gpus-per-trial is 0.", style="yellow")
    dataset = read_dataset(settings.data)
    columns = (TextColumn("decoding images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("cache", total=None)
        return cluster.prepare_nodes(
            dataset, settings, lambda done, total: bar.update(task, completed=done, total=total)
        )


def run_search(
    settings: SearchSettings, folder: SearchFolder, cache: PixelCache, split: FoldSplit, *, retry: bool = False
) -> None:
    """Run the search's trials and show them; `retry` tries again what had failed."""
    with _open_stage(settings, "search", folder.search_stage, cache, split) as stage:
        if retry:
            console.print(f"trying {tuner.retry_failed(stage.journal)} failed trials again")
        tuner.run_search(stage, cache)
        history = stage.journal.history
        found = selection.choose_best(history, settings)
        selection.write_best(found, folder.best)
        stage.journal.write("closed", {"metrics": found["metrics"], "note": report.best_note(found)})
    console.print(report.trials_table(history.in_order))
    console.print(report.summary_line(history, settings, 1))
    console.print(report.insight_report(history, settings.resolved_grace_epochs))
    show_front(settings, history)


def finish_search(settings: SearchSettings, folder: SearchFolder, cache: PixelCache) -> None:
    """Confirm the best configurations, show the winner, and say how to go on."""
    if can_confirm(read_history(folder.search_stage.journal), settings):
        run_confirmation(settings, folder, cache, retry=False)
    show_best(name_winner(settings, folder))
    where = "" if settings.storage == DEFAULT_STORAGE.resolve() else f" --storage {settings.storage}"
    console.print(f"best.json:  {folder.best}", soft_wrap=True)
    console.print(f"logs:       {folder.search_stage.trial(0).parent}/NUMBER/log.txt", soft_wrap=True)
    console.print(f"browse:     python -m search ui{where}", soft_wrap=True)
    console.print(f"retrain:    python -m search retrain {settings.name}{where}", soft_wrap=True)


def run_confirmation(settings: SearchSettings, folder: SearchFolder, cache: PixelCache, *, retry: bool) -> None:
    """Train the best configurations on further folds; `retry` tries again what had failed."""
    split, history = read_folds(folder.folds), read_history(folder.search_stage.journal)
    with _open_stage(settings, "confirm", folder.confirm_stage, cache, split) as stage:
        if retry:
            tuner.retry_failed(stage.journal)
        confirm_candidates(stage, history)
        found = selection.choose_confirmed(history, stage.journal.history, settings, split)
        metrics = {"iou": found["confirmation"]["iou"]} if "confirmation" in found else {}
        stage.journal.write("closed", {"metrics": metrics, "note": report.best_note(found)})


def name_winner(settings: SearchSettings, folder: SearchFolder) -> dict[str, Any]:
    """Write `best.json` from the journals, and return what it holds."""
    history, trainings = read_history(folder.search_stage.journal), read_history(folder.confirm_stage.journal)
    found = selection.choose_confirmed(history, trainings, settings, read_folds(folder.folds))
    selection.write_best(found, folder.best)
    return found


def show_confirmation_due(settings: SearchSettings, folder: SearchFolder, history: History) -> None:
    """Say when a finished search is still to be confirmed."""
    if not can_confirm(history, settings) or is_in_use(folder.confirm_stage):
        return
    trainings = read_history(folder.confirm_stage.journal)
    if decide(choose_candidates(history, settings), trainings, settings, read_folds(folder.folds).block_of).pending:
        told = f"{len(trainings.trials) - len(trainings.unfinished)} of at most {count_trainings(settings)} trainings"
        console.print(
            f"The winner is not confirmed on further folds yet ({told}); run 'python -m search confirm "
            f"{settings.name}'.",
            style="yellow",
        )


def show_front(settings: SearchSettings, history: History) -> None:
    """Show what can be had between fast and good, where the search was asked to."""
    if "latency_ms" in settings.objective:
        console.print(report.front_table(history))
        limited = " within the limits" if settings.max_latency_ms or settings.max_memory_gib else ""
        console.print(f"best.json holds the best iou{limited}; the sampler sought iou alone.", soft_wrap=True)


def show_best(found: dict[str, Any]) -> None:
    """Show the winner, and how far it is confirmed."""
    console.print(report.best_table(found))
    if "confirmation" in found:
        console.print(report.confirmation_table(found["confirmation"]))
        console.print(report.confirmation_line(found["confirmation"]))
    else:
        console.print(
            f"Chosen by its score on fold {found['fold']} alone; 'python -m search confirm {found['search']}' trains "
            "the best on further folds.",
            style="yellow",
        )


def run_retraining(settings: SearchSettings, folder: SearchFolder, cache: PixelCache, winner: dict[str, Any]) -> None:
    """Train the winner on all folds, show its score out of fold, and register the ensemble."""
    split = read_folds(folder.folds)
    with _open_stage(settings, "retrain", folder.retrain_stage, cache, split) as stage:
        confirmed = find_confirmed(read_history(folder.confirm_stage.journal), winner["trial"], winner["values"])
        retrain.plan_folds(stage.journal, winner, split.folds, confirmed)
        tuner.run_folds(stage, "retrain")
        confirm_folds = selection.confirmation_folds(winner)
        result = retrain.measure_out_of_fold(stage.journal, cache.classes, winner["fold"], confirm_folds)
        retrain.build_ensemble(folder, stage.journal, cache, result, winner)
        note = report.out_of_fold_note(result, winner["metrics"]["iou"])
        stage.journal.write("closed", {"metrics": result.metrics, "note": note})
    console.print(report.out_of_fold_table(result, winner["metrics"]["iou"]))
    address = registry.register_model(settings, folder.retrain_stage, folder.model)
    console.print(f"ensemble:   {folder.model}", soft_wrap=True)
    console.print(f"registered: {address}", soft_wrap=True)


@contextmanager
def _open_stage(
    settings: SearchSettings, stage_name: str, folder: StageFolder, cache: PixelCache, split: FoldSplit
) -> Iterator[tuner.Stage]:
    lock: FileLock = lock_stage(folder)
    journal = Journal(folder.journal)
    job = tuner.make_job(settings, cache, split, limited=stage_name == "search")
    stage = tuner.Stage(settings=settings, folder=folder, journal=journal, job=job)
    tuner.require_same_data(stage)
    tracker = tracking.Tracker(settings, stage_name, folder)
    concurrent = cluster.count_concurrent(settings)
    trials = {"search": settings.trials, "confirm": count_trainings(settings), "retrain": split.folds}[stage_name]
    budget_seconds = settings.time_budget_seconds if stage_name == "search" else 0.0
    shown = replace(settings, trials=trials, time_budget_seconds=budget_seconds)

    def render() -> RenderableType:
        about = f"MLflow waits: {tracker.problem}" if tracker.problem else f"MLflow: {settings.tracking_uri}"
        about += f"\nlogs: {folder.trial(0).parent}/NUMBER/log.txt"
        return report.progress_panel(journal.history, shown, concurrent=concurrent, about=about)

    try:
        with _shown_live(render, lambda: report.summary_line(journal.history, shown, concurrent)):
            yield stage
    finally:
        close_tracker(tracker, settings)
        journal.close()
        lock.release()


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


def close_tracker(tracker: tracking.Tracker, settings: SearchSettings) -> None:
    """Send MLflow what is left, and say so when it does not answer."""
    if tracker.close():
        console.print(
            f"MLflow at {settings.tracking_uri} has not everything yet ({tracker.problem}); nothing is lost: "
            f"run 'python -m search sync {settings.name}' when it answers.",
            style="yellow",
        )
