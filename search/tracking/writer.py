"""Writes into MLflow's runs only what they lack, and leaves out what MLflow refuses for good.

Which run, and what of a journal, is decided in `runs`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from search.folder import StageFolder
from search.tracking.check import is_away
from search.tracking.documents import write_document
from search.tracking.names import PARAM_LETTERS, TAG_LETTERS, clean_name, clean_text
from search.tracking.pictures import find_pictures, send_pictures
from search.tracking.states import State
from search.tracking.store import told
from search.tracking_uri import mask_uri
from segcore.errors import StreetError

_REFUSED: Final = 400
_METRICS_PER_CALL: Final = 500
_INPUTS: Final = "inputs"


@dataclass(slots=True, kw_only=True)
class KnownRun:
    """What is known of a run, so that only what it lacks is sent."""

    id: str
    status: str = "RUNNING"
    outcome: str = ""
    is_deleted: bool = False
    params: set[str] = field(default_factory=set)
    metric: str | None = None
    pictures: set[tuple[str, int, int]] | None = None


class RunWriter:
    """Writes into runs; what MLflow refuses is set aside, and the rest written without it.

    It knows whether it is the store of files that took none, as one without keys: what it lacks it may take later.

    Args:
        client: of the store.
        uri: the store's address.
    """

    def __init__(self, client: MlflowClient, uri: str) -> None:
        self._client = client
        self._uri = uri
        self.set_aside: dict[str, str] = {}
        self.lacks_files = False

    def log_metrics(self, run: KnownRun, metrics: Sequence[Metric]) -> None:
        """Write points, in as many calls as MLflow needs."""
        for start in range(0, len(metrics), _METRICS_PER_CALL):
            self._log(run, metrics[start : start + _METRICS_PER_CALL])

    def log_params(self, run: KnownRun, values: dict[str, Any]) -> None:
        """Write the parameters that a run lacks; the value that it began with stays, as MLflow changes none."""
        params = {clean_name(name): clean_text(mask_uri(str(value)), PARAM_LETTERS) for name, value in values.items()}
        self._log(run, [Param(name, text) for name, text in params.items() if name not in run.params])
        run.params |= params.keys()

    def log_tags(self, run: KnownRun, tags: dict[str, str]) -> None:
        """Write tags."""
        self._log(run, [RunTag(name, clean_text(text, TAG_LETTERS)) for name, text in tags.items()])

    def log_pictures(
        self, run: KnownRun, folder: StageFolder, pictures: Mapping[str, str], steps: Sequence[int], stamp: int
    ) -> None:
        """Write the pictures of an epoch at steps, unless the run has them or a file is gone.

        Args:
            run: the run.
            folder: the stage's files.
            pictures: their files, as the journal has them, by what they show.
            steps: where they stand.
            stamp: when they were drawn, milliseconds since the Unix epoch.
        """

        def send() -> None:
            files = {shown: folder.resolve(file) for shown, file in pictures.items()}
            if run.pictures is None:
                run.pictures = find_pictures(self._client, run.id)
            send_pictures(self._client, run.id, files, steps, stamp, run.pictures)

        self._try("pictures", send)

    def log_document(self, run: KnownRun, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file; one of its name is replaced."""
        self._try("files", lambda: write_document(self._client, run.id, name, content))

    def log_input(self, run: KnownRun, dataset: DatasetInput) -> None:
        """Write what data a run has."""
        self._try(_INPUTS, lambda: self._client.log_inputs(run.id, datasets=[dataset]))

    def change(self, run: KnownRun, state: State, stamp: int) -> None:
        """Let a run stand as its trial does.

        Args:
            run: the run.
            state: how it stands.
            stamp: since when, in milliseconds since the Unix epoch.
        """
        is_running = state.status == "RUNNING"
        if is_running and run.status == "RUNNING" and not run.outcome and not state.reason:
            return
        self.log_tags(run, state.tags)
        if is_running:
            self._client.update_run(run.id, status=state.status)
        else:
            self._client.set_terminated(run.id, status=state.status, end_time=stamp)
        run.status, run.outcome = state.status, state.outcome

    def _try(self, what: str, write: Callable[[], None]) -> None:
        """Write what a search can do without."""
        try:
            write()
        # Stores of artifacts raise what they like.
        except Exception as error:
            if is_away(error, self._uri):
                raise
            # An MLflow that knows no inputs never will; what is wrong with a file here is this project's own error.
            self.lacks_files |= what != _INPUTS and not isinstance(error, StreetError)
            self.set_aside[what] = told(error)

    def _log(self, run: KnownRun, items: Sequence[Metric | Param | RunTag]) -> None:
        items = [item for item in items if item.key not in self.set_aside]
        try:
            self._send(run, items)
        except MlflowException as error:
            if not self._is_refusal(error, run):
                raise
            for item in items:
                self._send_or_set_aside(run, item)

    def _send_or_set_aside(self, run: KnownRun, item: Metric | Param | RunTag) -> None:
        try:
            self._send(run, [item])
        except MlflowException as error:
            if not self._is_refusal(error, run):
                raise
            self.set_aside[item.key] = told(error)

    def _send(self, run: KnownRun, items: Sequence[Metric | Param | RunTag]) -> None:
        kinds = {kind: [item for item in items if isinstance(item, kind)] for kind in (Metric, Param, RunTag)}
        if items:
            self._client.log_batch(run.id, metrics=kinds[Metric], params=kinds[Param], tags=kinds[RunTag])

    def _is_refusal(self, error: MlflowException, run: KnownRun) -> bool:
        # A run that someone deleted refuses everything, until it is restored when it is found anew.
        if error.get_http_status_code() != _REFUSED:
            return False
        return bool(self._client.get_run(run.id).info.lifecycle_stage == "active")


def know(run: Run) -> KnownRun:
    """Return what is known of a run that was found or made."""
    return KnownRun(
        id=run.info.run_id,
        status=run.info.status,
        outcome=run.data.tags.get("outcome", ""),
        is_deleted=run.info.lifecycle_stage == "deleted",
        params=set(run.data.params),
        # Of every epoch of a training; of others, whichever there is.
        metric="seconds" if "seconds" in run.data.metrics else next(iter(run.data.metrics), None),
    )
