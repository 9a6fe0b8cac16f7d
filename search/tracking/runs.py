"""All of MLflow: a parent run per stage, a child run per trial, filled from the journal by a thread of its own.

The journal is the queue: whatever MLflow's server does, nothing is lost and no training waits. What has arrived is
kept in `tracked.json`; the command `sync` sends the rest of a search whose server was away. A run is found
again by the tags `search.id`, `search.stage` and `search.trial`, so that a resumed search makes no second one.
"""

import re
from collections.abc import Sequence
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from PIL import Image

from search.folder import StageFolder
from search.memory.events import Asked, Closed, Ended, Epoch, Event, Opened, Reopened
from search.memory.outcome import Outcome
from search.place import Place, place_values
from search.settings import SearchSettings, settings_values
from search.tracking.store import PARENT, calm_mlflow
from segcore.errors import TrackingError

_METRICS_PER_CALL: Final = 500

_STATUS: Final = {
    Outcome.FINISHED: "FINISHED",
    Outcome.STOPPED: "KILLED",
    Outcome.FAILED: "FAILED",
    Outcome.DIVERGED: "FAILED",
    Outcome.OUT_OF_MEMORY: "FAILED",
    Outcome.OVER_LIMIT: "KILLED",
}


class StageRuns:
    """The MLflow runs of one stage: finds or makes them, and writes events into them.

    Args:
        settings: name and identity are used.
        place: where MLflow is.
        stage_name: `search`, `confirm` or `retrain`.
        folder: where pictures lie.
    """

    def __init__(self, settings: SearchSettings, place: Place, stage_name: str, folder: StageFolder) -> None:
        calm_mlflow()
        self._settings = settings
        self._place = place
        self._stage_name = stage_name
        self._folder = folder
        self._client = MlflowClient(place.tracking_uri)
        self.experiment_id = _ensure_experiment(self._client, settings, place, folder)
        self._runs = self._find_runs()
        self.parent_id = self._runs.get(PARENT) or self._create_parent()

    def write(self, events: Sequence[Event]) -> None:
        """Write events of the journal; writing one twice changes nothing but pictures."""
        points: dict[str, list[Metric]] = {}
        for event in events:
            if isinstance(event, Asked):
                self._start_trial(event)
        for event in events:
            if isinstance(event, Epoch):
                points.setdefault(self._run_of(event.trial), []).extend(_metrics(event))
        for run_id, metrics in points.items():
            for start in range(0, len(metrics), _METRICS_PER_CALL):
                self._client.log_batch(run_id, metrics=metrics[start : start + _METRICS_PER_CALL])
        for event in events:
            match event:
                case Epoch():
                    self._log_picture(event)
                case Ended():
                    self._end_trial(event)
                case Reopened():
                    self._reopen_trial(event)
                case Opened():
                    self._client.update_run(self.parent_id, status="RUNNING")
                case Closed():
                    self._close(event)

    def _run_of(self, trial: int, start_time: int | None = None, name: str | None = None) -> str:
        if trial not in self._runs:
            tags = {**self._tags(trial), "mlflow.parentRunId": self.parent_id}
            run = self._client.create_run(self.experiment_id, start_time, tags=tags, run_name=name)
            self._runs[trial] = run.info.run_id
        return self._runs[trial]

    def _name_run(self, event: Asked) -> str:
        if self._stage_name == "search":
            return f"trial_{event.trial:04d}"
        fold = f"fold_{event.fold}"
        return fold if event.source is None else f"trial_{event.source:04d}_{fold}"

    def _start_trial(self, event: Asked) -> None:
        values = {**event.values, "fold": event.fold}
        params = [Param(name, str(value)) for name, value in values.items()]
        run_id = self._run_of(event.trial, int(event.time * 1000), self._name_run(event))
        self._client.log_batch(run_id, params=params)
        self._client.update_run(run_id, status="RUNNING")

    def _log_picture(self, event: Epoch) -> None:
        file = self._folder.resolve(event.picture) if event.picture is not None else None
        if file is not None and file.is_file():
            with Image.open(file) as image:
                self._client.log_image(
                    self._run_of(event.trial), image.convert("RGB"), key="validation", step=event.epoch
                )

    def _end_trial(self, event: Ended) -> None:
        run_id, outcome = self._run_of(event.trial), event.outcome
        tags = {"outcome": str(outcome), "message": event.message[:5000]}
        self._client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        self._client.set_terminated(run_id, status=_STATUS[outcome], end_time=int(event.time * 1000))

    def _reopen_trial(self, event: Reopened) -> None:
        run_id = self._run_of(event.trial)
        self._client.log_batch(run_id, tags=[RunTag(name, "") for name in ("outcome", "message")])
        self._client.update_run(run_id, status="RUNNING")

    def _close(self, event: Closed) -> None:
        stamp = int(event.time * 1000)
        metrics = [Metric(_clean(name), value, stamp, 0) for name, value in event.metrics.items()]
        note = RunTag("mlflow.note.content", event.note)
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
            self.experiment_id, tags=self._tags(PARENT), run_name=f"{self._settings.name} ({self._stage_name})"
        ).info.run_id
        values = {**settings_values(self._settings), **place_values(self._place)}
        params = [Param(name, str(value)[:500]) for name, value in values.items() if name != "home"]
        self._client.log_batch(run_id, params=params)
        return run_id


def _ensure_experiment(client: MlflowClient, settings: SearchSettings, place: Place, folder: StageFolder) -> str:
    experiment = client.get_experiment_by_name(settings.name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"MLflow's experiment {settings.name!r} is deleted; restore it by 'mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}', then run '{folder.command('sync')}'."
        )
    if experiment is not None:
        found: str = experiment.experiment_id
        return found
    artifacts = None
    if place.tracking_uri.startswith("sqlite:"):
        artifacts = (place.storage / "mlartifacts" / settings.name).as_uri()
    created: str = client.create_experiment(
        settings.name, artifact_location=artifacts, tags={"mlflow.experimentKind": "custom_model_development"}
    )
    return created


def _metrics(event: Epoch) -> list[Metric]:
    stamp = int(event.time * 1000)
    return [Metric(_clean(name), float(value), stamp, event.epoch) for name, value in event.metrics.items()]


def _clean(name: str) -> str:
    # Class names come from a user's file; MLflow refuses other characters in a metric's name.
    return re.sub(r"[^\w\-. :/]", "_", name)
