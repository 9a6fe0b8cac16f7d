"""What a search's time bought: when trials ended, what workers did with their time, score against time.

Follows from the journal alone; the tables for a person are in `commands`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from search.memory.history import History, TrialRecord
from search.memory.outcome import FAILURES, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What trials of one kind of end took.

    Args:
        end: finished, stopped, failed, or not ended.
        trials: how many.
        seconds: of their workers, together.
        epochs: trained, together.
    """

    end: str
    trials: int
    seconds: float
    epochs: int


def count_stops(history: History) -> dict[int, int]:
    """Return how many trials stand stopped by ASHA after each epoch; one that went on counts where it stands now."""
    return dict(sorted(Counter(t.last_epoch for t in history.in_order if t.outcome is Outcome.STOPPED).items()))


def account(history: History) -> list[Spending]:
    """Return what finished, stopped, failed and other trials took of the workers' time."""
    groups: dict[str, list[TrialRecord]] = {}
    for trial in history.in_order:
        groups.setdefault(_name_end(trial), []).append(trial)
    return [
        Spending(
            end=end,
            trials=len(trials),
            seconds=sum(worker_seconds(trial) for trial in trials),
            epochs=sum(trial.last_epoch for trial in trials),
        )
        for end, trials in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]


def worker_seconds(trial: TrialRecord) -> float:
    """Return how long workers had a trial."""
    # Epochs know how long they took; the time between start and end may hold a pause of the trial or of the
    # whole search.
    times = [trial.started, *sorted(record.time for record in trial.epochs.values())]
    if trial.epochs and all("seconds" in record.metrics for record in trial.epochs.values()):
        return sum(record.metrics["seconds"] for record in trial.epochs.values())
    # A person ends a trial as it reports, or while it waits.
    if trial.ended is not None and trial.outcome is not Outcome.PRUNED:
        times.append(trial.ended)
    return sum(max(0.0, after - before) for before, after in pairwise(times))


def score_against_time(history: History) -> list[tuple[float, float]]:
    """Return each new best score of trials that may win, with the seconds run by then, pauses left out."""
    records = [record for trial in history.eligible for record in list(trial.epochs.values())]
    course: list[tuple[float, float]] = []
    for record in sorted(records, key=lambda record: record.time):
        if record.score == record.score and (not course or record.score > course[-1][1]):
            course.append((history.spent_until(record.time), record.score))
    return course


def best_by(course: Sequence[tuple[float, float]], seconds: float) -> float | None:
    """Return the best score that a search had after so many seconds; None before the first."""
    return max((score for at, score in course if at <= seconds), default=None)


def _name_end(trial: TrialRecord) -> str:
    if trial.outcome is None:
        return "not ended"
    return "failed" if trial.outcome in FAILURES else str(trial.outcome)
