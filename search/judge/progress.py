"""How far a search is: whether it is over, has time left, or does nothing but fail."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from search.judge.asha import Asha
from search.memory.history import History, TrialRecord
from search.memory.journal import replay
from search.memory.outcome import FAILURES, Outcome
from search.settings import SearchSettings
from segcore.errors import ConfigError

_HOPELESS_TRIALS: Final = 10

RETRIED: Final = (Outcome.FAILED, Outcome.OUT_OF_MEMORY)
"""A training that diverged would end alike again; where a worker failed the cause may be mended, and GPUs differ."""


def build_asha(settings: SearchSettings) -> Asha:
    """Return the judge of a search, which has learnt nothing yet."""
    return Asha(
        grace_epochs=settings.resolved_grace_epochs,
        reduction_factor=settings.reduction_factor,
        epochs=settings.epochs,
        metric=settings.metric,
        weighs_latency=settings.weighs_latency,
    )


def replay_search(settings: SearchSettings, journal: Path) -> tuple[History, Asha]:
    """Return the trials of a search, and its judge that has learnt the same events.

    Args:
        settings: of the search.
        journal: its file; one that is missing is of a search without trials.

    Raises:
        CheckpointError: when it is damaged.
    """
    history, asha = History(settings.metric), build_asha(settings)
    replay(journal, history, asha)
    return history, asha


def is_over(settings: SearchSettings, history: History, asha: Asha) -> bool:
    """Say whether a search has nothing left to do: all trials have ended, and of those that wait none goes on.

    Args:
        settings: of the search.
        history: its trials.
        asha: its judge, which has learnt the same events.
    """
    begun = len(history.trials) >= settings.trials and not history.unfinished
    return begun and asha.find_promoted(last=True) is None


def find_nothing_but_failures(history: History, since: float) -> list[TrialRecord]:
    """Return the trials of a run that does nothing but fail, the latest first; none while that may be chance.

    A trial over a limit reaches no score either.

    Args:
        history: the search's trials.
        since: when the run began, seconds since the Unix epoch.
    """
    lost = [trial for outcome in (*FAILURES, Outcome.OVER_LIMIT) for trial in history.list_by_outcome(outcome)]
    failures = [trial for trial in lost if trial.ended is not None and trial.ended >= since]
    if len(failures) < _HOPELESS_TRIALS:
        return []
    ended = sum(trial.ended is not None and trial.ended >= since for trial in history.in_order)
    scored = any(record.time >= since for trial in history.in_order for record in trial.epochs.values())
    hopeless = ended == len(failures) and not scored
    return sorted(failures, key=lambda trial: -(trial.ended or 0.0)) if hopeless else []


def require_time_left(settings: SearchSettings, history: History, asha: Asha, *, retry: bool = False) -> None:
    """Refuse to go on with a search that is not over and has no time left.

    Args:
        settings: of the search.
        history: its trials.
        asha: its judge, which has learnt the same events.
        retry: whether failed trials are tried again.

    Raises:
        ConfigError: when the time budget is spent.
    """
    retried = retry and any(history.count(outcome) for outcome in RETRIED)
    if retried or not is_over(settings, history, asha):
        seconds_left(settings, history)


def seconds_left(settings: SearchSettings, history: History) -> float | None:
    """Return what is left of a search's time budget; None without one.

    Raises:
        ConfigError: when nothing is left.
    """
    budget_seconds = settings.time_budget_seconds
    if not budget_seconds:
        return None
    left_seconds = budget_seconds - history.spent_seconds
    if left_seconds <= 0:
        raise ConfigError(f"The time budget of {budget_seconds:.10g} s is spent; grant more with --time-budget 1h.")
    return left_seconds


def find_other_gpu(
    history: History, find_accelerators: Callable[[], Collection[str]]
) -> tuple[TrialRecord, str] | None:
    """Return a trial that ran out of memory and a kind of GPU on which it was not tried yet; None without one.

    Which kind holds more is not known here, so a trial is tried once on each.

    Args:
        history: the search's trials.
        find_accelerators: returns the kinds of GPU that are there, as Ray names them; asked only if need be.
    """
    failed = [trial for trial in history.list_by_outcome(Outcome.OUT_OF_MEMORY) if trial.too_small]
    kinds = set(find_accelerators()) if failed else set()
    return next(((trial, min(kinds - trial.too_small)) for trial in failed if kinds - trial.too_small), None)
