"""Searches of the past, written event by event."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.folder import SearchFolder
from search.insight.record import Record
from search.insight.stops import Stops
from search.memory.events import Asked, Ended, Epoch, Opened
from search.memory.history import History
from search.memory.outcome import Outcome
from search.place import build_place
from search.settings import build_settings
from segcore.config import TrainConfig


def build_trials(*trials: dict) -> History:
    """Trials of params, epochs (iou by epoch, ten seconds each) and an outcome; each begins when the last one ended."""
    history, now = History("iou"), 1000.0
    history.apply(Opened(cache_key="key", time=now))
    for number, trial in enumerate(trials):
        params, drawable = trial.get("params", {}), trial.get("drawable", True)
        values = trial.get("values", {"epochs": 4})
        history.apply(Asked(trial=number, fold=0, values=values, params=params, drawable=drawable, time=now))
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


@pytest.fixture
def make_record(tmp_path: Path) -> Callable[..., Record]:
    """Return a function that builds what is known of a search; what is left out is empty."""

    def make(history: History, **parts: Any) -> Record:
        root = tmp_path / "searches" / "streets"
        given = {"name": "streets", "search_id": "1d", "objective": "iou", "epochs": 4, "trials": 4, "folds": 3}
        place = {"data": "DATA", "storage": root.parent, **parts.pop("place", {})}
        known = {
            "settings": build_settings({**given, **parts.pop("settings", {})}),
            "place": build_place(place),
            "stops": Stops(),
            "confirmation": History("iou"),
            "retraining": History("iou"),
            "best": None,
        }
        return Record(folder=SearchFolder(root=root), history=history, **{**known, **parts})

    return make


@pytest.fixture
def make_best() -> Callable[..., dict[str, Any]]:
    """Return a function that builds what `best.json` holds of a trial."""

    def make(trial: int = 0, iou: float = 0.6, rivals: list[int] | None = None, **confirmation: Any) -> dict[str, Any]:
        values = TrainConfig.from_values({"epochs": 4}).values()
        best = {"search": "streets", "trial": trial, "fold": 0, "epoch": 4, "metrics": {"iou": iou}, "values": values}
        if rivals is None:
            return {**best, "trials": 4}
        known = {
            "told": "confirmed on 2 further folds", "score": 0.5, "interval": [0.4, 0.6], "folds": [1, 2],
            "further_seeds": [], "optimism": 0.1, "best_of": 2, "choice_bias": 0.01, "rivals": rivals, "contenders": [],
        }  # fmt: skip
        return {**best, "trials": 4, "confirmation": {**known, **confirmation}}

    return make
