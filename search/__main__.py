"""`python -m search`: launch, resume, status, best, confirm, retrain, sync, ui; the only place that prints or exits."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console

from search import cluster, report, selection, stages, tracking, tuner
from search.confirm import can_confirm
from search.journal import read_history
from search.layout import find_folder, folder_of, is_in_use, lock_stage, require_idle, require_new
from search.options import (
    DEFAULTS,
    Address,
    Cache,
    Confirm,
    ConfirmFolds,
    CPUsPerTrial,
    Data,
    Epochs,
    Extra,
    Fixed,
    Fold,
    Folds,
    GPUsPerTrial,
    GraceEpochs,
    MaxConcurrent,
    MaxFailures,
    MaxLatencyMs,
    MaxMemoryGib,
    Name,
    NewName,
    Objective,
    ReductionFactor,
    Seed,
    SeedConfig,
    Space,
    Storage,
    TimeBudget,
    TrackingURI,
    Trials,
    WarmStart,
)
from search.prior import read_earlier, read_prior, resolve_first
from search.proposals import load_space
from search.settings import (
    DEFAULT_STORAGE,
    build_settings,
    change_settings,
    parse_duration,
    parse_trials,
    read_settings,
    write_settings,
)
from segcore.config import parse_assignments
from segcore.dataset import read_dataset
from segcore.errors import CheckpointError, StreetError, TrackingError
from segcore.folds import make_folds, read_folds, write_folds

console = stages.console
app = typer.Typer(
    help="Distributed hyperparameter search for semantic segmentation of street scenes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def launch(
    data: Data,
    name: NewName,
    extra: Extra = None,
    space: Space = DEFAULTS["space"],
    trials: Trials = DEFAULTS["trials"],
    epochs: Epochs = DEFAULTS["epochs"],
    grace_epochs: GraceEpochs = DEFAULTS["grace_epochs"],
    reduction_factor: ReductionFactor = DEFAULTS["reduction_factor"],
    folds: Folds = DEFAULTS["folds"],
    fold: Fold = DEFAULTS["fold"],
    seed: Seed = DEFAULTS["seed"],
    fixed: Fixed = None,
    seed_config: SeedConfig = None,
    warm_start: WarmStart = None,
    gpus_per_trial: GPUsPerTrial = DEFAULTS["gpus_per_trial"],
    cpus_per_trial: CPUsPerTrial = DEFAULTS["cpus_per_trial"],
    max_concurrent: MaxConcurrent = DEFAULTS["max_concurrent"],
    max_failures: MaxFailures = DEFAULTS["max_failures"],
    objective: Objective = DEFAULTS["objective"],
    max_latency_ms: MaxLatencyMs = DEFAULTS["max_latency_ms"],
    max_memory_gib: MaxMemoryGib = DEFAULTS["max_memory_gib"],
    confirm: Confirm = DEFAULTS["confirm"],
    confirm_folds: ConfirmFolds = DEFAULTS["confirm_folds"],
    time_budget: TimeBudget = "0",
    address: Address = DEFAULTS["address"],
    tracking_uri: TrackingURI = DEFAULTS["tracking_uri"],
    storage: Storage = DEFAULT_STORAGE,
    cache: Cache = DEFAULTS["cache"],
) -> None:
    """Search for the best configuration: trials on Ray, drawn from an Optuna space, judged by ASHA, shown by MLflow."""
    values = {**locals()}
    values["extra"] = tuple(values["extra"] or ())
    values["fixed"] = parse_assignments(tuple(values["fixed"] or ()))
    values["time_budget_seconds"] = parse_duration(values.pop("time_budget"))
    files, searches = values.pop("seed_config") or [], values.pop("warm_start") or []
    settings = build_settings(values)
    console.print(report.settings_table(settings))
    require_new(settings)
    loaded = load_space(settings.space)
    tracking.require_tracking(settings.tracking_uri)
    given = [(f"--seed-config {file}", read_prior(file)) for file in files]
    given += [(f"--warm-start {search}", each) for search in searches for each in read_earlier(search, settings)]
    split = make_folds(read_dataset(settings.data).cases, settings.folds)
    with cluster.connected(settings):
        cache_pixels = stages.prepare_cache(settings)
        tuner.require_search(settings, cache_pixels, split)
        settings = replace(settings, first=resolve_first(given, loaded, settings, tuner.space_facts(cache_pixels)))
        folder = folder_of(settings)
        with lock_stage(folder.search_stage):
            # Another launch of this name may have begun while Ray started.
            require_new(settings)
            write_folds(split, folder.folds)
            write_settings(settings, folder.settings)
        stages.run_search(settings, folder, cache_pixels, split)
        stages.finish_search(settings, folder, cache_pixels)


@app.command()
def resume(
    name: Name,
    trials: Annotated[str, typer.Option(help="how many trials it is to have: 60, or +40 for 40 more")] = "+0",
    time_budget: Annotated[str, typer.Option(help="go on for 90m, 2h, 1d, ...; empty: what is left")] = "",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="try failed trials again")] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Go on with a search that was interrupted, or extend it: what has finished stays, the rest goes on."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    require_idle(folder.confirm_stage)
    history = read_history(folder.search_stage.journal)
    asked = len(history.trials)
    settings = extended = change_settings(settings, {"trials": parse_trials(trials, settings, asked)})
    if time_budget:
        settings = replace(settings, time_budget_seconds=history.spent_seconds + parse_duration(time_budget))
    tuner.require_time_left(settings, history, retry=retry_failed)
    console.print(f"{name}: {settings.trials} trials in all, {asked} of them begun")
    split = read_folds(folder.folds)
    tracking.require_tracking(settings.tracking_uri)
    with cluster.connected(settings):
        cache = stages.prepare_cache(settings)
        stages.run_search(settings, folder, cache, split, retry=retry_failed, extended=extended)
        stages.finish_search(settings, folder, cache, retry=retry_failed)


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
    if history.ranked:
        console.print(report.insight_report(history, settings.resolved_grace_epochs))
    if idle and not tuner.is_over(settings, history):
        console.print(f"No process runs it; go on with 'python -m search resume {name}'.", style="yellow")
    elif idle:
        stages.show_confirmation_due(settings, folder, history)
    console.print(f"logs: {folder.search_stage.trial(0).parent}/NUMBER/log.txt", style="dim", soft_wrap=True)


@app.command()
def best(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show the best configuration so far and write best.json."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    stages.show_best(stages.name_winner(settings, folder))
    stages.show_failed_trainings(settings, folder)
    stages.show_front(settings, read_history(folder.search_stage.journal))
    console.print(f"written to {folder.best}", soft_wrap=True)


@app.command("confirm")
def confirm_command(
    name: Name,
    top: Annotated[int | None, typer.Option(help="best configurations to train; left out: as launched")] = None,
    folds: Annotated[int | None, typer.Option(help="most further folds; left out: as launched")] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Train the best configurations on further folds and name the winner; goes on where it was interrupted."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    changes = {"confirm": top, "confirm_folds": folds}
    settings = change_settings(settings, {key: value for key, value in changes.items() if value is not None})
    history = read_history(folder.search_stage.journal)
    if not can_confirm(history, settings):
        raise CheckpointError(
            f"Search {name!r} has fewer than two configurations to compare (--top {settings.confirm}, "
            f"{len(history.ranked)} trials with a score); use --top 2 or more, or resume the search first."
        )
    if is_in_use(folder.search_stage):
        raise CheckpointError(f"Search {name!r} is running, and confirms by itself at its end.")
    require_idle(folder.confirm_stage)
    tracking.require_tracking(settings.tracking_uri)
    with cluster.connected(settings):
        stages.run_confirmation(settings, folder, stages.prepare_cache(settings), retry=True, save=True)
    stages.show_best(stages.name_winner(settings, folder))
    stages.show_failed_trainings(settings, folder)


@app.command("retrain")
def retrain_command(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Train the best configuration on all folds, score it out of fold, and register the ensemble."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    require_idle(folder.confirm_stage)
    if not folder.best.exists():
        best(name, storage)
    winner = selection.read_best(folder.best)
    tracking.require_tracking(settings.tracking_uri)
    with cluster.connected(settings):
        stages.run_retraining(settings, folder, stages.prepare_cache(settings), winner)


@app.command()
def sync(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Send to MLflow what it missed while its server was away."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    tracking.require_tracking(settings.tracking_uri)
    for stage_name, stage in folder.stages.items():
        if stage.journal.exists():
            with lock_stage(stage):
                stages.close_tracker(tracking.Tracker(settings, stage_name, stage), settings)


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
