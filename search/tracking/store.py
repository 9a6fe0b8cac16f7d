"""MLflow's store: whether it can be used, what is asked of it, and links into its pages."""

import logging
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import mlflow
from mlflow import MlflowClient

from search.memory.outcome import FAILURES
from search.settings import SearchSettings
from segcore.config import FIELD_NAMES
from segcore.errors import StorageError, TrackingError

_CONNECT_SECONDS: Final = 5.0


PARENT: Final = -1
"""What the parent run has for a trial's number."""


# Without these one call to a server that is gone blocks for four minutes.
_PATIENCE: Final = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def require_tracking(uri: str) -> None:
    """Raise within seconds when an MLflow store cannot be used.

    Raises:
        TrackingError: when a server does not answer, or the address is of no known kind.
        StorageError: when the folder of a database file cannot be written.
    """
    if uri.startswith(("http://", "https://")):
        try:
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            raise TrackingError(
                f"--tracking-uri {uri} does not answer ({error}); start the server with "
                "'mlflow server', or leave --tracking-uri out to log into a file."
            ) from error
    elif uri.startswith("sqlite:///"):
        file = Path(uri.removeprefix("sqlite:///"))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"--tracking-uri {uri}: {file.parent} cannot be made ({error}).") from error
    elif "://" not in uri:
        raise TrackingError(
            f"--tracking-uri {uri!r} is no address; use http://HOST:PORT, or sqlite:///FILE for a file."
        )


def calm_mlflow() -> None:
    """Let MLflow give up within seconds on a server that is gone, and say no more than it must."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    # urllib3 tells of every retry while the server is away.
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


def trials_link(settings: SearchSettings, server: str) -> str:
    """Return the address of the MLflow page that charts a search's trials.

    Args:
        settings: the search.
        server: http address of the MLflow server.

    Raises:
        TrackingError: when the store of the search cannot be read.
    """
    calm_mlflow()
    try:
        return _find_link(settings, server)
    except mlflow.exceptions.MlflowException as error:
        raise TrackingError(f"{settings.tracking_uri} cannot be read ({error}).") from error


def find_best_params(uri: str, name: str, count: int) -> list[dict[str, Any]]:
    """Return the configurations of a search's best trials, as texts, the best by its last iou first.

    Args:
        uri: MLflow's address.
        name: of the search; of several, the trials of all count.
        count: at most so many.

    Returns:
        `TrainConfig` values by name; none when MLflow knows no such search.

    Raises:
        TrackingError: when MLflow cannot be asked.
    """
    calm_mlflow()
    try:
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            return []
        query = "tags.`search.stage` = 'search' and metrics.`iou` > 0"
        runs = client.search_runs(
            [experiment.experiment_id], query, order_by=["metrics.`iou` DESC"], max_results=10 * count
        )
    except mlflow.exceptions.MlflowException as error:
        raise TrackingError(f"{uri} cannot be read ({error}).") from error
    found: list[dict[str, Any]] = []
    for run in runs:
        values = {key: value for key, value in run.data.params.items() if key in FIELD_NAMES}
        of_trial = run.data.tags.get("search.trial") != str(PARENT) and run.data.tags.get("outcome") not in FAILURES
        if of_trial and values not in found:
            found.append(values)
    return found[:count]


def _find_link(settings: SearchSettings, server: str) -> str:
    client = MlflowClient(settings.tracking_uri)
    experiment = client.get_experiment_by_name(settings.name)
    if experiment is None:
        return server
    query = f"tags.`search.id` = '{settings.search_id}' and tags.`search.trial` = '{PARENT}'"
    parents = client.search_runs([experiment.experiment_id], f"{query} and tags.`search.stage` = 'search'")
    only_trials = f"tags.`mlflow.parentRunId`='{parents[0].info.run_id}'" if parents else ""
    return (
        f"{server.rstrip('/')}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
        f"&searchFilter={quote(only_trials)}&orderByKey=metrics.%60iou%60&orderByAsc=false&compareRunsMode=CHART"
    )
