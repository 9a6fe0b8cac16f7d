"""MLflow's store: opened with short patience and a database that is whole, asked for runs, linked to.

Whether a store can be used at all is found out in `check`.
"""

import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import requests
import sqlalchemy
import urllib3
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from search.folder import command_line
from search.place import Place
from search.settings import SearchSettings
from search.tracking.finding import find_experiment, require_present
from search.tracking.moved import bring_home
from search.tracking.names import key_of
from search.tracking.views import FIRST_VIEW, TAG_PREFIX, view_id, view_link
from search.tracking_uri import mask_uri, server_page, unmask_uri
from segcore.errors import StorageError, StreetError, TrackingError

PARENT: Final = -1
"""What the parent run has for a trial's number."""

# Without these one call to a server that is gone blocks for four minutes.
_PATIENCE: Final = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "PGCONNECT_TIMEOUT": "5",
}

_MESSAGE_LETTERS: Final = 300
_TOO_LARGE: Final = 413
_STATUS_SAID: Final = re.compile(r"failed with error code (\d{3}) != 200")
_PAGE_BEGUN: Final = re.compile(r"\.? Response (?:body|text): '?<.*")


def open_client(uri: str) -> MlflowClient:
    """Return MLflow's client of a store; the file of a new database is made first.

    Args:
        uri: MLflow's address, with its password or as it was kept without.

    Raises:
        TrackingError: when a password is missing.
        StorageError: when the database's file cannot be made.
    """
    calm_mlflow()
    uri = unmask_uri(uri)
    file = database_file(uri)
    if file is not None:
        try:
            _make_database(file)
        except OSError as error:
            raise StorageError(
                f"--tracking-uri {uri}: {file} cannot be made ({error}); choose another file."
            ) from error
    return MlflowClient(uri)


def calm_mlflow() -> None:
    """Have MLflow give up within seconds on a server that is gone, and log as little as possible."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    # Whoever wants it elsewhere: it forgets what a server that is away did not take, and says that it did.
    os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"
    # urllib3 tells of every retry while the server is away.
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Whoever set MLFLOW_TRACKING_INSECURE_TLS would be told at each request.
    warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)


def database_file(uri: str) -> Path | None:
    """Return the file of a sqlite address, None for any other.

    Raises:
        TrackingError: when it is none, or the database would live in memory alone.
    """
    if not uri.startswith(("sqlite:", "sqlite+")):
        return None
    try:
        name = sqlalchemy.make_url(uri).database
    except sqlalchemy.exc.ArgumentError:
        raise TrackingError(f"--tracking-uri {uri} is no address; use sqlite:///FILE with the file's path.") from None
    # SQLite's own addresses begin with "file:"; they are read by it alone, and may mean memory.
    if name in (None, "", ":memory:") or str(name).startswith("file:"):
        raise TrackingError(f"--tracking-uri {uri} would keep nothing; use sqlite:///FILE with the file's path.")
    return Path(str(name)).absolute()


def told(error: Exception) -> str:
    """Return an exception's message in one line, without passwords."""
    if isinstance(error, StreetError):
        return mask_uri(str(error)).rstrip(".")
    if find_status(error) == _TOO_LARGE:
        return "a proxy before it takes no request so large (413); let it do so, nginx by 'client_max_body_size 0;'"
    # MLflow wraps what requests wraps around the one line that says why a server is not reached.
    wrapped = error.__context__.args if isinstance(error, MlflowException) and error.__context__ else ()
    reason = str(getattr(wrapped[0], "reason", "")).rpartition("): ")[2] if wrapped else ""
    lines = (reason or str(error)).strip().splitlines() or [type(error).__name__]
    # Where SQLAlchemy was in its own work comes before what the database said.
    lines = [line for line in lines if not line.startswith("(raised as a result of ")] or lines
    # Of a page that a proxy answers with, the first line says nothing.
    return mask_uri(_PAGE_BEGUN.sub("", lines[0]))[:_MESSAGE_LETTERS]


def find_status(error: Exception) -> int | None:
    """Return the HTTP status of a server's answer that was raised; None where that was something else."""
    if isinstance(error, MlflowException):
        # Statuses that it has no code of its own for become its 500.
        said = _STATUS_SAID.search(str(error))
        return int(said[1]) if said is not None else int(error.get_http_status_code())
    response = error.response if isinstance(error, requests.RequestException) else None
    return response.status_code if response is not None else None


def trials_link(settings: SearchSettings, place: Place, server: str) -> str:
    """Return the address of the MLflow page that shows a search at a glance.

    Args:
        settings: the search.
        place: where MLflow is.
        server: http address of the MLflow server.

    Raises:
        TrackingError: when the store of the search cannot be read, or its experiment was deleted.
    """
    with readable(place.tracking_uri):
        return _find_link(settings, place, server)


@contextmanager
def readable(uri: str) -> Iterator[None]:
    """Raise `TrackingError` for whatever MLflow raises when a store cannot be read.

    Args:
        uri: MLflow's address.
    """
    try:
        yield
    # A file that is no database, a database whose driver is not installed.
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError) as error:
        raise TrackingError(f"{mask_uri(uri)} cannot be read ({told(error)}).") from error


def _find_link(settings: SearchSettings, place: Place, server: str) -> str:
    file = database_file(place.tracking_uri)
    if file is not None and not file.exists():
        raise TrackingError(
            f"{file} is missing; '{command_line('sync', settings.name, storage=place.storage)}' fills a new one."
        )
    client = open_client(place.tracking_uri)
    experiment = find_experiment(client, settings)
    if experiment is None:
        return server
    require_present(experiment, place.tracking_uri)
    bring_home(file, place.storage, experiment.artifact_location)
    query = f"tags.`search.id` = '{settings.search_id}' and tags.`search.trial` = '{PARENT}'"
    parents = client.search_runs([experiment.experiment_id], f"{query} and tags.`search.stage` = 'search'")
    only_trials = f"tags.`mlflow.parentRunId`='{parents[0].info.run_id}'" if parents else ""
    order = quote(f"metrics.`{key_of(settings.metric)}`", safe="")
    if f"{TAG_PREFIX}{view_id(settings.search_id, FIRST_VIEW)}" in experiment.tags:
        return server_page(server, view_link(experiment.experiment_id, settings.search_id))
    return server_page(
        server,
        f"#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
        f"&searchFilter={quote(only_trials)}&orderByKey={order}&orderByAsc=false&compareRunsMode=CHART",
    )


def _make_database(file: Path) -> None:
    if _is_filled(file):
        return
    # Whoever may write into its folder could replace a device by a database, even /dev/null.
    if file.exists() and not file.is_file():
        raise OSError("it is there and is no file")
    file.parent.mkdir(parents=True, exist_ok=True)
    # Where no file can be made, as in /proc, a lock is waited for without end.
    with tempfile.TemporaryFile(dir=file.parent):
        pass
    # Two clients that make the tables at once ruin the database, and so does one that is killed meanwhile: they are
    # made by one, beside the file, which then is there with all of them.
    with FileLock(file.with_name(f".{file.name}.lock")):
        if not _is_filled(file):
            temporary = file.with_name(f".{file.name}.new")
            temporary.unlink(missing_ok=True)
            MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
            temporary.replace(file)


def _is_filled(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0
