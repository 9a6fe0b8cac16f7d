"""Puts a stage together and runs it on Ray Tune: the search, new or resumed; `confirm` and `retrain` run folds here."""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from ray import tune

from search.folder import StageFolder
from search.judge.asha import Asha
from search.judge.progress import RETRIED, build_asha, find_failures, find_larger, is_over, seconds_left
from search.memory.events import Asked, Reopened
from search.memory.history import History, count_ends
from search.memory.journal import Journal
from search.memory.outcome import FAILURES, Outcome
from search.place import Place
from search.propose.proposer import Proposer
from search.run.cluster import ACCELERATOR, Capacity, find_accelerators
from search.run.queue import TrialQueue
from search.run.recorder import Recorder
from search.run.scheduler import AshaScheduler
from search.run.trial import STATE_FILE, Limits, TrialJob, run_trial
from search.settings import SearchSettings
from search.space.check import require_same_space, require_usable_space
from search.space.draw import Draw, Params, draw, draw_config, load_space
from segcore.data.cache import PixelCache
from segcore.data.folds import FoldSplit
from segcore.errors import CheckpointError, ClusterError, InterruptedSearchError, StorageError
from segcore.training.feasible import Feasibility

_MOST_PENDING: Final = 100_000
"""The queue holds trials back, not Ray Tune."""
_EMPTY_SECONDS: Final = 600.0
"""So long may a cluster have no node that could hold a trial; one that is only being replaced comes back sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One run of Ray Tune over trials that a journal remembers.

    Args:
        settings: what the search is.
        place: where it runs, and on what.
        folder: where the stage's files lie.
        journal: its memory, open for writing.
        job: what all trials share.
    """

    settings: SearchSettings
    place: Place
    folder: StageFolder
    journal: Journal
    job: TrialJob


def make_job(
    settings: SearchSettings, place: Place, cache: PixelCache, split: FoldSplit, *, limited: bool = False
) -> TrialJob:
    """Return what all trials of a stage share.

    Args:
        settings: the limits of a prediction are used.
        place: data, cache and resources are used.
        cache: the decoded data.
        split: the folds.
        limited: whether the settings' limits hold; they choose among configurations, so only in a search.
    """
    wanted = settings.weighs_latency or settings.max_latency_ms or settings.max_memory_gib
    limits = Limits(latency_ms=settings.max_latency_ms, memory_gib=settings.max_memory_gib)
    return TrialJob(
        data=place.data,
        cache_root=place.cache,
        extra=place.extra,
        cache_key=cache.key,
        split=split,
        cpus=place.cpus_per_trial,
        gpus=place.gpus_per_trial,
        limits=limits if wanted and limited else None,
    )


def space_facts(cache: PixelCache) -> dict[str, Any]:
    """Return what a search space may know of the data."""
    return {"smallest_side": cache.smallest_side}


def require_search(settings: SearchSettings, cache: PixelCache, split: FoldSplit) -> None:
    """Refuse, before anything starts, settings that no trial could follow.

    Raises:
        ConfigError: for a space, fold or fixed value that cannot be used.
        WeightsError: for a backbone whose weights cannot be had.
    """
    split.split(cache.names, settings.fold, cache.extra_names)
    require_trainable = Feasibility(cache.smallest_side).require
    require_usable_space(load_space(settings.space), settings, space_facts(cache), require_trainable)


def run_search(stage: Stage, cache: PixelCache) -> None:
    """Run the search's trials, those of the journal first, until all have ended or the time is spent.

    Args:
        stage: the search's stage.
        cache: the decoded data.

    Raises:
        InterruptedSearchError: when it was stopped from outside, or its trials do nothing but fail.
    """
    settings, journal, started, facts = stage.settings, stage.journal, time.time(), space_facts(cache)
    drawn = [record.params for record in journal.history.in_order if record.drawable]
    require_same_space(load_space(settings.space), settings, facts, drawn)
    asha, proposer = build_asha(settings), build_proposer(settings, facts)
    for fold in (asha, proposer):
        journal.follow(fold)
    recorder = Recorder(journal, stage.folder, asha)
    recorder.end_judged()
    unfinished = [record.number for record in journal.history.unfinished]

    def next_trial() -> dict[str, Any] | None:
        if find_failures(journal.history, started):
            return None
        number = unfinished.pop(0) if unfinished else choose_trial(stage, asha, proposer)
        return None if number is None else ray_config(stage, number)

    if not is_over(settings, journal.history, asha):
        run_trials(stage, next_trial, recorder, asha, seconds_left(settings, journal.history))
    require_success(stage, started)
    require_done(stage, is_over(settings, journal.history, asha), settings.trials, "resume")


def build_proposer(settings: SearchSettings, facts: dict[str, Any]) -> Proposer:
    """Return what proposes a search's configurations, and has learnt nothing yet."""
    space = load_space(settings.space)

    def draw_anew(given: Params, seed: int) -> Draw:
        return draw(lambda trial: draw_config(space, trial, settings).values(), facts, seed=seed, given=given)

    return Proposer(draw_anew, seed=settings.seed, epochs=settings.epochs, weighs_latency=settings.weighs_latency)


def choose_trial(stage: Stage, asha: Asha, proposer: Proposer) -> int | None:
    """Write which trial is run next: one for which there is another GPU, one that is promoted, or a new one.

    Returns:
        Its number; None when there is none before another trial ends.
    """
    settings, journal = stage.settings, stage.journal
    number = len(journal.history.trials)
    if larger := find_larger(journal.history, find_accelerators):
        trial, accelerator = larger
        journal.write(Reopened(trial=trial.number, accelerator=accelerator))
        return trial.number
    promoted = asha.find_promoted(last=number >= settings.trials)
    if promoted is not None:
        journal.write(Reopened(trial=promoted, accelerator=journal.history.trials[promoted].accelerator))
        return promoted
    if number >= settings.trials:
        return None
    if number < len(settings.first):
        journal.write(Asked(trial=number, fold=settings.fold, **settings.first[number]))
    else:
        found = proposer.ask(number)
        journal.write(
            Asked(trial=number, fold=settings.fold, values=found.values, params=found.params, ahead=found.ahead)
        )
    return number


def require_success(stage: Stage, since: float) -> None:
    """Raise `InterruptedSearchError` when a run was ended because its trials do nothing but fail."""
    ended = find_failures(stage.journal.history, since)
    if not ended:
        return
    told = [f"Stopped: none of {len(ended)} trials reached a score ({count_ends(ended)})."]
    for trial in [trial for trial in ended if trial.outcome in FAILURES][:1]:
        told.append(f"The last that failed, trial {trial.number}, {trial.outcome}: {trial.message.strip()[-1000:]}")
        told.append(f"Mend the cause, then go on with '{stage.folder.command('resume', '--retry-failed')}'.")
    for trial in [trial for trial in ended if trial.outcome is Outcome.OVER_LIMIT][:1]:
        told.append(f"The last over a limit, trial {trial.number}: {trial.message}")
        told.append(
            "Raise --max-latency-ms or --max-memory-gib in a new search, or draw smaller networks; "
            f"'{stage.folder.command('resume')}' tries more configurations of this one."
        )
    raise InterruptedSearchError("\n".join(told))


def retry_failed(journal: Journal) -> int:
    """Take up every trial again that failed, from its last checkpoint; return how many there are."""
    failed = [trial.number for trial in journal.history.in_order if trial.outcome in RETRIED]
    for number in failed:
        journal.write(Reopened(trial=number))
    return len(failed)


def run_folds(stage: Stage, command: str, wanted: Collection[tuple[int | None, int]] | None = None) -> None:
    """Run unfinished trials of the journal to their end; nothing is stopped or proposed.

    Args:
        stage: the stage; its trials are in the journal already.
        command: what goes on with it, confirm or retrain.
        wanted: (source, fold) of the trials to run; None runs all.
    """
    # The time budget is the search's.
    stage = replace(stage, settings=replace(stage.settings, time_budget_seconds=0.0))
    unfinished = stage.journal.history.unfinished
    unfinished = [trial for trial in unfinished if wanted is None or (trial.source, trial.fold) in wanted]
    numbers = [trial.number for trial in unfinished]

    def next_trial() -> dict[str, Any] | None:
        return ray_config(stage, unfinished.pop(0).number) if unfinished else None

    if numbers:
        run_trials(stage, next_trial, Recorder(stage.journal, stage.folder, None), None, None)
    ended = all(stage.journal.history.trials[number].outcome is not None for number in numbers)
    require_done(stage, ended, len(numbers), command, numbers)


def require_same_data(stage: Stage, *others: History) -> None:
    """Raise `CheckpointError` when the data is not what the trials of a stage and of others were trained on."""
    known = {history.cache_key for history in (stage.journal.history, *others)} - {None}
    if known - {stage.job.cache_key}:
        raise CheckpointError(
            f"Images, masks or classes in {stage.place.data} or the extra data changed since "
            f"{stage.settings.name!r} began, so its scores cannot be compared with new ones; restore the data, or "
            "launch a new search."
        )


def require_done(stage: Stage, done: bool, trials: int, command: str, numbers: Collection[int] | None = None) -> None:
    """Raise `InterruptedSearchError` when a stage stopped early and not because its time was spent.

    Ray Tune returns as if all were well when it is interrupted.

    Args:
        stage: the stage that ran.
        done: whether it has nothing left to do.
        trials: how many trials it should have.
        command: what goes on with it: resume, confirm or retrain.
        numbers: of the trials that were to end; None: of all.
    """
    history, settings = stage.journal.history, stage.settings
    if done or (settings.time_budget_seconds and history.spent_seconds >= settings.time_budget_seconds - 1):
        return
    records = history.in_order if numbers is None else [history.trials[number] for number in numbers]
    ended = sum(record.outcome is not None for record in records)
    raise InterruptedSearchError(
        f"Interrupted after {ended} of {trials} trials; go on with '{stage.folder.command(command)}'."
    )


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
            search_alg=TrialQueue(next_trial, capacity.count),
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
            storage_path=str(stage.folder.ray),
            failure_config=tune.FailureConfig(max_failures=stage.place.max_failures),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[recorder],
            stop=_NoWorkers(capacity),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except tune.TuneError as error:
        raise StorageError(
            f"Ray Tune gave up ({error}); if the disk of {stage.place.storage} is full, make room, then run "
            f"'{stage.folder.command('resume')}'."
        ) from error
    if capacity.empty_seconds >= _EMPTY_SECONDS:
        raise ClusterError(
            f"No node could hold a trial for {capacity.empty_seconds:.0f} s; add nodes, then run "
            f"'{stage.folder.command('resume')}'."
        )


class _NoWorkers(tune.Stopper):  # type: ignore[misc]
    """Ends a run for which there has been no node for minutes: Ray Tune itself waits for ever."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._capacity.empty_seconds >= _EMPTY_SECONDS


def _request(place: Place, config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return the resources of a trial; one that ran out of memory needs another kind of GPU than that it had."""
    wanted = {"CPU": place.cpus_per_trial, "GPU": place.gpus_per_trial}
    if config["accelerator"] is not None:
        wanted[f"{ACCELERATOR}{config['accelerator']}"] = 0.001
    return tune.PlacementGroupFactory([wanted])


def ray_config(stage: Stage, number: int) -> dict[str, Any]:
    """Return what a worker is told of a trial; it begins anew where its checkpoint is gone."""
    record = stage.journal.history.trials[number]
    folder = stage.folder.resolve(record.checkpoint) if record.checkpoint is not None else None
    found = folder is not None and (folder / STATE_FILE).is_file()
    return {
        "trial": record.number,
        "fold": record.fold,
        "values": record.values,
        "checkpoint": str(folder) if found else None,
        "after_epoch": record.checkpoint_epoch if found else 0,
        "accelerator": record.accelerator,
    }


def _name_trial(trial: Any) -> str:
    # A trial that goes on has another folder than the one that holds its checkpoint.
    after = trial.config["after_epoch"]
    return f"trial_{trial.config['trial']:04d}" + (f"_after_{after}" if after else "")


def _name_run(folder: StageFolder) -> str:
    # Ray refuses to mix a run with files of an earlier one, so every run of a stage has a folder of its own.
    return time.strftime("run-%Y%m%d-%H%M%S") + f"-{len(list(folder.ray.glob('run-*')))}"
