"""What a search has learnt and what its time bought: importance of each choice, when trials ended, score against time.

Follows from the journal alone; the tables for a person are in `report`.
"""

import random
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from search.memory.history import History, TrialRecord
from search.memory.outcome import FAILURES, Outcome

FEWEST_TRIALS: Final = 12
"""Below so many scored trials nothing is said of importance."""
CHANCE: Final = "(chance)"
_RESAMPLES: Final = 10
_RESAMPLED_TRIALS: Final = 60
_TREES: Final = 16
_SPARED: Final = 10
_FEW_VALUES: Final = 4
_DECADE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """The share of the scores' variance that a choice explains.

    Args:
        name: of the choice; `CHANCE` is a number drawn for each trial that means nothing.
        share: median over resamples of the trials, 0 to 1.
        low: lowest of the resamples.
        high: highest of the resamples.
    """

    name: str
    share: float
    low: float
    high: float


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


def common_epoch(history: History) -> int:
    """Return the last epoch that nine of ten scored trials reached, so that their scores compare; 0 without one."""
    last_epochs = sorted(trial.last_epoch for trial in history.ranked)
    return last_epochs[len(last_epochs) // _SPARED] if last_epochs else 0


def measure_importance(history: History) -> list[Importance]:
    """Return how much each choice explains of the scores after the common epoch, the most first.

    Functional ANOVA over a forest (Hutter et al., An Efficient Approach for Assessing Hyperparameter Importance, 2014),
    on resamples of the trials, so that each share has its uncertainty. A meaningless number drawn for each trial shows
    what so few trials make of nothing (the shadow of Kursa and Rudnicki, Feature Selection with the Boruta Package,
    2010): a choice whose range reaches into its range is not shown to matter. Choices that only some trials have, and
    those with one value, are left out.

    Returns:
        Nothing below `FEWEST_TRIALS` trials, or when their scores are all alike.
    """
    epoch = common_epoch(history)
    scored = [trial for trial in history.ranked if trial.drawable and epoch in trial.epochs]
    scored = [trial for trial in scored if trial.epochs[epoch].iou == trial.epochs[epoch].iou]
    if len(scored) < FEWEST_TRIALS:
        return []
    names = set.intersection(*(set(trial.params) for trial in scored))
    distributions = {name: _distribution([trial.params[name] for trial in scored]) for name in sorted(names)}
    distributions = {name: found for name, found in distributions.items() if not found.single()}
    draw = random.Random(0)
    resamples = [_explain(draw, scored, epoch, distributions) for _ in range(_RESAMPLES)] if distributions else []
    shares = [resample for resample in resamples if resample]
    found = [_summarise(name, [each[name] for each in shares]) for name in (*distributions, CHANCE)] if shares else []
    return sorted(found, key=lambda importance: -importance.share)


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
    if trial.ended is not None:
        times.append(trial.ended)
    return sum(max(0.0, after - before) for before, after in pairwise(times))


def score_against_time(history: History) -> list[tuple[float, float]]:
    """Return each new best score with the seconds that the search had run by then, pauses left out."""
    records = [record for trial in history.in_order for record in list(trial.epochs.values())]
    course: list[tuple[float, float]] = []
    for record in sorted(records, key=lambda record: record.time):
        if record.iou == record.iou and (not course or record.iou > course[-1][1]):
            course.append((history.spent_until(record.time), record.iou))
    return course


def best_by(course: Sequence[tuple[float, float]], seconds: float) -> float | None:
    """Return the best score that a search had after so many seconds; None before the first."""
    return max((iou for at, iou in course if at <= seconds), default=None)


def find_front(history: History) -> list[TrialRecord]:
    """Return the trials that no other beats in both iou and latency, the fastest first; those measured, that is."""
    front: list[TrialRecord] = []
    measured = [trial for trial in history.ranked if trial.latency_ms is not None and trial.outcome not in FAILURES]
    # Best first: who is no faster than one before is beaten by it.
    for trial in measured:
        if not front or (trial.latency_ms or 0.0) < (front[-1].latency_ms or 0.0):
            front.append(trial)
    return front[::-1]


def _name_end(trial: TrialRecord) -> str:
    if trial.outcome is None:
        return "not ended"
    return "failed" if trial.outcome in FAILURES else str(trial.outcome)


def _explain(
    draw: random.Random, trials: Sequence[TrialRecord], epoch: int, distributions: dict[str, BaseDistribution]
) -> dict[str, float]:
    """Return the share of each choice on a resample; empty when its scores leave nothing to explain."""
    study = optuna.create_study(direction="maximize")
    everything = {**distributions, CHANCE: FloatDistribution(0.0, 1.0)}
    for trial in draw.choices(trials, k=min(len(trials), _RESAMPLED_TRIALS)):
        params: dict[str, Any] = {name: trial.params[name] for name in distributions}
        params[CHANCE] = draw.random()
        value = trial.epochs[epoch].iou
        study.add_trial(optuna.trial.create_trial(params=params, distributions=everything, value=value))
    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=draw.randrange(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = get_param_importances(study, evaluator=evaluator, params=list(everything))
        except RuntimeError:
            # So it refuses a forest whose trees are all a single leaf.
            return {}
    return {name: float(share) for name, share in found.items()}


def _summarise(name: str, shares: Sequence[float]) -> Importance:
    return Importance(name=name, share=median(shares), low=min(shares), high=max(shares))


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers or len(set(values)) <= _FEW_VALUES:
        return CategoricalDistribution(sorted(set(values), key=str))
    low, high = float(min(values)), float(max(values))
    return FloatDistribution(low, high, log=low > 0 and high / low >= _DECADE)
