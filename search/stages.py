"""Runs the stages of a search for the command line: locks, live display, MLflow in the background, and what is shown.

`__main__` has the commands and their options. Nothing here decides: the stages themselves are in `tuner`, `confirm` and
`retrain`, the tables in `report`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search import cluster, registry, report, retrain, selection, tracking, tuner
from search.confirm import can_confirm, confirm_candidates, count_trainings, find_confirmed
from search.journal import FAILURES, History, Journal, Outcome, read_history
from search.layout import SearchFolder, is_in_use, lock_stage, require_idle
from search.race import decide
from search.selection import choose_candidates
from search.settings import DEFAULT_STORAGE, SearchSettings, write_settings
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
    settings: SearchSettings,
    folder: SearchFolder,
    cache: PixelCache,
    split: FoldSplit,
    *,
    retry: bool = False,
    extended: SearchSettings | None = None,
) -> None:
    """Run the search's trials and show them.

    Args:
        settings: of this run.
        folder: the search's.
        cache: the decoded data.
        split: the folds.
        retry: whether to try again what had failed.
        extended: settings to save, once nothing stands against the run.
    """
    with _open_stage(settings, "search", folder, cache, split) as stage:
        require_idle(folder.confirm_stage)
        if extended is not None:
            write_settings(extended, folder.settings)
        if retry:
            console.print(f"trying {tuner.retry_failed(stage.journal)} failed trials again")
        tuner.run_search(stage, cache)
        history = stage.journal.history
        found = selection.choose_best(history, settings)
        selection.write_best(found, folder.best)
        stage.journal.write("closed", {"metrics": found["metrics"], "note": report.best_note(found)})
    console.print(report.trials_table(history.in_order))
    console.print(report.summary_line(history, settings, 1))


def finish_search(settings: SearchSettings, folder: SearchFolder, cache: PixelCache, *, retry: bool = False) -> None:
    """Confirm the best configurations, show what was learnt and who won, and say how to go on.

    Args:
        settings: of the search.
        folder: the search's.
        cache: the decoded data.
        retry: whether to try again what had failed in the confirmation.
    """
    history = read_history(folder.search_stage.journal)
    if can_confirm(history, settings):
        run_confirmation(settings, folder, cache, retry=retry)
    found = name_winner(settings, folder)
    console.print(report.insight_report(history, settings.resolved_grace_epochs))
    show_front(settings, history)
    show_best(found)
    show_failed_trainings(settings, folder)
    where = "" if settings.storage == DEFAULT_STORAGE.resolve() else f" --storage {settings.storage}"
    console.print(f"best.json:  {folder.best}", soft_wrap=True)
    console.print(f"logs:       {folder.search_stage.trial(0).parent}/NUMBER/log.txt", soft_wrap=True)
    console.print(f"browse:     python -m search ui{where}", soft_wrap=True)
    console.print(f"retrain:    python -m search retrain {settings.name}{where}", soft_wrap=True)


def run_confirmation(
    settings: SearchSettings, folder: SearchFolder, cache: PixelCache, *, retry: bool, save: bool = False
) -> None:
    """Train the best configurations on further folds.

    Args:
        settings: of the search.
        folder: the search's.
        cache: the decoded data.
        retry: whether to try again what had failed.
        save: whether to save the settings, once nothing stands against the run.
    """
    split = read_folds(folder.folds)
    with _open_stage(settings, "confirm", folder, cache, split) as stage:
        require_idle(folder.search_stage)
        if save:
            write_settings(settings, folder.settings)
        history = read_history(folder.search_stage.journal)
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
    """Say when a finished search is still to be confirmed, and which trainings for it failed."""
    if not can_confirm(history, settings) or is_in_use(folder.confirm_stage):
        return
    show_failed_trainings(settings, folder)
    trainings = read_history(folder.confirm_stage.journal)
    if decide(choose_candidates(history, settings), trainings, settings, read_folds(folder.folds).block_of).pending:
        told = f"{len(trainings.trials) - len(trainings.unfinished)} of at most {count_trainings(settings)} trainings"
        console.print(
            f"The winner is not confirmed on further folds yet ({told}); run 'python -m search confirm "
            f"{settings.name}'.",
            style="yellow",
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
        f"{last.source} on fold {last.fold}, {said}. {again}, then try again with 'python -m search confirm "
        f"{settings.name}'.",
        style="yellow",
        markup=False,
    )


def show_front(settings: SearchSettings, history: History) -> None:
    """Show what can be had between fast and good, where the search was asked to."""
    if settings.weighs_latency:
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
    with _open_stage(settings, "retrain", folder, cache, split) as stage:
        require_idle(folder.confirm_stage)
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
    settings: SearchSettings, stage_name: str, search: SearchFolder, cache: PixelCache, split: FoldSplit
) -> Iterator[tuner.Stage]:
    folder = search.stages[stage_name]
    with ExitStack() as closing:
        closing.callback(lock_stage(folder).release)
        journal = Journal(folder.journal)
        closing.callback(journal.close)
        job = tuner.make_job(settings, cache, split, limited=stage_name == "search")
        stage = tuner.Stage(settings=settings, folder=folder, journal=journal, job=job)
        # Scores of one stage count in another.
        tuner.require_same_data(stage, *(read_history(each.journal) for each in search.stages.values()))
        tracker = tracking.Tracker(settings, stage_name, folder)
        closing.callback(close_tracker, tracker, settings)
        with _stage_shown(stage, stage_name, tracker):
            yield stage


@contextmanager
def _stage_shown(stage: tuner.Stage, stage_name: str, tracker: tracking.Tracker) -> Iterator[None]:
    settings, folder, journal = stage.settings, stage.folder, stage.journal
    concurrent = cluster.count_concurrent(settings)
    trials = {"search": settings.trials, "confirm": count_trainings(settings), "retrain": settings.folds}[stage_name]
    budget_seconds = settings.time_budget_seconds if stage_name == "search" else 0.0
    shown = replace(settings, trials=trials, time_budget_seconds=budget_seconds)

    def render() -> RenderableType:
        about = f"MLflow waits: {tracker.problem}" if tracker.problem else f"MLflow: {settings.tracking_uri}"
        about += f"\nlogs: {folder.trial(0).parent}/NUMBER/log.txt"
        return report.progress_panel(journal.history, shown, concurrent=concurrent, about=about)

    with _shown_live(render, lambda: report.summary_line(journal.history, shown, concurrent)):
        yield


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
