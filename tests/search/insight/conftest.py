"""Searches of the past, written event by event."""

from collections.abc import Callable

import pytest

from search.memory.history import History


def event(kind: str, trial: int, time: float, **content) -> dict:
    return {"event": kind, "trial": trial, "time": time, **content}


def build_trials(*trials: dict) -> History:
    """Trials of params, epochs (iou by epoch, ten seconds each) and an outcome; each begins when the last one ended."""
    history, now = History(), 1000.0
    history.apply({"event": "opened", "cache_key": "key", "time": now})
    for number, trial in enumerate(trials):
        asked = {"fold": 0, "values": {}, "params": trial.get("params", {}), "drawable": trial.get("drawable", True)}
        history.apply(event("asked", number, now, **asked))
        for epoch, iou in enumerate(trial["ious"], start=1):
            now += 10
            content = {"metrics": {} if iou is None else {"iou": iou}, "picture": None, "verdict": ""}
            history.apply(event("epoch", number, now, epoch=epoch, **content))
        if trial.get("outcome", "finished"):
            now += 1
            history.apply(event("ended", number, now, outcome=trial.get("outcome", "finished"), message=""))
    return history


@pytest.fixture
def make_trials() -> Callable[..., History]:
    """Return a function that builds a search of the given trials, see `build_trials`."""
    return build_trials
