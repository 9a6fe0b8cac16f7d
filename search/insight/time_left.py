"""How long a search still takes, as its own trials and their workers say."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import mean
from typing import Final

from search.insight.forecast import expect_epochs
from search.insight.spending import worker_seconds
from search.memory.history import History, TrialRecord
from search.memory.moment import now
from search.memory.outcome import Outcome
from search.settings import SearchSettings

_PAUSE_SECONDS: Final = 1e-3
"""Less is rounding."""
Span = tuple[float, float]
"""Begin and end of what a worker did, in seconds since the Unix epoch."""


def count_at_once(history: History) -> int | None:
    """Return how many trials are trained at once: those that run now, else the most that did in the last run.

    Returns:
        None as long as nothing tells.
    """
    running = sum(trial.running for trial in history.in_order)
    spans = [span for trial in history.in_order for span in _read_spans(trial)]
    return running or _count_overlapping(_of_last_run(history, spans)) or None


def estimate_seconds_left(history: History, settings: SearchSettings, at_once: int) -> float | None:
    """Estimate the time left from what trials took that ended; who may still be promoted is not foreseen.

    Those that end first are those that are stopped first: until one got to the end, it is estimated from how many
    epochs ASHA is expected to have trained, and how long those so far took.

    Args:
        history: the trials so far.
        settings: of the search; its trials and its time budget count.
        at_once: trials that are trained at a time.

    Returns:
        None as long as nothing tells.
    """
    estimate = _estimate_by_trials if history.count(Outcome.FINISHED) else _estimate_by_epochs
    left = estimate(history, settings, at_once)
    if left is None or not settings.time_budget_seconds:
        return left
    return min(left, max(0.0, settings.time_budget_seconds - history.spent_seconds))


def _estimate_by_epochs(history: History, settings: SearchSettings, at_once: int) -> float | None:
    """Return the seconds of the epochs that are expected yet; None before the first epoch."""
    paces = [pace for trial in history.in_order if (pace := _pace(trial)) is not None]
    if not paces:
        return None
    # Of those that wait some are promoted; who failed goes on no more.
    if len(history.trials) >= settings.trials and not history.unfinished and not history.count(Outcome.STOPPED):
        return 0.0
    trained = [trial.last_epoch for trial in history.in_order]
    expected = max(len(history.unfinished), expect_epochs(settings) - sum(trained))
    # However many workers there are, one trial has yet to get to the end.
    return mean(paces) * max(expected / max(1, at_once), settings.epochs - max(trained))


def _estimate_by_trials(history: History, settings: SearchSettings, at_once: int) -> float:
    per_trial = mean(worker_seconds(trial) for trial in history.in_order if trial.ended is not None)
    under_way = [max(0.0, per_trial - _spent_seconds(trial)) for trial in history.unfinished]
    waiting = [per_trial] * max(0, settings.trials - len(history.trials))
    # However many workers there are, the longest takes as long as it does.
    return max(sum(under_way + waiting) / max(1, at_once), *under_way, *waiting, 0.0)


def _spent_seconds(trial: TrialRecord) -> float:
    return worker_seconds(trial) if trial.epochs else max(0.0, now() - trial.started) * trial.running


def _read_spans(trial: TrialRecord) -> list[Span]:
    if trial.epochs and all("seconds" in record.metrics for record in trial.epochs.values()):
        return [(record.time - record.metrics["seconds"], record.time) for record in trial.epochs.values()]
    return list(pairwise([trial.started, *sorted(record.time for record in trial.epochs.values())]))


def _of_last_run(history: History, spans: Sequence[Span]) -> list[Span]:
    """Return the spans after the last time that the search paused, so that other workers of an earlier run are left."""
    found: list[Span] = []
    last_end = 0.0
    for begin, end in sorted(spans):
        gap_seconds = begin - last_end
        spent_seconds = history.spent_until(begin) - history.spent_until(last_end)
        if gap_seconds - spent_seconds > _PAUSE_SECONDS and gap_seconds > 0:
            found = []
        found.append((begin, end))
        last_end = max(last_end, end)
    return found


def _count_overlapping(spans: Sequence[Span]) -> int:
    """Return how many spans overlap at most; one that ends as another begins does not overlap it."""
    whole = [(begin, end) for begin, end in spans if end > begin]
    changes = sorted([(begin, 1) for begin, _ in whole] + [(end, -1) for _, end in whole])
    return max(accumulate(change for _, change in changes), default=0)


def estimate_trainings_left(trainings: History, search: History, planned: int) -> float | None:
    """Estimate the time left of trainings of which each goes to its end: those of a confirmation or a retraining.

    Args:
        trainings: that have been asked for.
        search: the search's trials, which say how long an epoch of a configuration takes before it was trained anew.
        planned: trainings in all, at most.

    Returns:
        None as long as nothing tells how long an epoch takes.
    """
    known = [pace for trial in trainings.in_order if (pace := _pace(trial)) is not None]
    known = known or [pace for trial in search.ranked[:1] if (pace := _pace(trial)) is not None]
    if not known:
        return None
    usual = mean(known)
    left = [_training_left(trial, search, usual) for trial in trainings.unfinished]
    begun = next(iter(trainings.in_order or search.ranked), None)
    whole = usual * (_planned_epochs(begun) if begun else 0)
    left += [whole] * max(0, planned - len(trainings.trials))
    at_once = count_at_once(trainings) or count_at_once(search) or 1
    return max(sum(left) / at_once, *left, 0.0) if left else 0.0


def _training_left(trial: TrialRecord, search: History, usual: float) -> float:
    source = search.trials.get(trial.source) if trial.source is not None else None
    pace = _pace(trial) or (_pace(source) if source is not None else None) or usual
    under_way = min(pace, max(0.0, now() - trial.heard)) if trial.running else 0.0
    return max(0.0, pace * (_planned_epochs(trial) - trial.last_epoch) - under_way)


def _planned_epochs(trial: TrialRecord) -> int:
    epochs: int = trial.values["epochs"]
    return epochs


def _pace(trial: TrialRecord) -> float | None:
    """Return the seconds of an epoch of a trial, with its validation; None before the first."""
    return worker_seconds(trial) / len(trial.epochs) if trial.epochs else None
