"""The runs of a stage: a parent, a child per trial, and what a journal's events write into them.

Runs are found again by their tags, so that a resumed search makes no second one. The parent knows how much of the
journal it has, so that a store which lost it is told everything again. How a run is written to, lives in `writer`;
when, in `follower`; what it is told, in `points`, `states` and `configurations`; where runs are, in `experiments`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from mlflow.entities import Metric

from search.folder import SearchFolder, StageFolder
from search.memory.events import Asked, Closed, Epoch, Event, Opened, TrialEvent
from search.memory.history import History, TrialRecord, count_ends
from search.memory.journal import read_events
from search.memory.trials import WHOLE
from search.place import Place, place_values
from search.settings import SearchSettings, settings_values
from search.tracking.configurations import Configurations
from search.tracking.datasets import as_input, describe_dataset
from search.tracking.documents import CONFIGURATION_FILE, SETTINGS_FILE
from search.tracking.experiments import SENT, ensure_experiment, find_runs, stage_tags
from search.tracking.names import key_of, name_own_run
from search.tracking.pictures import LATEST_STEP
from search.tracking.points import SECONDS, Point, Points
from search.tracking.reading import identify
from search.tracking.sent import Sent, stamp_of
from search.tracking.states import (
    CLOSED,
    State,
    States,
    end_stamp,
    ended,
    interrupted,
    rank_stopped,
    running,
    scoreless,
)
from search.tracking.store import PARENT, open_client
from search.tracking.writer import KnownRun, RunWriter, know

_PARENT_PARAMS: Final = ("space", "objective", "epochs", "split", "folds", "fold", "seed")
"""Of the settings, those that tell a search from others and never change; all of them are in a file beside."""


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
        self._told = Sent()
        self._history = History(settings.metric)
        self._points = Points(settings.metric, place)
        self._states = States()
        self._configurations = Configurations(settings, stage_name, folder, self._history)
        self._devices: dict[int, str] = {}
        self._asked: dict[int, Asked] = {}
        self._writer = RunWriter(self._client, place.tracking_uri)
        self._own = stage_tags(settings, stage_name, identify(folder.journal))
        self.experiment_id = ensure_experiment(self._client, settings, place)
        found = find_runs(self._client, self.experiment_id, self._own)
        self.sent_position = found[PARENT].data.tags.get(SENT, "") if PARENT in found else ""
        self._runs = {number: know(run) for number, run in found.items()}
        self.parent_id = self._prepare_parent()

    @property
    def set_aside(self) -> dict[str, str]:
        """What MLflow does not take, and why."""
        return self._writer.set_aside

    def recall(self, events: Iterable[Event]) -> None:
        """Take events into account that were written before."""
        for event in events:
            self._learn(event)
        self._states.pop()

    def recall_points(self) -> None:
        """Ask MLflow which epochs it has: of a journal that was changed since, they are not to be doubled."""
        for number, run in self._runs.items():
            if number != PARENT and run.metric is not None:
                for point in self._client.get_metric_history(run.id, run.metric):
                    self._told.know(number, point.step, point.timestamp)

    def write(self, events: Sequence[Event]) -> None:
        """Write the next events of the journal; writing one twice changes nothing."""
        new: list[Epoch] = []
        points: list[Point] = []
        for event in events:
            if isinstance(event, Asked):
                self._start_trial(event)
            elif isinstance(event, Epoch) and self._told.is_new(event):
                new.append(event)
            points += self._learn(event)
        self._log_points(points)
        self._log_devices(new)
        self._log_notes(new)
        self._log_pictures(new)
        self._log_repeated({event.trial for event in events if isinstance(event, Epoch)})
        for number, (state, stamp) in self._states.pop().items():
            self._writer.change(self._run_of(number), state, stamp)
        for event in events:
            self._change_stage(event)

    def note_position(self, position: str) -> None:
        """Let the parent run know how much of the journal is written, but for what has to be tried again."""
        if not self._writer.lacks_files:
            self._writer.log_tags(self._runs[PARENT], {SENT: position})

    def settle(self) -> None:
        """Mark what no process runs any more as interrupted, and a search in vain as failed."""
        for number in sorted(self._told.open_trials & self._runs.keys()):
            self._leave(self._runs[number], interrupted())
        if not self._told.is_closed:
            is_vain = self._stage_name == "search" and self._history.is_vain(self._settings.trials)
            state = scoreless(count_ends(self._history.in_order)) if is_vain else interrupted()
            self._leave(self._runs[PARENT], state)

    def _learn(self, event: Event) -> list[Point]:
        """Take an event into account; return the points that MLflow is to have now."""
        is_new = isinstance(event, Epoch) and self._told.is_new(event)
        before = self._trial_of(event)
        if isinstance(event, Asked):
            self._asked[event.trial] = event
        self._told.apply(event)
        self._history.apply(self._thin(event))
        after = self._trial_of(event)
        if isinstance(event, TrialEvent) and after is not None:
            self._states.take(event, before, after)
        return self._points.take(event, after) if isinstance(event, Epoch) and is_new and after is not None else []

    def _thin(self, event: Event) -> Event:
        """Return an event without the numbers that nothing here asks for again: a search has them in memory already."""
        if not isinstance(event, Epoch):
            return event
        asked = {name: event.metrics[name] for name in (self._settings.metric, SECONDS) if name in event.metrics}
        return replace(event, metrics=asked, image_scores=None)

    def _trial_of(self, event: Event) -> TrialRecord | None:
        return self._history.trials.get(event.trial) if isinstance(event, TrialEvent) else None

    def _log_points(self, points: Iterable[Point]) -> None:
        of_trial: dict[int, list[Metric]] = {}
        for point in points:
            of_trial.setdefault(point.trial, []).append(point.metric)
        for trial, metrics in of_trial.items():
            self._writer.log_metrics(self._run_of(trial), metrics)

    def _log_notes(self, epochs: Iterable[Epoch]) -> None:
        for trial, note in {event.trial: event.note for event in epochs if event.note}.items():
            self._writer.log_tags(self._run_of(trial), {"note": note})

    def _log_devices(self, epochs: Iterable[Epoch]) -> None:
        devices = {event.trial: event.device for event in epochs if event.device}
        for trial, device in devices.items() - self._devices.items():
            self._writer.log_tags(self._run_of(trial), {"device": device})
        self._devices |= devices

    def _log_pictures(self, epochs: Iterable[Epoch]) -> None:
        """Write pictures at their epochs, and the latest of each trial where every trial has one."""
        drawn = [event for event in epochs if event.picture is not None]
        latest = {event.trial: event.epoch for event in drawn}
        for event in drawn:
            run, pictures = self._run_of(event.trial), event.pictures or {WHOLE: str(event.picture)}
            steps = [event.epoch, *([LATEST_STEP] if latest[event.trial] == event.epoch else [])]
            self._writer.log_pictures(run, self._folder, pictures, steps, stamp_of(event))

    def _log_repeated(self, trials: Iterable[int]) -> None:
        for trial in sorted(set(trials) & self._told.again.keys()):
            epochs = ", ".join(str(epoch) for epoch in sorted(self._told.again[trial]))
            self._writer.log_tags(self._run_of(trial), {"epochs_trained_again": epochs})

    def _change_stage(self, event: Event) -> None:
        match event:
            case Opened():
                self._writer.change(self._runs[PARENT], running(), stamp_of(event))
                self._log_data(self._runs[PARENT], event.cache_key, self._settings.fold)
            case Closed():
                self._close(event)

    def _start_trial(self, event: Asked) -> None:
        run = self._find_or_make(event.trial, stamp_of(event), self._configurations.name(event))
        self._writer.log_params(run, self._configurations.params(event))
        self._writer.log_document(run, CONFIGURATION_FILE, self._configurations.document(event))
        if self._history.cache_key is not None:
            self._log_data(run, self._history.cache_key, event.fold)

    def _log_data(self, run: KnownRun, cache_key: str, fold: int) -> None:
        search = SearchFolder(root=self._folder.search or self._folder.root)
        self._writer.log_input(run, as_input(describe_dataset(self._settings, self._place, cache_key, search), fold))

    def _run_of(self, trial: int) -> KnownRun:
        if trial not in self._runs and trial in self._asked:
            # Whoever deleted its run did so for good, and it goes on.
            self._start_trial(self._asked[trial])
            self._devices.pop(trial, None)
        return self._find_or_make(trial)

    def _find_or_make(self, trial: int, start_time: int | None = None, name: str | None = None) -> KnownRun:
        if trial not in self._runs:
            tags = {**self._own, "search.trial": str(trial), "mlflow.parentRunId": self.parent_id}
            made = self._client.create_run(
                self.experiment_id, start_time, tags={**tags, **running().tags}, run_name=name
            )
            self._runs[trial] = know(made)
            # So that MLflow is not asked which it has.
            self._runs[trial].pictures = set()
        run = self._runs[trial]
        if run.is_deleted:
            self._client.restore_run(run.id)
            run.is_deleted = False
        return run

    def _leave(self, run: KnownRun, state: State) -> None:
        if run.status == "RUNNING" and not run.is_deleted:
            self._writer.change(run, state, int(self._told.time * 1000))

    def _close(self, event: Closed) -> None:
        parent, stamp = self._runs[PARENT], stamp_of(event)
        for number, run in self._runs.items():
            trial = self._history.trials.get(number)
            if run.status == "SCHEDULED" and not run.is_deleted and trial is not None:
                self._writer.change(run, ended(trial, closed=True), end_stamp(trial))
        if self._stage_name == "search":
            self._log_ranks(stamp)
        known = {key_of(name): value for name, value in event.metrics.items()}
        metrics = [Metric(name, value, stamp, 0) for name, value in known.items() if self._points.tells(name, value)]
        self._writer.log_metrics(parent, metrics)
        self._writer.log_tags(parent, {"mlflow.note.content": event.note})
        self._writer.change(parent, CLOSED, stamp)

    def _log_ranks(self, stamp: int) -> None:
        """Say where each trial stands in the end, and of one that was stopped, where it stands there by now."""
        places = rank_stopped(self._history)
        for rank, trial in enumerate(self._history.eligible, start=1):
            run = self._runs.get(trial.number)
            if run is not None and not run.is_deleted:
                self._writer.log_metrics(run, [Metric("rank", rank, stamp, 0)])
                if trial.number in places:
                    reason = f"{ended(trial, closed=True).reason}; in the end {places[trial.number]} there"
                    self._writer.log_tags(run, {"reason": reason})

    def _prepare_parent(self) -> str:
        """Find, restore or make the parent run, and give it the settings that it lacks."""
        orphans = [] if PARENT in self._runs else list(self._runs.values())
        if PARENT not in self._runs:
            tags = {**self._own, "search.trial": str(PARENT), **running().tags}
            name = name_own_run(self._settings.name, self._stage_name)
            begun = next((stamp_of(event) for event in read_events(self._folder.journal)), None)
            self._runs[PARENT] = know(self._client.create_run(self.experiment_id, begun, tags=tags, run_name=name))
        parent = self._run_of(PARENT)
        for run in orphans:
            if not run.is_deleted:
                self._client.set_tag(run.id, "mlflow.parentRunId", parent.id)
        values, where = settings_values(self._settings), place_values(self._place)
        self._writer.log_params(parent, {name: values[name] for name in _PARENT_PARAMS})
        self._writer.log_document(parent, SETTINGS_FILE, {"settings": values, "place": {**where, "home": None}})
        return parent.id
