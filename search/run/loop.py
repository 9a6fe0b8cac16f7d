"""Puts a stage together and runs it on Ray Tune: the search, new or resumed; `confirm` and `retrain` run folds here."""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from ray import tune

from search.folder import StageFolder
from search.judge.asha import Asha
from search.judge.progress import find_failures, is_over, replay_asha, seconds_left
from search.memory.history import FAILURES, History, Outcome, TrialRecord, count_ends
from search.memory.journal import Journal
from search.place import Place
from search.propose.proposer import Proposer
from search.run.cluster import count_concurrent
from search.run.queue import TrialQueue
from search.run.recorder import Recorder
from search.run.scheduler import AshaScheduler
from search.run.trial import Limits, TrialJob, run_trial
from search.settings import SearchSettings
from search.space.check import require_usable_space
from search.space.draw import draw_config, load_space
from segcore.data.cache import PixelCache
from segcore.data.folds import FoldSplit
from segcore.errors import CheckpointError, InterruptedSearchError, StorageError
from segcore.training.feasible import Feasibility


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
    """
    settings, journal = stage.settings, stage.journal
    asha = replay_asha(settings, journal.history)
    space = load_space(settings.space)
    proposer = Proposer(
        lambda trial: draw_config(space, trial, settings).values(),
        seed=settings.seed,
        facts=space_facts(cache),
        epochs=settings.epochs,
        weighs_latency=settings.weighs_latency,
    )
    for record in journal.history.in_order:
        if record.drawable:
            proposer.replay(record)
    recorder = Recorder(journal, stage.folder, asha, proposer)
    recorder.end_judged()
    unfinished = journal.history.unfinished
    started = time.time()

    def next_trial() -> dict[str, Any] | None:
        if find_failures(journal.history, started):
            return None
        if unfinished:
            return _ray_config(unfinished.pop(0))
        number = len(journal.history.trials)
        waiting = asha.find_promoted(last=number >= settings.trials)
        if waiting is not None:
            return _ray_config(_take_up(journal, proposer, asha, waiting))
        return _ray_config(_ask(journal, proposer, settings, number)) if number < settings.trials else None

    if not is_over(settings, journal.history):
        run_trials(stage, next_trial, recorder, asha, seconds_left(settings, journal.history))
    require_success(stage, started)
    require_done(stage, settings.trials, "resume")


def _take_up(journal: Journal, proposer: Proposer, asha: Asha, number: int) -> TrialRecord:
    record = journal.history.trials[number]
    journal.write("reopened", {"trial": number})
    asha.revive(number)
    if record.drawable:
        proposer.reopen(number)
    return record


def _ask(journal: Journal, proposer: Proposer, settings: SearchSettings, number: int) -> TrialRecord:
    asked: dict[str, Any] = {"trial": number, "fold": settings.fold}
    if number < len(settings.first):
        asked |= settings.first[number]
    else:
        asked["values"], asked["params"] = proposer.ask(number)
        asked["ahead"] = [*proposer.ahead]
    journal.write("asked", asked)
    record = journal.history.trials[number]
    if number < len(settings.first) and record.drawable:
        proposer.replay(record)
    return record


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
    """Ask anew for every trial that failed, from its start; return how many there are.

    A training that diverged or had too little memory would end alike again.
    """
    failed = [trial for trial in journal.history.in_order if trial.outcome is Outcome.FAILED]
    for trial in failed:
        content = {"trial": trial.number, "fold": trial.fold, "values": trial.values, "params": trial.params}
        journal.write("asked", {**content, "source": trial.source, "drawable": trial.drawable, "ahead": trial.ahead})
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
        return _ray_config(unfinished.pop(0)) if unfinished else None

    if numbers:
        run_trials(stage, next_trial, Recorder(stage.journal, stage.folder, None, None), None, None)
    require_done(stage, len(numbers), command, numbers)


def require_same_data(stage: Stage, *others: History) -> None:
    """Raise `CheckpointError` when the data is not what the trials of a stage and of others were trained on."""
    known = {history.cache_key for history in (stage.journal.history, *others)} - {None}
    if known - {stage.job.cache_key}:
        raise CheckpointError(
            f"Images, masks or classes in {stage.place.data} or the extra data changed since "
            f"{stage.settings.name!r} began, so its scores cannot be compared with new ones; restore the data, or "
            "launch a new search."
        )


def require_done(stage: Stage, trials: int, command: str, numbers: Collection[int] | None = None) -> None:
    """Raise `InterruptedSearchError` when a stage stopped early and not because its time was spent.

    Ray Tune returns as if all were well when it is interrupted.

    Args:
        stage: the stage that ran.
        trials: how many trials it should have.
        command: what goes on with it: resume, confirm or retrain.
        numbers: of the trials that were to end; None: of all.
    """
    history, settings = stage.journal.history, stage.settings
    records = history.in_order if numbers is None else [history.trials[number] for number in numbers]
    ended = sum(record.outcome is not None for record in records)
    if numbers is None and ended == trials and not is_over(replace(settings, trials=trials), history):
        # A trial that waits is to go on.
        ended -= 1
    if len(records) >= trials and ended == len(records):
        return
    if settings.time_budget_seconds and history.spent_seconds >= settings.time_budget_seconds - 1:
        return
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
    place = stage.place
    concurrent = count_concurrent(place)
    # Ray Tune starts one trial at a time otherwise, and each waits some seconds for its worker process.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(concurrent)
    stage.journal.write("opened", {"cache_key": stage.job.cache_key})
    trainable = tune.with_resources(
        tune.with_parameters(run_trial, job=stage.job),
        tune.PlacementGroupFactory([{"CPU": place.cpus_per_trial, "GPU": place.gpus_per_trial}]),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=TrialQueue(next_trial, concurrent),
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
            failure_config=tune.FailureConfig(max_failures=place.max_failures),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[recorder],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
        # Up to here the time budget was used, whatever was reported last.
        stage.journal.write("halted", {})
    except tune.TuneError as error:
        raise StorageError(
            f"Ray Tune gave up ({error}); if the disk of {place.storage} is full, make room, then run "
            f"'{stage.folder.command('resume')}'."
        ) from error


def _ray_config(record: TrialRecord) -> dict[str, Any]:
    return {
        "trial": record.number,
        "fold": record.fold,
        "values": record.values,
        "checkpoint": record.checkpoint,
        "after_epoch": record.checkpoint_epoch,
    }


def _name_trial(trial: Any) -> str:
    # A trial that goes on has another folder than the one that holds its checkpoint.
    after = trial.config["after_epoch"]
    return f"trial_{trial.config['trial']:04d}" + (f"_after_{after}" if after else "")


def _name_run(folder: StageFolder) -> str:
    # Ray refuses to mix a run with files of an earlier one, so every run of a stage has a folder of its own.
    return time.strftime("run-%Y%m%d-%H%M%S") + f"-{len(list(folder.ray.glob('run-*')))}"
