"""`launch` and `resume`: begin a search, and go on with one."""

from dataclasses import replace
from typing import Annotated

import typer

from search.commands.display import console
from search.commands.options import (
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
from search.commands.tables import settings_table
from search.folder import find_folder, folder_of, lock_stage, require_idle, require_new
from search.judge.progress import build_asha, require_time_left
from search.memory.history import History
from search.memory.journal import replay
from search.settings import (
    DEFAULT_STORAGE,
    build_settings,
    change_settings,
    parse_duration,
    parse_trials,
    read_settings,
    write_settings,
)
from search.space.draw import load_space
from search.space.first import read_prior, resolve_first
from segcore.config import parse_assignments
from segcore.data.folds import make_folds, read_folds, write_folds


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
    from search.commands import running
    from search.run import cluster, loop
    from search.stages.earlier import read_earlier
    from search.tracking.check import require_tracking
    from segcore.data.dataset import read_dataset
    from segcore.training.feasible import Feasibility

    values["extra"] = tuple(values["extra"] or ())
    values["fixed"] = parse_assignments(tuple(values["fixed"] or ()))
    values["time_budget_seconds"] = parse_duration(values.pop("time_budget"))
    files, searches = values.pop("seed_config") or [], values.pop("warm_start") or []
    settings = build_settings(values)
    console.print(settings_table(settings))
    require_new(settings)
    loaded = load_space(settings.space)
    require_tracking(settings.tracking_uri)
    given = [(f"--seed-config {file}", read_prior(file)) for file in files]
    given += [(f"--warm-start {search}", each) for search in searches for each in read_earlier(search, settings)]
    split = make_folds(read_dataset(settings.data).cases, settings.folds)
    with cluster.connected(settings):
        cache_pixels = running.prepare_cache(settings)
        loop.require_search(settings, cache_pixels, split)
        require_trainable = Feasibility(cache_pixels.smallest_side).require
        first = resolve_first(given, loaded, settings, loop.space_facts(cache_pixels), require_trainable)
        settings = replace(settings, first=first)
        folder = folder_of(settings)
        with lock_stage(folder.search_stage):
            # Another launch of this name may have begun while Ray started.
            require_new(settings)
            write_folds(split, folder.folds)
            write_settings(settings, folder.settings)
        running.search(settings, folder, cache_pixels, split)
        running.finish(settings, folder, cache_pixels)


def resume(
    name: Name,
    trials: Annotated[str, typer.Option(help="how many trials it is to have: 60, or +40 for 40 more")] = "+0",
    time_budget: Annotated[str, typer.Option(help="go on for 90m, 2h, 1d, ...; empty: what is left")] = "",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="try failed trials again")] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Go on with a search that was interrupted, or extend it: what has finished stays, the rest goes on."""
    from search.commands import running
    from search.run import cluster

    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    require_idle(folder.confirm_stage)
    history, asha = History(), build_asha(settings)
    replay(folder.search_stage.journal, history, asha)
    asked = len(history.trials)
    settings = extended = change_settings(settings, {"trials": parse_trials(trials, settings, asked)})
    if time_budget:
        settings = replace(settings, time_budget_seconds=history.spent_seconds + parse_duration(time_budget))
    require_time_left(settings, history, asha, retry=retry_failed)
    console.print(f"{name}: {settings.trials} trials in all, {asked} of them begun")
    split = read_folds(folder.folds)
    running.expect_tracking(settings)
    with cluster.connected(settings):
        cache = running.prepare_cache(settings)
        running.search(settings, folder, cache, split, retry=retry_failed, extended=extended)
        running.finish(settings, folder, cache, retry=retry_failed)
