"""The runs of a stage: a parent, a child per trial, and what a journal's events write into them.

Runs are found again by their tags, so that a resumed search makes no second one. The parent knows how much of the
journal it has, so that a store which lost it is told everything again. Names and texts are cleaned in `names`; when
something is sent at all, is decided in `follower`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from PIL import Image

from search.folder import StageFolder
from search.memory.events import Asked, Closed, Ended, Epoch, Event, Opened, Reopened, Started
from search.memory.outcome import Outcome
from search.settings import SearchSettings, settings_values
from search.tracking.check import is_away
from search.tracking.moved import bring_home
from search.tracking.names import PARAM_LETTERS, TAG_LETTERS, clean_name, clean_text
from search.tracking.reading import identify
from search.tracking.sent import Sent, stamp_of
from search.tracking.store import PARENT, database_file, open_client, told
from search.tracking_uri import mask_uri
from segcore.errors import TrackingError

INTERRUPTED: Final = "interrupted"
"""The outcome of a trial, or a stage, that no process runs and that can go on."""

_METRICS_PER_CALL: Final = 500
_REFUSED: Final = 400
_SENT: Final = "search.sent"
_JOURNAL: Final = "search.journal"

_STATUS: Final = {
    Outcome.FINISHED: "FINISHED",
    Outcome.STOPPED: "KILLED",
    Outcome.FAILED: "FAILED",
    Outcome.DIVERGED: "FAILED",
    Outcome.OUT_OF_MEMORY: "FAILED",
    Outcome.OVER_LIMIT: "KILLED",
}


@dataclass(slots=True, kw_only=True)
class _KnownRun:
    """What is known of a run, so that only what it lacks is sent."""

    id: str
    status: str = "RUNNING"
    outcome: str = ""
    is_deleted: bool = False
    params: set[str] = field(default_factory=set)
    metric: str | None = None
    picture_epochs: set[int] | None = None


class StageRuns:
    """The MLflow runs of one stage: finds or makes them, and writes events into them.

    Args:
        settings: name, identity and tracking address are used.
        stage_name: `search`, `confirm` or `retrain`.
        folder: the stage's files; a journal that was begun anew has runs of its own.

    Raises:
        TrackingError: when the experiment was deleted.
    """

    def __init__(self, settings: SearchSettings, stage_name: str, folder: StageFolder) -> None:
        self._settings = settings
        self._stage_name = stage_name
        self._folder = folder
        self._client = open_client(settings.tracking_uri)
        self._journal = identify(folder.journal)
        self._told = Sent()
        self.set_aside: dict[str, str] = {}
        self.experiment_id = _ensure_experiment(self._client, settings)
        found = self._find_runs()
        self.sent_position = found[PARENT].data.tags.get(_SENT, "") if PARENT in found else ""
        self._runs = {number: _know(run) for number, run in found.items()}
        self.parent_id = self._prepare_parent()

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
        for trial in sorted(again & self._told.again.keys()):
            self._log(self._run_of(trial), tags={"epochs_trained_again": _listed(self._told.again[trial])})
        for epoch in new:
            if epoch.picture is not None:
                self._log_picture(epoch)
        for event in events:
            self._change_status(event)

    def note_position(self, position: str) -> None:
        """Let the parent run know how much of the journal is written."""
        self._log(self._runs[PARENT], tags={_SENT: position})

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
            for start in range(0, len(metrics), _METRICS_PER_CALL):
                self._log(self._run_of(trial), metrics=metrics[start : start + _METRICS_PER_CALL])

    def _change_status(self, event: Event) -> None:
        match event:
            case Ended():
                self._end_trial(event)
            case Asked() | Reopened() | Started():
                self._go_on(self._run_of(event.trial))
            case Opened():
                self._go_on(self._runs[PARENT])
            case Closed():
                self._close(event)

    def _start_trial(self, event: Asked) -> None:
        values = {**event.values, "fold": event.fold}
        run = self._run_of(event.trial, stamp_of(event), self._name_run(event))
        self._log_params(run, values)

    def _name_run(self, event: Asked) -> str:
        if self._stage_name == "search":
            return f"trial_{event.trial:04d}"
        fold = f"fold_{event.fold}"
        return fold if event.source is None else f"trial_{event.source:04d}_{fold}"

    def _run_of(self, trial: int, start_time: int | None = None, name: str | None = None) -> _KnownRun:
        if trial not in self._runs:
            tags = {**self._tags(trial), "mlflow.parentRunId": self.parent_id}
            made = self._client.create_run(self.experiment_id, start_time, tags=tags, run_name=name)
            self._runs[trial] = _know(made)
        run = self._runs[trial]
        if run.is_deleted:
            self._client.restore_run(run.id)
            run.is_deleted = False
        return run

    def _log_params(self, run: _KnownRun, values: dict[str, Any]) -> None:
        # MLflow refuses another value of a parameter for good; the first is what the run began with.
        params = {clean_name(name): clean_text(str(value), PARAM_LETTERS) for name, value in values.items()}
        self._log(run, params=[Param(name, text) for name, text in params.items() if name not in run.params])
        run.params |= params.keys()

    def _log_picture(self, event: Epoch) -> None:
        run = self._run_of(event.trial)
        try:
            file = self._folder.resolve(str(event.picture))
            if run.picture_epochs is None:
                run.picture_epochs = self._find_pictures(run)
            if file.is_file() and event.epoch not in run.picture_epochs:
                with Image.open(file) as image:
                    self._client.log_image(run.id, image.convert("RGB"), key="validation", step=event.epoch)
                run.picture_epochs.add(event.epoch)
        # Stores of artifacts raise what they like; a search without pictures is still a search.
        except Exception as error:
            if is_away(error, self._settings.tracking_uri):
                raise
            self.set_aside["pictures"] = told(error)

    def _find_pictures(self, run: _KnownRun) -> set[int]:
        names = [file.path.rpartition("/")[2] for file in self._client.list_artifacts(run.id, "images")]
        return {int(name.split("+")[2]) for name in names if name.startswith("validation+step+")}

    def _end_trial(self, event: Ended) -> None:
        self._end(self._run_of(event.trial), _STATUS[event.outcome], str(event.outcome), event.time, event.message)

    def _go_on(self, run: _KnownRun) -> None:
        if run.status != "RUNNING" or run.outcome:
            self._log(run, tags={"outcome": "", "message": ""})
            self._client.update_run(run.id, status="RUNNING")
            run.status, run.outcome = "RUNNING", ""

    def _interrupt(self, run: _KnownRun) -> None:
        if run.status == "RUNNING" and not run.is_deleted:
            message = "no process runs it; it goes on with the search"
            self._end(run, "KILLED", INTERRUPTED, self._told.time, message)

    def _end(self, run: _KnownRun, status: str, outcome: str, time: float, message: str) -> None:
        self._log(run, tags={"outcome": outcome, "message": message})
        self._client.set_terminated(run.id, status=status, end_time=int(time * 1000))
        run.status, run.outcome = status, outcome

    def _close(self, event: Closed) -> None:
        run, stamp = self._runs[PARENT], stamp_of(event)
        metrics = [Metric(clean_name(name), value, stamp, 0) for name, value in event.metrics.items()]
        self._log(run, metrics=metrics)
        self._log(run, tags={"mlflow.note.content": event.note, "outcome": ""})
        self._client.set_terminated(run.id, end_time=stamp)
        run.status, run.outcome = "FINISHED", ""

    def _log(
        self,
        run: _KnownRun,
        *,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: dict[str, str] | None = None,
    ) -> None:
        """Write into a run; what MLflow refuses for good is set aside, and the rest written without it."""
        cleaned = [RunTag(name, clean_text(text, TAG_LETTERS)) for name, text in (tags or {}).items()]
        items = [item for item in (*metrics, *params, *cleaned) if item.key not in self.set_aside]
        try:
            self._send(run, items)
        except MlflowException as error:
            if not self._is_refusal(error, run):
                raise
            for item in items:
                self._send_or_set_aside(run, item)

    def _send_or_set_aside(self, run: _KnownRun, item: Metric | Param | RunTag) -> None:
        try:
            self._send(run, [item])
        except MlflowException as error:
            if not self._is_refusal(error, run):
                raise
            self.set_aside[item.key] = told(error)

    def _send(self, run: _KnownRun, items: Sequence[Metric | Param | RunTag]) -> None:
        kinds = {kind: [item for item in items if isinstance(item, kind)] for kind in (Metric, Param, RunTag)}
        if items:
            self._client.log_batch(run.id, metrics=kinds[Metric], params=kinds[Param], tags=kinds[RunTag])

    def _is_refusal(self, error: MlflowException, run: _KnownRun) -> bool:
        # A run that someone deleted refuses everything, until it is restored when it is found anew.
        if error.get_http_status_code() != _REFUSED:
            return False
        return bool(self._client.get_run(run.id).info.lifecycle_stage == "active")

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
            # One without the tag is of any journal.
            own = [run for run in page if run.data.tags.get(_JOURNAL, self._journal) == self._journal]
            runs = {int(run.data.tags["search.trial"]): run for run in own} | runs
            token = page.token
            if not token:
                return runs

    def _prepare_parent(self) -> str:
        """Find, restore or make the parent run, and give it the settings that it lacks."""
        orphans = [] if PARENT in self._runs else list(self._runs.values())
        if PARENT not in self._runs:
            name = f"{self._settings.name} ({self._stage_name})"
            made = self._client.create_run(self.experiment_id, tags=self._tags(PARENT), run_name=name)
            self._runs[PARENT] = _know(made)
        parent = self._run_of(PARENT)
        for run in orphans:
            if not run.is_deleted:
                self._client.set_tag(run.id, "mlflow.parentRunId", parent.id)
        self._log_params(
            parent, {name: mask_uri(str(value)) for name, value in settings_values(self._settings).items()}
        )
        return parent.id


def _know(run: Run) -> _KnownRun:
    return _KnownRun(
        id=run.info.run_id,
        status=run.info.status,
        outcome=run.data.tags.get("outcome", ""),
        is_deleted=run.info.lifecycle_stage == "deleted",
        params=set(run.data.params),
        # Of every epoch of a training; of others, whichever there is.
        metric="seconds" if "seconds" in run.data.metrics else next(iter(run.data.metrics), None),
    )


def _ensure_experiment(client: Any, settings: SearchSettings) -> str:
    experiment = client.get_experiment_by_name(settings.name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"MLflow's experiment {settings.name!r} is deleted; restore it by 'mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}', then run 'python -m search sync {settings.name}'."
        )
    if experiment is not None:
        found: str = experiment.experiment_id
        bring_home(database_file(settings.tracking_uri), settings.storage, settings.name, experiment.artifact_location)
        return found
    artifacts = None
    if settings.tracking_uri.startswith("sqlite:"):
        artifacts = (settings.storage / "mlartifacts" / settings.name).as_uri()
    created: str = client.create_experiment(
        settings.name, artifact_location=artifacts, tags={"mlflow.experimentKind": "custom_model_development"}
    )
    return created


def _metrics(event: Epoch) -> list[Metric]:
    stamp = stamp_of(event)
    return [Metric(clean_name(name), float(value), stamp, event.epoch) for name, value in event.metrics.items()]


def _listed(epochs: Iterable[int]) -> str:
    return ", ".join(str(epoch) for epoch in sorted(epochs))
