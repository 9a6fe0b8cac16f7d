"""The points that MLflow gets of an epoch: its metrics, the best score so far, and what the trial has cost.

Built from a stage's events alone. A metric that is 0 whenever it is reported says nothing and would fill pages: its
points are kept back until one differs from 0, and then all of them are sent.
"""

import math
from array import array
from dataclasses import dataclass
from typing import Final

from mlflow.entities import Metric

from search.memory.events import Epoch
from search.memory.history import TrialRecord
from search.place import Place
from search.tracking.names import best_key_of, key_of
from search.tracking.sent import stamp_of

SECONDS: Final = "seconds"
"""The metric of an epoch that says how long it took."""
_HOUR_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point of a trial's run.

    Args:
        trial: its number.
        metric: the point.
    """

    trial: int
    metric: Metric


class Points:
    """Makes points of epochs.

    Args:
        metric: what decides; it is never kept back.
        place: what a trial's worker has.
    """

    def __init__(self, metric: str, place: Place) -> None:
        self._metric = metric
        self._place = place
        self._alive = {key_of(metric)}
        # Of each point trial, stamp and epoch: one that is 0 in all reports of a long search is kept back to its end.
        self._kept_back: dict[str, array[int]] = {}

    def take(self, event: Epoch, trial: TrialRecord) -> list[Point]:
        """Return what is to be sent now that an epoch is reported for the first time.

        Args:
            event: the report.
            trial: the trial with this epoch.
        """
        known = {key_of(name): value for name, value in event.metrics.items()}
        best = {best_key_of(self._metric): trial.best.score} if trial.best is not None else {}
        sent: list[Point] = []
        # MLflow lists metrics in the order of their first points: what decides stands at the top.
        for name, value in {**best, **known, **event.system, **self._cost(trial)}.items():
            sent += self._release(name, float(value), (event.trial, stamp_of(event), event.epoch))
        return sent

    def tells(self, name: str, value: float) -> bool:
        """Say whether a metric says something: it is not 0, or once was not in a trial."""
        return value != 0 or name in self._alive

    def _release(self, name: str, value: float, of: tuple[int, int, int]) -> list[Point]:
        if not self.tells(name, value):
            self._kept_back.setdefault(name, array("q")).extend(of)
            return []
        self._alive.add(name)
        kept = iter(self._kept_back.pop(name, ()))
        return [*(_point(name, 0.0, *each) for each in zip(kept, kept, kept, strict=True)), _point(name, value, *of)]

    def _cost(self, trial: TrialRecord) -> dict[str, float]:
        """Return what the devices of a trial's worker have spent on the epochs that stand."""
        seconds = [record.metrics.get(SECONDS, math.nan) for record in trial.epochs.values()]
        spent = math.fsum(seconds) * (self._place.gpus_per_trial or self._place.cpus_per_trial)
        if math.isnan(spent):
            return {}
        return {"device_seconds": spent, hours_key(self._place): spent / _HOUR_SECONDS}


def _point(name: str, value: float, trial: int, stamp: int, epoch: int) -> Point:
    return Point(trial=trial, metric=Metric(name, value, stamp, epoch))


def hours_key(place: Place) -> str:
    """Return what MLflow calls the hours that a trial's devices took."""
    return "gpu_hours" if place.gpus_per_trial else "core_hours"
