"""All of MLflow: a parent run per stage, a child run per trial, filled from the journal by a thread of its own.

The journal is the queue: whatever MLflow's server does, nothing is lost and no training waits. What has arrived is
kept in `tracked.json`; `python -m search sync NAME` sends the rest of a search whose server was away. A run is found
again by the tags `search.id`, `search.stage` and `search.trial`, so that a resumed search makes no second one.
"""

import json
import logging
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from PIL import Image

from search.journal import FAILURES, Outcome
from search.layout import StageFolder
from search.settings import SearchSettings, settings_values
from segcore.config import FIELD_NAMES
from segcore.errors import StorageError, TrackingError

_CONNECT_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 60.0
_METRICS_PER_CALL: Final = 500
_EVENTS_PER_SEND: Final = 20
"""What is sent is noted after so many, so that a slow server is not sent the same for ever."""
_PARENT: Final = -1
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
_STATUS: Final = {
    Outcome.FINISHED: "FINISHED",
    Outcome.STOPPED: "KILLED",
    Outcome.FAILED: "FAILED",
    Outcome.DIVERGED: "FAILED",
    Outcome.OUT_OF_MEMORY: "FAILED",
    Outcome.OVER_LIMIT: "KILLED",
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


class StageRuns:
    """The MLflow runs of one stage: finds or makes them, and writes events into them.

    Args:
        settings: name, identity and tracking address are used.
        stage_name: `search`, `confirm` or `retrain`.
        folder: where pictures lie.
    """

    def __init__(self, settings: SearchSettings, stage_name: str, folder: StageFolder) -> None:
        calm_mlflow()
        self._settings = settings
        self._stage_name = stage_name
        self._folder = folder
        self._client = MlflowClient(settings.tracking_uri)
        self.experiment_id = _ensure_experiment(self._client, settings)
        self._runs = self._find_runs()
        self.parent_id = self._runs.get(_PARENT) or self._create_parent()

    def write(self, events: Sequence[dict[str, Any]]) -> None:
        """Write events of the journal; writing one twice changes nothing but pictures."""
        points: dict[str, list[Metric]] = {}
        for event in events:
            if event["event"] == "asked":
                self._start_trial(event)
        for event in events:
            if event["event"] == "epoch":
                points.setdefault(self._run_of(event["trial"]), []).extend(_metrics(event))
        for run_id, metrics in points.items():
            for start in range(0, len(metrics), _METRICS_PER_CALL):
                self._client.log_batch(run_id, metrics=metrics[start : start + _METRICS_PER_CALL])
        for event in events:
            if event["event"] == "epoch" and event["picture"] is not None:
                self._log_picture(event)
            elif event["event"] == "ended":
                self._end_trial(event)
            elif event["event"] == "reopened":
                self._reopen_trial(event)
            elif event["event"] == "opened":
                self._client.update_run(self.parent_id, status="RUNNING")
            elif event["event"] == "closed":
                self._close(event)

    def _run_of(self, trial: int, start_time: int | None = None, name: str | None = None) -> str:
        if trial not in self._runs:
            tags = {**self._tags(trial), "mlflow.parentRunId": self.parent_id}
            run = self._client.create_run(self.experiment_id, start_time, tags=tags, run_name=name)
            self._runs[trial] = run.info.run_id
        return self._runs[trial]

    def _name_run(self, event: dict[str, Any]) -> str:
        if self._stage_name == "search":
            return f"trial_{event['trial']:04d}"
        fold = f"fold_{event['fold']}"
        return fold if event.get("source") is None else f"trial_{event['source']:04d}_{fold}"

    def _start_trial(self, event: dict[str, Any]) -> None:
        values = {**event["values"], "fold": event["fold"]}
        params = [Param(name, str(value)) for name, value in values.items()]
        run_id = self._run_of(event["trial"], int(event["time"] * 1000), self._name_run(event))
        self._client.log_batch(run_id, params=params)
        self._client.update_run(run_id, status="RUNNING")

    def _log_picture(self, event: dict[str, Any]) -> None:
        file = self._folder.root / event["picture"]
        if file.is_file():
            with Image.open(file) as image:
                self._client.log_image(
                    self._run_of(event["trial"]), image.convert("RGB"), key="validation", step=event["epoch"]
                )

    def _end_trial(self, event: dict[str, Any]) -> None:
        run_id, outcome = self._run_of(event["trial"]), Outcome(event["outcome"])
        tags = {"outcome": str(outcome), "message": event["message"][:5000]}
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        self._client.set_terminated(run_id, status=_STATUS[outcome], end_time=int(event["time"] * 1000))

    def _reopen_trial(self, event: dict[str, Any]) -> None:
        run_id = self._run_of(event["trial"])
        self._client.log_batch(run_id, tags=[RunTag(name, "") for name in ("outcome", "message")])
        self._client.update_run(run_id, status="RUNNING")

    def _close(self, event: dict[str, Any]) -> None:
        stamp = int(event["time"] * 1000)
        metrics = [Metric(_clean(name), value, stamp, 0) for name, value in event["metrics"].items()]
        note = RunTag("mlflow.note.content", event["note"])
        self._client.log_batch(self.parent_id, metrics=metrics, tags=[note])
        self._client.set_terminated(self.parent_id, end_time=stamp)

    def _tags(self, trial: int) -> dict[str, str]:
        return {
            "search.id": self._settings.search_id,
            "search.stage": self._stage_name,
            "search.trial": str(trial),
        }

    def _find_runs(self) -> dict[int, str]:
        query = f"tags.`search.id` = '{self._settings.search_id}' and tags.`search.stage` = '{self._stage_name}'"
        runs: dict[int, str] = {}
        token = None
        while True:
            page = self._client.search_runs([self.experiment_id], query, page_token=token, max_results=1000)
            runs |= {int(run.data.tags["search.trial"]): run.info.run_id for run in page}
            token = page.token
            if not token:
                return runs

    def _create_parent(self) -> str:
        run_id: str = self._client.create_run(
            self.experiment_id, tags=self._tags(_PARENT), run_name=f"{self._settings.name} ({self._stage_name})"
        ).info.run_id
        params = [Param(name, str(value)[:500]) for name, value in settings_values(self._settings).items()]
        self._client.log_batch(run_id, params=params)
        return run_id


class Tracker:
    """A thread that follows a journal into MLflow and outlasts the server's absences.

    Args:
        settings: the search's settings.
        stage_name: `search`, `confirm` or `retrain`.
        folder: the stage's files.
    """

    def __init__(self, settings: SearchSettings, stage_name: str, folder: StageFolder) -> None:
        self._settings = settings
        self._stage_name = stage_name
        self._folder = folder
        self._runs: StageRuns | None = None
        self._sent_bytes = _read_sent(folder)
        self._closing = threading.Event()
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._follow, name="mlflow", daemon=True)
        self._thread.start()

    def close(self) -> int:
        """Send what is left, as long as it becomes less within a minute.

        Returns:
            Bytes of the journal that MLflow does not have.
        """
        self._closing.set()
        before = self.unsent_bytes + 1
        while self._thread.is_alive() and self.unsent_bytes < before:
            before = self.unsent_bytes
            self._thread.join(_CLOSE_SECONDS)
        return self.unsent_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes of the journal that MLflow does not have."""
        size = self._folder.journal.stat().st_size if self._folder.journal.exists() else 0
        return size - self._sent_bytes

    def _follow(self) -> None:
        while not (self._closing.is_set() and (self.unsent_bytes == 0 or self.problem)):
            sent = self._send()
            self._closing.wait(_RETRY_SECONDS if self.problem else 0 if sent else _POLL_SECONDS)

    def _send(self) -> bool:
        try:
            events, end = read_new_events(self._folder.journal, self._sent_bytes)
            if events:
                self._runs = self._runs or StageRuns(self._settings, self._stage_name, self._folder)
                self._runs.write(events)
                self._sent_bytes = end
                _write_sent(self._folder, end)
            self.problem = None
            return bool(events)
        # Whatever MLflow raises, the search goes on and this thread tries again.
        except Exception as error:
            # Found anew at the next try: the server may have made a run whose answer was lost, or a user deleted one.
            self._runs = None
            self.problem = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            return False


def read_new_events(journal: Path, start: int) -> tuple[list[dict[str, Any]], int]:
    """Return the whole lines of a journal after a position, and the position after them; at most 20 lines."""
    if not journal.exists():
        return [], start
    events: list[dict[str, Any]] = []
    with journal.open("rb") as stream:
        stream.seek(start)
        for line in stream:
            if not line.endswith(b"\n") or len(events) == _EVENTS_PER_SEND:
                break
            events.append(json.loads(line))
            start += len(line)
    return events, start


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
        of_trial = run.data.tags.get("search.trial") != str(_PARENT) and run.data.tags.get("outcome") not in FAILURES
        if of_trial and values not in found:
            found.append(values)
    return found[:count]


def _find_link(settings: SearchSettings, server: str) -> str:
    client = MlflowClient(settings.tracking_uri)
    experiment = client.get_experiment_by_name(settings.name)
    if experiment is None:
        return server
    query = f"tags.`search.id` = '{settings.search_id}' and tags.`search.trial` = '{_PARENT}'"
    parents = client.search_runs([experiment.experiment_id], f"{query} and tags.`search.stage` = 'search'")
    only_trials = f"tags.`mlflow.parentRunId`='{parents[0].info.run_id}'" if parents else ""
    return (
        f"{server.rstrip('/')}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
        f"&searchFilter={quote(only_trials)}&orderByKey=metrics.%60iou%60&orderByAsc=false&compareRunsMode=CHART"
    )


def _ensure_experiment(client: MlflowClient, settings: SearchSettings) -> str:
    experiment = client.get_experiment_by_name(settings.name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"MLflow's experiment {settings.name!r} is deleted; restore it by 'mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}', then run 'python -m search sync {settings.name}'."
        )
    if experiment is not None:
        found: str = experiment.experiment_id
        return found
    artifacts = None
    if settings.tracking_uri.startswith("sqlite:"):
        artifacts = (settings.storage / "mlartifacts" / settings.name).as_uri()
    created: str = client.create_experiment(
        settings.name, artifact_location=artifacts, tags={"mlflow.experimentKind": "custom_model_development"}
    )
    return created


def _metrics(event: dict[str, Any]) -> list[Metric]:
    stamp = int(event["time"] * 1000)
    return [Metric(_clean(name), float(value), stamp, event["epoch"]) for name, value in event["metrics"].items()]


def _clean(name: str) -> str:
    # Class names come from a user's file; MLflow refuses other characters in a metric's name.
    return re.sub(r"[^\w\-. :/]", "_", name)


def _read_sent(folder: StageFolder) -> int:
    try:
        return int(json.loads(folder.tracked.read_text(encoding="utf-8"))["bytes"])
    except (OSError, ValueError, KeyError):
        return 0


def _write_sent(folder: StageFolder, sent_bytes: int) -> None:
    temporary = folder.tracked.with_suffix(".tmp")
    temporary.write_text(json.dumps({"bytes": sent_bytes}), encoding="utf-8")
    temporary.replace(folder.tracked)
