"""How far a search is: whether it is over, has time left, or does nothing but fail."""

from typing import Final

from search.judge.asha import Asha
from search.memory.history import FAILURES, History, Outcome, TrialRecord
from search.settings import SearchSettings
from segcore.errors import ConfigError

_HOPELESS_TRIALS: Final = 10


def is_over(settings: SearchSettings, history: History) -> bool:
    """Say whether a search has nothing left to do: all trials have ended, and of those that wait none goes on."""
    if len(history.trials) < settings.trials or history.unfinished:
        return False
    return replay_asha(settings, history).find_promoted(last=True) is None


def replay_asha(settings: SearchSettings, history: History) -> Asha:
    """Return the judge that knows all that a journal holds."""
    asha = Asha(
        grace_epochs=settings.resolved_grace_epochs,
        reduction_factor=settings.reduction_factor,
        epochs=settings.epochs,
        weighs_latency=settings.weighs_latency,
    )
    asha.replay(history)
    return asha


def find_failures(history: History, since: float) -> list[TrialRecord]:
    """Return the trials of a run of which none reaches a score, the latest first; none as long as it may be chance.

    A trial over a limit reaches none either.

    Args:
        history: the search's trials.
        since: when the run began, seconds since the Unix epoch.
    """
    ended = [trial for trial in history.in_order if trial.ended is not None and trial.ended >= since]
    failures = [trial for trial in ended if trial.outcome in (*FAILURES, Outcome.OVER_LIMIT)]
    scored = any(record.time >= since for trial in history.in_order for record in list(trial.epochs.values()))
    hopeless = len(failures) == len(ended) >= _HOPELESS_TRIALS and not scored
    return sorted(failures, key=lambda trial: -(trial.ended or 0.0)) if hopeless else []


def require_time_left(settings: SearchSettings, history: History, *, retry: bool = False) -> None:
    """Refuse to go on with a search that is not over and has no time left.

    Args:
        settings: of the search.
        history: its trials.
        retry: whether failed trials are tried again.

    Raises:
        ConfigError: when the time budget is spent.
    """
    if not is_over(settings, history) or (retry and history.count(Outcome.FAILED)):
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
        raise ConfigError(f"The time budget of {budget_seconds:g} s is spent; grant more with --time-budget 1h.")
    return left_seconds
