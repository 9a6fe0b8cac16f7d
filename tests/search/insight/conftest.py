"""Searches of the past, written event by event."""

from collections.abc import Callable

import pytest

from search.memory.events import Asked, Ended, Epoch, Opened
from search.memory.history import History
from search.memory.outcome import Outcome


def build_trials(*trials: dict) -> History:
    """Trials of params, epochs (iou by epoch, ten seconds each) and an outcome; each begins when the last one ended."""
    history, now = History("iou"), 1000.0
    history.apply(Opened(cache_key="key", time=now))
    for number, trial in enumerate(trials):
        params, drawable = trial.get("params", {}), trial.get("drawable", True)
        history.apply(Asked(trial=number, fold=0, values={}, params=params, drawable=drawable, time=now))
        for epoch, iou in enumerate(trial["ious"], start=1):
            now += 10
            metrics = {} if iou is None else {"iou": iou}
            history.apply(Epoch(trial=number, epoch=epoch, metrics=metrics, time=now))
        if trial.get("outcome", "finished"):
            now += 1
            history.apply(Ended(trial=number, outcome=Outcome(trial.get("outcome", "finished")), time=now))
    return history


@pytest.fixture
def make_trials() -> Callable[..., History]:
    """Return a function that builds a search of the given trials, see `build_trials`."""
    return build_trials
