"""A small search as a journal, and MLflow stores that it is written into."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from search.folder import StageFolder
from search.memory.events import Closed, Epoch, Opened
from search.memory.journal import read_events
from search.place import Place
from search.settings import SearchSettings


@pytest.fixture
def settings(make_settings) -> SearchSettings:
    return make_settings(epochs=3, trials=2)


@pytest.fixture
def place(make_place, empty_database) -> Place:
    place = make_place()
    place.storage.mkdir()
    shutil.copy(empty_database, place.storage / "mlflow.db")
    return place


@pytest.fixture
def stage(script) -> StageFolder:
    return StageFolder(root=script.journal.file.parent)


Points = dict[str, list[tuple[int, float]]]
"""Every (step, value) by metric."""


@pytest.fixture
def find_runs() -> Callable[[Place], tuple[list[Run], list[Run]]]:
    """Return a function that finds all parent runs and all child runs of a search's experiment."""

    def find(place: Place) -> tuple[list[Run], list[Run]]:
        client = MlflowClient(place.tracking_uri)
        experiment = client.get_experiment_by_name("streets")
        runs = client.search_runs([experiment.experiment_id])
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
        return parents, sorted(children, key=lambda run: int(run.data.tags["search.trial"]))

    return find


@pytest.fixture
def points_of() -> Callable[[Place, Run], Points]:
    """Return a function that finds every point of a run's epochs."""

    def find(place: Place, run: Run) -> Points:
        client = MlflowClient(place.tracking_uri)
        return {
            name: sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics.keys() - {"rank"}
        }

    return find


@pytest.fixture
def write_search() -> Callable[..., None]:
    """Return a function that writes two trials: one finished after three epochs, one stopped after its second."""

    def write(script) -> None:
        script.journal.write(Opened(cache_key="key"))
        crops = {"input_mode": "crop", "crop_size": 512, "batch_size": 4}
        script.ask(0, params=crops, **crops, loss="ce+jaccard", epochs=9)
        whole = {"input_mode": "full", "batch_size": 2}
        script.ask(1, params=whole, **whole, epochs=9)
        script.epochs(0, 0.5, 0.6)
        script.epochs(1, 0.4, None)
        script.end(1, "stopped by ASHA", "its score is NaN after epoch 2")
        script.epochs(0, 0.7, first=3)
        script.end(0)
        script.journal.write(Closed(metrics={"iou": 0.7}, note="### Best: trial 0"))

    return write


@pytest.fixture
def points_of_journal() -> Callable[[Path, int], Points]:
    """Return a function that finds what MLflow is to have of a trial: of each epoch its first report."""

    def find(file: Path, trial: int) -> Points:
        points: Points = {}
        seen, best = set(), -1.0
        for event in read_events(file):
            if isinstance(event, Epoch) and event.trial == trial and event.epoch not in seen:
                seen.add(event.epoch)
                best = max(best, event.metrics.get("iou", best))
                for name, value in {**event.metrics, "iou_best": best}.items():
                    points.setdefault(name, []).append((event.epoch, value))
        return points

    return find
