"""Searches of this project as MLflow recorded them: settings, configurations, scores and seconds by epoch, outcomes.

A recorded search becomes a `History`, as if its journal had been read; `replay` makes a task of it. Confirmations and
retrainings are not read: other folds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from search.memory.history import EpochRecord, History, TrialRecord
from search.memory.outcome import Outcome
from search.place import Place, build_place
from search.settings import SearchSettings, build_settings, name_metric
from search.tracking.check import require_tracking
from search.tracking.documents import CONFIGURATION_FILE, SETTINGS_FILE, read_document
from search.tracking.names import key_of
from search.tracking.states import INTERRUPTED
from search.tracking.store import open_client
from segcore.config import TrainConfig
from segcore.errors import ConfigError, TrackingError
from segcore.scoring.objective import FIRST_METRIC

_SQLITE: Final = "sqlite:///"
_SETTINGS: Final = (
    "name", "space", "trials", "epochs", "grace_epochs", "reduction_factor", "folds", "fold", "seed", "search_id",
    "fixed",
)  # fmt: skip
_PLACE: Final = ("data", "extra")
_PARENT: Final = "-1"
"""What a search's own run has for a trial's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSearch:
    """One search of the past.

    Args:
        settings: those that decide what was trained and how it was judged; all others have their defaults.
        place: the data; all else has its defaults.
        history: its trials; what the space drew of a trial's values is not known (`params` are empty), of metrics only
            the objective and `seconds` are.
    """

    settings: SearchSettings
    place: Place
    history: History


def read_searches(names: Sequence[str], uri: str) -> list[RecordedSearch]:
    """Read searches from MLflow.

    Args:
        names: of the searches; one name may stand for several, as searches in several storages may share it.
        uri: MLflow's address; empty: the project's default, a file in the storage.

    Raises:
        ConfigError: when MLflow knows no search of a name, or what it holds of it cannot be read.
        TrackingError: when MLflow cannot be asked.
    """
    uri = build_place({"data": Path(), "tracking_uri": uri}).tracking_uri
    _require_store(uri)
    try:
        client = open_client(uri)
        return [search for name in dict.fromkeys(names) for search in _read_name(client, name, uri)]
    # A file that is no database, and a database whose driver is not installed.
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        raise TrackingError(f"--tracking-uri {uri} cannot be read ({str(error).strip().splitlines()[0]}).") from error


def _require_store(uri: str) -> None:
    # MLflow would make the file that it does not find.
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file():
        raise TrackingError(
            f"--tracking-uri {uri}: there is no such file; give the store that the search was recorded in, "
            "such as sqlite:///searches/mlflow.db or http://HOST:PORT."
        )
    require_tracking(uri)


def _read_name(client: MlflowClient, name: str, uri: str) -> list[RecordedSearch]:
    experiment = client.get_experiment_by_name(name)
    runs = _find_runs(client, experiment.experiment_id) if experiment is not None else []
    if not runs:
        known = sorted(each.name for each in client.search_experiments() if each.name != "Default")
        raise ConfigError(
            f"--search {name}: MLflow at {uri} has no search of that name; "
            f"{'it has ' + ', '.join(known) if known else 'it has none at all'}. Check --search and --tracking-uri."
        )
    by_search: dict[str, list[Run]] = {}
    for run in runs:
        by_search.setdefault(run.data.tags["search.id"], []).append(run)
    return [_read_search(client, name, by_search[search_id]) for search_id in sorted(by_search)]


def _find_runs(client: MlflowClient, experiment_id: str) -> list[Run]:
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], "tags.`search.stage` = 'search'", page_token=token, max_results=1000)
        runs += page
        token = page.token
        if not token:
            return runs


def _read_search(client: MlflowClient, name: str, runs: list[Run]) -> RecordedSearch:
    parents = [run for run in runs if run.data.tags["search.trial"] == _PARENT]
    if not parents:
        raise ConfigError(
            f"--search {name}: MLflow has trials but no run with the settings of their search; restore it in MLflow "
            "if it was deleted, else the search cannot be replayed."
        )
    settings, place = _read_settings(name, read_document(client, parents[0].info.run_id, SETTINGS_FILE))
    history = History(settings.metric)
    for run in runs:
        # A driver that died between making a run and filling it leaves one without a configuration.
        configuration = read_document(client, run.info.run_id, CONFIGURATION_FILE)
        if configuration:
            trial = _read_trial(client, name, run, configuration, settings.metric)
            history.trials[trial.number] = trial
    return RecordedSearch(settings=settings, place=place, history=history)


def _read_settings(name: str, document: dict[str, Any]) -> tuple[SearchSettings, Place]:
    try:
        values = {key: value for key, value in document["settings"].items() if key in _SETTINGS}
        where = {key: value for key, value in document["place"].items() if key in _PLACE}
        # Latency has no part in what is replayed.
        objective = name_metric(document["settings"].get("objective", "")) or FIRST_METRIC
        return build_settings({**values, "objective": objective}), build_place(where)
    except (ConfigError, KeyError, AttributeError) as error:
        raise ConfigError(f"--search {name}: its settings in MLflow cannot be read ({error}).") from error


def _read_trial(client: MlflowClient, name: str, run: Run, configuration: dict[str, Any], metric: str) -> TrialRecord:
    number, tags = int(run.data.tags["search.trial"]), run.data.tags
    try:
        config = TrainConfig.from_values(configuration["values"])
        # Of a trial that goes on after it was stopped it is empty, and one that was interrupted has not ended.
        outcome = Outcome(tags["outcome"]) if tags.get("outcome", "") not in ("", INTERRUPTED) else None
    except (ConfigError, ValueError, KeyError) as error:
        raise ConfigError(f"--search {name}: what MLflow has of trial {number} cannot be read ({error}).") from error
    return TrialRecord(
        number=number,
        fold=int(configuration.get("fold", 0)),
        values=config.values(),
        params={},
        started=run.info.start_time / 1000,
        epochs=_read_epochs(client, run.info.run_id, metric),
        outcome=outcome,
        message=tags.get("reason", "") if outcome is not None else "",
        ended=run.info.end_time / 1000 if outcome is not None and run.info.end_time else None,
    )


def _read_epochs(client: MlflowClient, run_id: str, metric: str) -> dict[int, EpochRecord]:
    metrics: dict[int, dict[str, float]] = {}
    times: dict[int, float] = {}
    for key in ("seconds", metric):
        for point in client.get_metric_history(run_id, key_of(key)):
            metrics.setdefault(point.step, {})[key] = point.value
            times[point.step] = point.timestamp / 1000
    whole = [step for step in sorted(metrics) if "seconds" in metrics[step]]
    return {
        step: EpochRecord(
            epoch=step, metrics=metrics[step], score=metrics[step].get(metric, math.nan), time=times[step]
        )
        for step in whole
    }
