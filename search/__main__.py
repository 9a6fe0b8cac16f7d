"""`python -m search`: launch, resume, status, best, retrain, sync, ui; the only place that prints or exits."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from filelock import FileLock
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from search import cluster, registry, report, retrain, selection, tracking, tuner
from search.journal import Journal, read_history
from search.layout import SearchFolder, StageFolder, find_folder, folder_of, is_in_use, lock_stage, require_new
from search.proposals import load_space
from search.settings import (
    DEFAULT_STORAGE,
    SearchSettings,
    build_settings,
    parse_duration,
    read_settings,
    write_settings,
)
from segcore.cache import PixelCache
from segcore.config import parse_assignments
from segcore.dataset import read_dataset
from segcore.errors import StreetError, TrackingError
from segcore.folds import FoldSplit, make_folds, read_folds, write_folds

app = typer.Typer(
    help="Distributed hyperparameter search for semantic segmentation of street scenes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
_LOG_SECONDS = 60.0
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(SearchSettings)}

Storage = Annotated[Path, typer.Option(help="folder of all searches")]
Name = Annotated[str, typer.Argument(help="name of the search")]


@app.command()
def launch(
    data: Annotated[Path, typer.Option(help="data-set folder, at the same path on every node")],
    name: Annotated[str, typer.Option(help="name of the search")],
    space: Annotated[str, typer.Option(help="street, demo, or package.module:function")] = _DEFAULTS["space"],
    trials: Annotated[int, typer.Option(help="configurations to try")] = _DEFAULTS["trials"],
    epochs: Annotated[int, typer.Option(help="most epochs of a trial")] = _DEFAULTS["epochs"],
    grace_epochs: Annotated[int, typer.Option(help="epochs before ASHA may stop a trial; 0: a ninth")] = _DEFAULTS[
        "grace_epochs"
    ],
    reduction_factor: Annotated[int, typer.Option(help="of so many trials at a rung, one goes on")] = _DEFAULTS[
        "reduction_factor"
    ],
    folds: Annotated[int, typer.Option(help="parts the data is divided into")] = _DEFAULTS["folds"],
    fold: Annotated[int, typer.Option(help="part that trials are scored on")] = _DEFAULTS["fold"],
    seed: Annotated[int, typer.Option(help="seed of proposals and trainings")] = _DEFAULTS["seed"],
    fixed: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE for every trial")] = None,
    gpus_per_trial: Annotated[float, typer.Option(help="0.5 lets two trials share a GPU")] = _DEFAULTS[
        "gpus_per_trial"
    ],
    cpus_per_trial: Annotated[float, typer.Option(help="processor cores per trial")] = _DEFAULTS["cpus_per_trial"],
    max_concurrent: Annotated[int, typer.Option(help="most trials at a time; 0: as many as fit")] = _DEFAULTS[
        "max_concurrent"
    ],
    max_failures: Annotated[int, typer.Option(help="restarts of a trial whose worker died")] = _DEFAULTS[
        "max_failures"
    ],
    time_budget: Annotated[str, typer.Option(help="stop after 90m, 2h, 1d, ...; 0: never")] = "0",
    address: Annotated[str, typer.Option(help="Ray cluster; empty: start a local Ray")] = _DEFAULTS["address"],
    tracking_uri: Annotated[str, typer.Option(help="MLflow; empty: a file in the storage")] = _DEFAULTS["tracking_uri"],
    storage: Storage = DEFAULT_STORAGE,
    cache: Annotated[Path, typer.Option(help="folder of decoded images on each node")] = _DEFAULTS["cache"],
) -> None:
    """Search for the best configuration: trials on Ray, stopped by ASHA, proposed by Optuna, shown by MLflow."""
    values = {**locals()}
    values["fixed"] = parse_assignments(tuple(values["fixed"] or ()))
    values["time_budget_seconds"] = parse_duration(values.pop("time_budget"))
    settings = build_settings(values)
    console.print(report.settings_table(settings))
    require_new(settings)
    load_space(settings.space)
    tracking.require_tracking(settings.tracking_uri)
    split = make_folds(read_dataset(settings.data).cases, settings.folds)
    with cluster.connected(settings):
        cache_pixels = _prepare(settings)
        tuner.require_search(settings, cache_pixels, split)
        folder = folder_of(settings)
        with lock_stage(folder.search_stage):
            # Another launch of this name may have begun while Ray started.
            require_new(settings)
            write_folds(split, folder.folds)
            write_settings(settings, folder.settings)
        _search(settings, folder, cache_pixels, split)


@app.command()
def resume(
    name: Name,
    time_budget: Annotated[str, typer.Option(help="go on for 90m, 2h, 1d, ...; empty: what is left")] = "",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Go on with a search that was interrupted: finished trials stay, unfinished ones go on from their checkpoint."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    if time_budget:
        spent_seconds = read_history(folder.search_stage.journal).spent_seconds
        settings = replace(settings, time_budget_seconds=spent_seconds + parse_duration(time_budget))
    split = read_folds(folder.folds)
    tracking.require_tracking(settings.tracking_uri)
    with cluster.connected(settings):
        _search(settings, folder, _prepare(settings), split)


@app.command()
def status(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show every trial of a search, and the best."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    history = read_history(folder.search_stage.journal)
    idle = not is_in_use(folder.search_stage)
    if idle:
        history.halt()
    console.print(report.trials_table(history.in_order))
    console.print(report.summary_line(history, settings, settings.max_concurrent or 1))
    if idle and (history.unfinished or len(history.trials) < settings.trials):
        console.print(f"No process runs it; go on with 'python -m search resume {name}'.", style="yellow")
    console.print(f"logs: {folder.search_stage.trial(0).parent}/NUMBER/log.txt", style="dim", soft_wrap=True)


@app.command()
def best(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show the best configuration so far and write best.json."""
    folder = find_folder(storage, name)
    found = selection.choose_best(read_history(folder.search_stage.journal), read_settings(folder.settings))
    selection.write_best(found, folder.best)
    console.print(report.best_table(found))
    console.print(f"written to {folder.best}", soft_wrap=True)


@app.command("retrain")
def retrain_command(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Train the best configuration on all folds, score it out of fold, and register the ensemble."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    if not folder.best.exists():
        best(name, storage)
    winner = selection.read_best(folder.best)
    tracking.require_tracking(settings.tracking_uri)
    with cluster.connected(settings):
        _retrain(settings, folder, _prepare(settings), winner)


@app.command()
def sync(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Send to MLflow what it missed while its server was away."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    tracking.require_tracking(settings.tracking_uri)
    for stage_name, stage in (("search", folder.search_stage), ("retrain", folder.retrain_stage)):
        if stage.journal.exists():
            with lock_stage(stage):
                _close_tracker(tracking.Tracker(settings, stage_name, stage), settings)


@app.command()
def ui(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 5000,
) -> None:
    """Open the MLflow UI on all searches of a storage folder."""
    folder = storage.expanduser().resolve()
    for file in sorted(folder.glob("*/settings.json")):
        settings = read_settings(file)
        server = settings.tracking_uri if settings.tracking_uri.startswith("http") else f"http://{host}:{port}"
        try:
            console.print(f"{settings.name}: {tracking.trials_link(settings, server)}", soft_wrap=True)
        except TrackingError as error:
            console.print(f"{settings.name}: {error}", style="yellow", soft_wrap=True)
    if not (folder / "mlflow.db").exists():
        _fail(
            f"{folder} has no mlflow.db to serve: its searches, if any, are on the servers named above; "
            "launch a search first, or give another folder with --storage."
        )
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", host, "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "mlartifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        process.wait()
    finally:
        # The server's children outlive it unless the whole group is told.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


def _prepare(settings: SearchSettings) -> PixelCache:
    if cluster.has_idle_gpus(settings):
        console.print("The cluster has GPUs, but trials run on CPUs: --gpus-per-trial is 0.", style="yellow")
    dataset = read_dataset(settings.data)
    columns = (TextColumn("decoding images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("cache", total=None)
        folder = cluster.prepare_nodes(
            dataset, settings, lambda done, total: bar.update(task, completed=done, total=total)
        )
    return PixelCache(folder)


def _search(settings: SearchSettings, folder: SearchFolder, cache: PixelCache, split: FoldSplit) -> None:
    with _open_stage(settings, "search", folder.search_stage, cache, split) as stage:
        tuner.run_search(stage, cache)
        history = stage.journal.history
        found = selection.choose_best(history, settings)
        selection.write_best(found, folder.best)
        stage.journal.write("closed", {"metrics": found["metrics"], "note": report.best_note(found)})
    console.print(report.trials_table(history.in_order))
    console.print(report.summary_line(history, settings, 1))
    console.print(report.best_table(found))
    where = "" if settings.storage == DEFAULT_STORAGE.resolve() else f" --storage {settings.storage}"
    console.print(f"best.json:  {folder.best}", soft_wrap=True)
    console.print(f"logs:       {folder.search_stage.trial(0).parent}/NUMBER/log.txt", soft_wrap=True)
    console.print(f"browse:     python -m search ui{where}", soft_wrap=True)
    console.print(f"retrain:    python -m search retrain {settings.name}{where}", soft_wrap=True)


def _retrain(settings: SearchSettings, folder: SearchFolder, cache: PixelCache, winner: dict[str, Any]) -> None:
    split = read_folds(folder.folds)
    with _open_stage(settings, "retrain", folder.retrain_stage, cache, split) as stage:
        retrain.plan_folds(stage.journal, winner, split.folds)
        tuner.run_folds(stage)
        result = retrain.measure_out_of_fold(stage.journal, cache.classes, winner["fold"])
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
    stage = tuner.Stage(settings=settings, folder=folder, journal=journal, job=tuner.make_job(settings, cache, split))
    tuner.require_same_data(stage)
    tracker = tracking.Tracker(settings, stage_name, folder)
    concurrent = cluster.count_concurrent(settings)
    shown = settings if stage_name == "search" else replace(settings, trials=split.folds, time_budget_seconds=0)

    def render() -> RenderableType:
        about = f"MLflow waits: {tracker.problem}" if tracker.problem else f"MLflow: {settings.tracking_uri}"
        about += f"\nlogs: {folder.trial(0).parent}/NUMBER/log.txt"
        return report.progress_panel(journal.history, shown, concurrent=concurrent, about=about)

    try:
        with _shown_live(render, lambda: report.summary_line(journal.history, shown, concurrent)):
            yield stage
    finally:
        _close_tracker(tracker, settings)
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


def _close_tracker(tracker: tracking.Tracker, settings: SearchSettings) -> None:
    if tracker.close():
        console.print(
            f"MLflow at {settings.tracking_uri} has not everything yet ({tracker.problem}); nothing is lost: "
            f"run 'python -m search sync {settings.name}' when it answers.",
            style="yellow",
        )


def _fail(message: str) -> None:
    Console(stderr=True).print(message, style="red", soft_wrap=True, markup=False, highlight=False)
    raise SystemExit(2)


def main() -> None:
    """Run the command line; a mistake of the user ends in a message, never in a traceback."""
    try:
        app()
    except StreetError as error:
        _fail(str(error))


if __name__ == "__main__":
    main()
