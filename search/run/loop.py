"""Puts a stage together and runs it on Ray Tune: the search, new or resumed; `confirm` and `retrain` run folds here."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from search.judge.asha import Asha
from search.judge.progress import RETRIED, build_asha, find_nothing_but_failures, find_other_gpu, is_over, seconds_left
from search.memory.events import Asked, Reopened
from search.memory.history import TrialRecord, count_ends
from search.memory.journal import Journal
from search.memory.moment import now
from search.memory.outcome import FAILURES, Outcome, tell_end
from search.propose.proposer import Proposal, Proposer
from search.run.recorder import Recorder
from search.run.retries import Retries
from search.run.stage import Stage
from search.run.trial_job import Assignment
from search.run.tuning import make_assignment, run_trials
from search.settings import SearchSettings
from search.space.check import Requirement, find_edition, require_usable_space
from search.space.draw import Draw, Params, draw, draw_config, space_facts
from search.space.load import load_space
from segcore.config import TrainConfig
from segcore.counting import count_words
from segcore.data.caching.cache import PixelCache
from segcore.data.dividing.split import FoldSplit
from segcore.errors import ConfigError, HopelessSearchError, InterruptedSearchError
from segcore.feeding.balance import count_class_pixels
from segcore.scoring.objective import require_counted, require_learnt
from segcore.training.feasible import Feasibility
from spaces import Space


def require_search(settings: SearchSettings, cache: PixelCache, split: FoldSplit) -> tuple[Feasibility, int | None]:
    """Refuse, before anything starts, settings that no trial could follow.

    Returns:
        What has looked at configurations that the space draws, and how many these are at most; None: without end.

    Raises:
        ConfigError: for a space, fold or fixed value that cannot be used.
        WeightsError: for a backbone whose weights cannot be had.
    """
    split.split(cache.names, settings.fold, cache.extra_names)
    require_scores(settings, cache, split, [settings.fold])
    feasibility = Feasibility(cache.sizes, cache.classes, cache.usual_side)
    require_trainable = build_requirement(settings, cache, feasibility)
    drawable = require_usable_space(load_space(settings.space), settings, space_facts(cache), require_trainable)
    return feasibility, drawable


def require_scores(settings: SearchSettings, cache: PixelCache, split: FoldSplit, folds: Iterable[int]) -> None:
    """Refuse to rank trainings on folds in which the objective has nothing to count.

    Raises:
        ConfigError: naming the first such fold.
    """
    for fold in folds:
        _, valid_indices = split.split(cache.names, fold, cache.extra_names)
        require_counted(settings.metric, count_class_pixels(cache, valid_indices), cache.classes, fold)


def build_requirement(settings: SearchSettings, cache: PixelCache, feasibility: Feasibility) -> Requirement:
    """Return what refuses a configuration that this data cannot train, or that would never report the objective."""

    def require(config: TrainConfig) -> None:
        require_learnt(settings.metric, config.labels, cache.classes)
        feasibility.require(config)

    return require


def run_search(stage: Stage, cache: PixelCache) -> None:
    """Run the search's trials, those of the journal first, until all have ended or the time is spent.

    Args:
        stage: the search's stage.
        cache: the decoded data.

    Raises:
        InterruptedSearchError: when it was stopped from outside, or its trials do nothing but fail.
    """
    settings, journal, started, facts = stage.settings, stage.journal, now(), space_facts(cache)
    drawn = [Draw(params=each.params, values=each.values) for each in journal.history.in_order if each.drawable]
    space = find_edition(settings.space, settings, facts, drawn)
    asha, proposer = build_asha(settings), build_proposer(settings, facts, space)
    journal.follow(asha, proposer)
    retries = _make_retries(stage)
    recorder = Recorder(journal, stage.folder, asha, retries)
    recorder.end_judged()
    retries.waiting += [record.number for record in journal.history.unfinished]

    def next_trial() -> Assignment | None:
        if find_nothing_but_failures(journal.history, started):
            return None
        waiting = retries.take_waiting()
        number = choose_trial(stage, asha, proposer) if waiting is None else waiting
        return None if number is None else make_assignment(stage, number, retries.find_avoided(number))

    def count_left() -> int:
        return len(journal.history.unfinished) + max(0, settings.trials - len(journal.history.trials))

    spent = False
    if not is_over(settings, journal.history, asha):
        spent = run_trials(stage, next_trial, recorder, asha, seconds_left(settings, journal.history), count_left)
    require_success(stage, started)
    require_done(stage, spent or is_over(settings, journal.history, asha), settings.trials)


def build_proposer(settings: SearchSettings, facts: dict[str, Any], space: Space) -> Proposer:
    """Return what proposes a search's configurations, and has learnt nothing yet."""

    def draw_anew(given: Params, seed: int) -> Draw:
        return draw(lambda trial: draw_config(space, trial, settings).values(), facts, seed=seed, given=given)

    return Proposer(
        draw_anew,
        seed=settings.seed,
        epochs=settings.epochs,
        metric=settings.metric,
        weighs_latency=settings.weighs_latency,
    )


def choose_trial(stage: Stage, asha: Asha, proposer: Proposer) -> int | None:
    """Write which trial is run next: one for which there is another GPU, one that is promoted, or a new one.

    Returns:
        Its number; None when there is none before another trial ends.
    """
    settings, journal = stage.settings, stage.journal
    number, is_last = journal.history.next_number, len(journal.history.trials) >= settings.trials
    if other := find_other_gpu(journal.history, stage.room.find_accelerators):
        trial, accelerator = other
        journal.write(Reopened(trial=trial.number, accelerator=accelerator))
        return trial.number
    promoted = asha.find_promoted(last=is_last)
    if promoted is not None:
        journal.write(Reopened(trial=promoted, accelerator=journal.history.trials[promoted].accelerator))
        return promoted
    if is_last:
        return None
    if number < len(settings.first):
        journal.write(Asked(trial=number, fold=settings.fold, **settings.first[number]))
    else:
        found = _ask(stage, proposer, number)
        asked = Asked(trial=number, fold=settings.fold, values=found.values, params=found.params)
        journal.write(replace(asked, ahead=found.ahead, first_rung=found.first_rung))
    return number


def _ask(stage: Stage, proposer: Proposer, number: int) -> Proposal:
    try:
        return proposer.ask(number)
    except ConfigError as error:
        again = stage.folder.command("resume")
        raise ConfigError(f"{error} Mend the space, then go on with '{again}'; what has run is kept.") from error


def require_success(stage: Stage, since: float) -> None:
    """Raise `HopelessSearchError` when a run was ended because its trials do nothing but fail."""
    ended = find_nothing_but_failures(stage.journal.history, since)
    if not ended:
        return
    told = [f"Stopped: none of {count_words(len(ended), 'trial')} reached a score ({count_ends(ended)})."]
    if failed := next((trial for trial in ended if trial.outcome in FAILURES), None):
        told.append(f"The last that failed, trial {failed.number}, {failed.outcome}: {tell_end(failed.message)}")
        told.append(_advise_after_failures(stage, ended))
    if over := next((trial for trial in ended if trial.outcome is Outcome.OVER_LIMIT), None):
        told.append(f"The last over a limit, trial {over.number}: {over.message}")
        told.append(
            "Raise --max-latency-ms or --max-memory-gib in a new search, or draw smaller networks; "
            f"'{stage.folder.command('resume')}' tries more configurations of this one."
        )
    raise HopelessSearchError("\n".join(told))


def _advise_after_failures(stage: Stage, ended: Sequence[TrialRecord]) -> str:
    if any(trial.outcome in RETRIED for trial in ended):
        return f"Mend the cause, then go on with '{stage.folder.command('resume', '--retry-failed')}'."
    # What diverged would diverge again.
    return (
        "Launch a search with smaller learning rates, or --set precision=fp32; "
        f"'{stage.folder.command('resume')}' tries more configurations of this one."
    )


def retry_failed(journal: Journal) -> int:
    """Take up every trial again that failed, from its last checkpoint; return how many there are."""
    failed = [trial.number for trial in journal.history.in_order if trial.outcome in RETRIED]
    for number in failed:
        journal.write(Reopened(trial=number))
    return len(failed)


def run_folds(stage: Stage, wanted: Collection[int] | None = None) -> None:
    """Run unfinished trials of the journal to their end; nothing is stopped or proposed.

    Args:
        stage: the stage; its trials are in the journal already.
        wanted: numbers of the trials to run; None runs all.
    """
    unfinished = stage.journal.history.unfinished
    unfinished = [trial for trial in unfinished if wanted is None or trial.number in wanted]
    numbers = [trial.number for trial in unfinished]
    retries = _make_retries(stage)
    retries.waiting += numbers

    def next_trial() -> Assignment | None:
        number = retries.take_waiting()
        return None if number is None else make_assignment(stage, number, retries.find_avoided(number))

    def count_left() -> int:
        return sum(stage.journal.history.trials[number].outcome is None for number in numbers)

    if numbers:
        recorder = Recorder(stage.journal, stage.folder, None, retries)
        run_trials(stage, next_trial, recorder, None, None, count_left)
    ended = all(stage.journal.history.trials[number].outcome is not None for number in numbers)
    require_done(stage, ended, len(stage.journal.history.trials))


def _make_retries(stage: Stage) -> Retries:
    room = stage.room
    return Retries(stage.journal, stage.place.max_failures, room.find_addresses, room.leave_out, room.rest)


def require_done(stage: Stage, done: bool, trials: int) -> None:
    """Raise `InterruptedSearchError` when a stage stopped early and not because its time was spent.

    Ray Tune returns as if all were well when it is interrupted.

    Args:
        stage: the stage that ran.
        done: whether it has nothing left to do, or no time to do it in.
        trials: how many trials, or trainings, it should have.
    """
    stage.require_unstopped()
    if done:
        return
    ended = sum(record.outcome is not None for record in stage.journal.history.in_order)
    what = count_words(trials, "trial" if stage.name == "search" else "training")
    raise InterruptedSearchError(f"Interrupted when {ended} of {what} had ended; go on with '{stage.again}'.")
