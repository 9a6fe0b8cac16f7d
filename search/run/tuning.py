"""Runs trials on Ray Tune until there are none left; which ones is decided in `loop`."""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ray import tune

from search.folder import StageFolder
from search.judge.asha import Asha
from search.place import Place
from search.run.capacity import ACCELERATOR, Capacity, NoWorkers
from search.run.queue import TrialQueue
from search.run.recorder import Recorder
from search.run.scheduler import AshaScheduler
from search.run.stage import Stage
from search.run.trial import STATE_FILE, run_trial
from segcore.errors import ClusterError, StorageError, StreetError

_MOST_PENDING: Final = 100_000
"""The queue holds trials back, not Ray Tune."""


def run_trials(
    stage: Stage,
    next_trial: Callable[[], dict[str, Any] | None],
    recorder: Recorder,
    asha: Asha | None,
    budget_seconds: float | None,
) -> None:
    """Run trials on Ray Tune until there are none left or the time budget is spent.

    Args:
        stage: where and with what.
        next_trial: returns the next trial's Ray configuration, or None.
        recorder: writes what happens.
        asha: lets the weak wait; None lets every trial finish.
        budget_seconds: when to stop, or None.
    """
    capacity = Capacity(stage.place)
    # Ray Tune starts one trial at a time otherwise, and each waits some seconds for its worker process.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_MOST_PENDING)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, job=stage.job), partial(_request, stage.place)),
        tune_config=tune.TuneConfig(
            search_alg=TrialQueue(next_trial, capacity.count, lambda: capacity.is_given_up),
            scheduler=AshaScheduler(asha) if asha is not None else None,
            # The queue says when there are no more: a trial that was stopped and goes on is one more to Ray.
            num_samples=-1,
            time_budget_s=budget_seconds,
            reuse_actors=True,
            trial_name_creator=_name_trial,
            trial_dirname_creator=_name_trial,
        ),
        run_config=tune.RunConfig(
            name=_name_run(stage.folder),
            storage_path=stage.folder.address(stage.folder.ray),
            failure_config=tune.FailureConfig(max_failures=stage.place.max_failures),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[recorder],
            stop=NoWorkers(capacity),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except tune.TuneError as error:
        raise _find_own(error) or StorageError(
            f"Ray Tune gave up ({str(error).strip().splitlines()[-1]}); "
            f"if the disk of {stage.folder.ray} is full, make room."
        ) from error
    if capacity.is_given_up:
        raise ClusterError(
            f"No node could hold a trial for {capacity.empty_seconds:.0f} s; add nodes, then run "
            f"'{stage.folder.command('resume')}'."
        )


def _request(place: Place, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return the resources of a trial; one that ran out of memory needs another kind of GPU than that it had."""
    wanted = {"CPU": place.cpus_per_trial, "GPU": place.gpus_per_trial}
    if config["accelerator"] is not None:
        wanted[f"{ACCELERATOR}{config['accelerator']}"] = 0.001
    return tune.PlacementGroupFactory([wanted])


def ray_config(stage: Stage, number: int) -> dict[str, Any]:
    """Return what a worker is told of a trial; it begins anew where its checkpoint is gone."""
    record = stage.journal.history.trials[number]
    stored = record.checkpoint
    found = stored if stored is not None and stage.folder.has(stored, STATE_FILE) else None
    return {
        "trial": record.number,
        "fold": record.fold,
        "values": record.values,
        "checkpoint": stage.folder.address(found) if found is not None else None,
        "after_epoch": record.checkpoint_epoch if found is not None else 0,
        "accelerator": record.accelerator,
    }


def _name_trial(trial: Any) -> str:
    # A trial that goes on has another folder than the one that holds its checkpoint.
    after = trial.config["after_epoch"]
    return f"trial_{trial.config['trial']:04d}" + (f"_after_{after}" if after else "")


def _name_run(folder: StageFolder) -> str:
    # Ray refuses to mix a run with files of an earlier one, so every run of a stage has a folder of its own.
    return time.strftime("run-%Y%m%d-%H%M%S") + f"-{len(list(folder.ray.glob('run-*')))}"


def _find_own(error: BaseException) -> StreetError | None:
    """Return the error of ours that Ray Tune tells of by its traceback's text; None without one."""
    seen: list[BaseException] = []
    while error not in seen and not isinstance(error, StreetError):
        seen.append(error)
        error = error.__cause__ or error.__context__ or error
    return error if isinstance(error, StreetError) else None
