"""The runs of a stage: a parent, a child per trial, and what a journal's events write into them.

Runs are found again by their tags, so that a resumed search makes no second one. The parent knows how much of the
journal it has, so that a store which lost it is told everything again. How a run is written to, lives in `writer`;
when, in `follower`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, ViewType

from search.folder import StageFolder
from search.memory.events import Asked, Closed, Ended, Epoch, Event, Opened, Reopened, Started
from search.memory.outcome import Outcome
from search.place import Place, place_values
from search.settings import SearchSettings, settings_values
from search.tracking.moved import bring_home
from search.tracking.names import clean_name
from search.tracking.reading import identify
from search.tracking.sent import Sent, stamp_of
from search.tracking.store import PARENT, database_file, open_client
from search.tracking.writer import KnownRun, RunWriter, know
from search.tracking_uri import mask_uri
from segcore.errors import TrackingError

INTERRUPTED: Final = "interrupted"
"""The outcome of a trial, or a stage, that no process runs and that can go on."""

_SENT: Final = "search.sent"
_JOURNAL: Final = "search.journal"

_STATUS: Final = {
    Outcome.FINISHED: "FINISHED",
    Outcome.STOPPED: "KILLED",
    Outcome.FAILED: "FAILED",
    Outcome.DIVERGED: "FAILED",
    Outcome.OUT_OF_MEMORY: "FAILED",
    Outcome.OVER_LIMIT: "KILLED",
    Outcome.PRUNED: "KILLED",
}


class StageRuns:
    """The MLflow runs of one stage: finds or makes them, and writes events into them.

    Args:
        settings: name and identity are used.
        place: where MLflow is.
        stage_name: `search`, `confirm` or `retrain`.
        folder: the stage's files; a journal that was begun anew has runs of its own.

    Raises:
        TrackingError: when the experiment was deleted.
    """

    def __init__(self, settings: SearchSettings, place: Place, stage_name: str, folder: StageFolder) -> None:
        self._settings = settings
        self._place = place
        self._stage_name = stage_name
        self._folder = folder
        self._client = open_client(place.tracking_uri)
        self._journal = identify(folder.journal)
        self._told = Sent()
        self._devices: dict[int, str] = {}
        self._writer = RunWriter(self._client, place.tracking_uri)
        self.experiment_id = _ensure_experiment(self._client, settings, place, folder)
        found = self._find_runs()
        self.sent_position = found[PARENT].data.tags.get(_SENT, "") if PARENT in found else ""
        self._runs = {number: know(run) for number, run in found.items()}
        self.parent_id = self._prepare_parent()

    @property
    def set_aside(self) -> dict[str, str]:
        """What MLflow does not take, and why."""
        return self._writer.set_aside

    def recall(self, events: Iterable[Event]) -> None:
        """Take events into account that were written before."""
        for event in events:
            self._told.apply(event)

    def recall_points(self) -> None:
        """Ask MLflow which epochs it has: of a journal that was changed since, they are not to be doubled."""
        for number, run in self._runs.items():
            if number != PARENT and run.metric is not None:
                for point in self._client.get_metric_history(run.id, run.metric):
                    self._told.know(number, point.step, point.timestamp)

    def write(self, events: Sequence[Event]) -> None:
        """Write the next events of the journal; writing one twice changes nothing."""
        new: list[Epoch] = []
        again = set()
        for event in events:
            if isinstance(event, Asked):
                self._start_trial(event)
            elif isinstance(event, Epoch) and self._told.is_new(event):
                new.append(event)
            elif isinstance(event, Epoch):
                again.add(event.trial)
            self._told.apply(event)
        self._log_points(new)
        self._log_devices(new)
        for trial in sorted(again & self._told.again.keys()):
            epochs = ", ".join(str(epoch) for epoch in sorted(self._told.again[trial]))
            self._writer.log_tags(self._run_of(trial), {"epochs_trained_again": epochs})
        for epoch in new:
            if epoch.picture is not None:
                self._writer.log_picture(self._run_of(epoch.trial), self._folder, epoch.picture, epoch.epoch)
        for event in events:
            self._change_status(event)

    def note_position(self, position: str) -> None:
        """Let the parent run know how much of the journal is written."""
        self._writer.log_tags(self._runs[PARENT], {_SENT: position})

    def settle(self) -> None:
        """Mark what no process runs any more as interrupted."""
        for number in sorted(self._told.open_trials & self._runs.keys()):
            self._interrupt(self._runs[number])
        if not self._told.is_closed:
            self._interrupt(self._runs[PARENT])

    def _log_points(self, epochs: Iterable[Epoch]) -> None:
        points: dict[int, list[Metric]] = {}
        for event in epochs:
            points.setdefault(event.trial, []).extend(_metrics(event))
        for trial, metrics in points.items():
            self._writer.log_metrics(self._run_of(trial), metrics)

    def _log_devices(self, epochs: Iterable[Epoch]) -> None:
        devices = {event.trial: event.device for event in epochs if event.device}
        for trial, device in devices.items() - self._devices.items():
            self._writer.log_tags(self._run_of(trial), {"device": device})
        self._devices |= devices

    def _change_status(self, event: Event) -> None:
        match event:
            case Ended():
                self._end_trial(event)
            case Asked() | Reopened() | Started():
                self._writer.go_on(self._run_of(event.trial))
            case Opened():
                self._writer.go_on(self._runs[PARENT])
            case Closed():
                self._close(event)

    def _start_trial(self, event: Asked) -> None:
        values = {**event.values, "fold": event.fold}
        run = self._run_of(event.trial, stamp_of(event), self._name_run(event))
        self._writer.log_params(run, values)

    def _name_run(self, event: Asked) -> str:
        if self._stage_name == "search":
            return f"trial_{event.trial:04d}"
        # Trainings on the only fold differ in their seed.
        fold = f"fold_{event.fold}" if self._settings.folds > 1 else f"seed_{event.values['seed']}"
        return fold if event.source is None else f"trial_{event.source:04d}_{fold}"

    def _run_of(self, trial: int, start_time: int | None = None, name: str | None = None) -> KnownRun:
        if trial not in self._runs:
            tags = {**self._tags(trial), "mlflow.parentRunId": self.parent_id}
            made = self._client.create_run(self.experiment_id, start_time, tags=tags, run_name=name)
            self._runs[trial] = know(made)
        run = self._runs[trial]
        if run.is_deleted:
            self._client.restore_run(run.id)
            run.is_deleted = False
        return run

    def _end_trial(self, event: Ended) -> None:
        run, status = self._run_of(event.trial), _STATUS[event.outcome]
        self._writer.end(run, status, stamp_of(event), str(event.outcome), event.message)

    def _interrupt(self, run: KnownRun) -> None:
        if run.status == "RUNNING" and not run.is_deleted:
            message = "no process runs it; it goes on with the search"
            self._writer.end(run, "KILLED", int(self._told.time * 1000), INTERRUPTED, message)

    def _close(self, event: Closed) -> None:
        run, stamp = self._runs[PARENT], stamp_of(event)
        metrics = [Metric(clean_name(name), value, stamp, 0) for name, value in event.metrics.items()]
        self._writer.log_metrics(run, metrics)
        self._writer.log_tags(run, {"mlflow.note.content": event.note})
        self._writer.end(run, "FINISHED", stamp, "", "")

    def _tags(self, trial: int) -> dict[str, str]:
        return {
            "search.id": self._settings.search_id,
            "search.stage": self._stage_name,
            "search.trial": str(trial),
            _JOURNAL: self._journal,
        }

    def _find_runs(self) -> dict[int, Run]:
        query = f"tags.`search.id` = '{self._settings.search_id}' and tags.`search.stage` = '{self._stage_name}'"
        runs: dict[int, Run] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self.experiment_id], query, run_view_type=ViewType.ALL, page_token=token, max_results=1000
            )
            for run in page:
                number = int(run.data.tags["search.trial"])
                is_own = run.data.tags.get(_JOURNAL, self._journal) == self._journal
                # Of two for one trial, of which one was deleted, the other is meant.
                if is_own and (number not in runs or run.info.lifecycle_stage == "active"):
                    runs[number] = run
            token = page.token
            if not token:
                return runs

    def _prepare_parent(self) -> str:
        """Find, restore or make the parent run, and give it the settings that it lacks."""
        orphans = [] if PARENT in self._runs else list(self._runs.values())
        if PARENT not in self._runs:
            name = f"{self._settings.name} ({self._stage_name})"
            made = self._client.create_run(self.experiment_id, tags=self._tags(PARENT), run_name=name)
            self._runs[PARENT] = know(made)
        parent = self._run_of(PARENT)
        for run in orphans:
            if not run.is_deleted:
                self._client.set_tag(run.id, "mlflow.parentRunId", parent.id)
        values = {**settings_values(self._settings), **place_values(self._place)}
        shown = {name: mask_uri(str(value)) for name, value in values.items() if name != "home"}
        self._writer.log_params(parent, shown)
        return parent.id


def _ensure_experiment(client: MlflowClient, settings: SearchSettings, place: Place, folder: StageFolder) -> str:
    experiment = client.get_experiment_by_name(settings.name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"MLflow's experiment {settings.name!r} is deleted; restore it by 'mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}', then run '{folder.command('sync')}'."
        )
    if experiment is not None:
        found: str = experiment.experiment_id
        bring_home(database_file(place.tracking_uri), place.storage, settings.name, experiment.artifact_location)
        return found
    artifacts = None
    if place.tracking_uri.startswith("sqlite:"):
        artifacts = (place.storage / "mlartifacts" / settings.name).as_uri()
    created: str = client.create_experiment(
        settings.name, artifact_location=artifacts, tags={"mlflow.experimentKind": "custom_model_development"}
    )
    return created


def _metrics(event: Epoch) -> list[Metric]:
    stamp = stamp_of(event)
    return [Metric(clean_name(name), float(value), stamp, event.epoch) for name, value in event.metrics.items()]
