"""Whether MLflow can be used, asked with MLflow's own client at the start.

What can never work is told apart from a server that is only away: a search that goes on does not need that one now.
"""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import requests
import sqlalchemy
from mlflow.exceptions import InvalidUrlException, MlflowException
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

from search.tracking.store import calm_mlflow, database_file, find_status, open_client, told
from search.tracking_uri import VARIABLE, hide_secrets, mask_uri, unmask_uri
from segcore.errors import StreetError, TrackingError

_ADDRESSES: Final = "use http://HOST:PORT, or sqlite:///FILE for a file"

_CHECK_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""While someone waits for the answer whether there is a server."""

_OTHER_TABLES: Final = "out-of-date database schema"
"""MLflow says so of a later one too."""

_NO_BUNDLE: Final = "TLS CA certificate bundle"

_WORKSPACE: Final = re.compile(r"Active workspace '|Workspace '[^']*' not found|Workspace APIs are not available")
"""MLflow says so of an error of its own, too, and where it finds none."""

_AWAY_CODES: Final = (429, 499, 500, 503, 504)


def require_tracking(uri: str) -> None:
    """Raise within seconds when an MLflow store cannot be used now.

    Args:
        uri: MLflow's address.

    Raises:
        TrackingError: when it can never be used as it is given, or does not answer.
        StorageError: when the file of a database cannot be made.
    """
    if problem := check_tracking(uri):
        raise TrackingError(
            f"{problem} Start the server with 'mlflow server', or give --tracking-uri '' to log into a file in the "
            "storage."
        )


def require_writable(uri: str) -> None:
    """Refuse a database that another user made for himself: only after the search would be seen that it took nothing.

    Args:
        uri: MLflow's address, which is there.

    Raises:
        TrackingError: when this user may not write the file, or its folder, where SQLite keeps its journal meanwhile.
    """
    file = database_file(unmask_uri(uri))
    needed = (file, file.resolve().parent) if file is not None else ()
    for each in needed:
        if not os.access(each, os.W_OK):
            raise TrackingError(
                f"{_named(uri)}: {each} belongs to another user, and you may not write it; let its owner permit that, "
                "or name a file of your own, or a server, by --tracking-uri."
            )


def check_tracking(uri: str) -> str | None:
    """Say within seconds why an MLflow store cannot be used now; it may come back.

    Args:
        uri: MLflow's address.

    Returns:
        A sentence; None when the store answers.

    Raises:
        TrackingError: when it can never be used as it is given.
        StorageError: when the file of a database cannot be made.
    """
    calm_mlflow()
    try:
        with _short_patience():
            _connect_database(unmask_uri(uri))
            open_client(uri).search_experiments(max_results=1)
    except StreetError:
        raise
    # Drivers and plugins raise what they like.
    except Exception as error:
        if is_away(error, uri):
            return f"{_named(uri)} does not answer ({_tell(error, uri)}){_tell_proxy(uri)}."
        raise TrackingError(f"{_named(uri)} {_explain(error, uri)}{_tell_proxy(uri)}.") from None
    return None


@contextmanager
def _short_patience() -> Iterator[None]:
    before = {name: os.environ[name] for name in _CHECK_PATIENCE}
    os.environ.update(_CHECK_PATIENCE)
    try:
        yield
    finally:
        os.environ.update(before)


def _connect_database(uri: str) -> None:
    # MLflow's client would try for minutes.
    if uri.startswith(("postgresql", "mysql", "mssql")):
        engine = sqlalchemy.create_engine(uri)
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def is_away(error: Exception, uri: str) -> bool:
    """Say whether a store that raised this may come back: it does not answer now, or is busy."""
    if isinstance(error, sqlalchemy.exc.OperationalError):
        return not uri.startswith("sqlite") or "locked" in str(error)
    if not isinstance(error, MlflowException) or not uri.startswith("http"):
        return False
    if _WORKSPACE.search(str(error)):
        return False
    cause = error.__context__
    if isinstance(cause, requests.RequestException):
        kinds = (requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError)
        return isinstance(cause, kinds) and not isinstance(cause, requests.exceptions.SSLError)
    return find_status(error) in _AWAY_CODES and not _is_foreign(error) and not _lacks_bundle(error)


def _is_foreign(error: MlflowException) -> bool:
    return find_status(error) in (404, 405, 501) or "valid JSON" in str(error)


def _lacks_bundle(error: Exception) -> bool:
    # Of all that requests raises this alone is a plain OSError.
    return _NO_BUNDLE in str(error)


def _explain(error: Exception, uri: str) -> str:
    """Return why a store can never be used as it is given, and what to do."""
    reason = _tell(error, uri)
    if isinstance(error, ImportError):
        return f"needs a driver that is not installed ({reason}); install it with pip on every node that launches"
    if "disk is full" in reason:
        return f"cannot be written ({reason}); make room on its disk, or choose another file"
    if isinstance(error, sqlalchemy.exc.SQLAlchemyError) and uri.startswith("sqlite"):
        return (
            f"is no whole MLflow database ({reason}); move {database_file(uri)} away, and 'python -m search sync NAME' "
            "fills a new one from a search's journal"
        )
    if _OTHER_TABLES in reason:
        found = reason.partition("(")[2].partition(")")[0]
        return (
            f"has the tables of another version of MLflow ({found}); of an earlier one, copy the database, then run "
            f"'python -m mlflow db upgrade {shlex.quote(mask_uri(uri))}'; of a later one, install that version"
        )
    if not uri.startswith("http") or isinstance(error, InvalidUrlException):
        return _explain_address(error, uri)
    if isinstance(error.__context__, requests.exceptions.SSLError):
        return (
            f"has no valid certificate ({reason}); use http:// for a server without one, or name your own in "
            "MLFLOW_TRACKING_SERVER_CERT_PATH"
        )
    if _lacks_bundle(error):
        return f"is not asked ({reason}); name a file that is there in MLFLOW_TRACKING_SERVER_CERT_PATH"
    if isinstance(error, MlflowException):
        return _explain_answer(error, reason)
    return f"is no address ({reason}); {_ADDRESSES}"


def _explain_address(error: Exception, uri: str) -> str:
    if isinstance(error, UnsupportedModelRegistryStoreURIException) or "://" not in uri.replace("databricks", "://"):
        return f"is no address that MLflow knows; {_ADDRESSES}"
    return f"cannot be used ({_tell(error, uri)}); {_ADDRESSES}"


def _explain_answer(error: MlflowException, reason: str) -> str:
    if find_status(error) == 401:
        return (
            f"wants to know who asks ({reason}); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN"
        )
    if find_status(error) == 403:
        return (
            f"refuses this machine or user ({reason}); start the server with --allowed-hosts HOST:PORT for that name, "
            "or let its administrator permit the user"
        )
    if _WORKSPACE.search(str(error)):
        asked = reason.rstrip(".")
        return f"has no workspace of that name ({asked}); set MLFLOW_WORKSPACE to one that it has, or unset it"
    if _is_foreign(error):
        return f"answers, but is no MLflow server ({reason}); check host, port and path"
    return f"cannot be used ({reason})"


def _tell(error: Exception, uri: str) -> str:
    # Some take an address apart before they complain of it.
    return hide_secrets(told(error), unmask_uri(uri))


def _tell_proxy(uri: str) -> str:
    """Say that a proxy of the environment answered in a server's place, or failed to; empty where none was asked."""
    address = unmask_uri(uri)
    # A database is asked through none. Of what is no address there is nothing to tell beside that.
    with suppress(ValueError):
        host = urlsplit(address).hostname
        proxy = requests.utils.select_proxy(address, requests.utils.get_environ_proxies(address))
        if address.startswith("http") and host and proxy:
            return (
                f"; the proxy {mask_uri(proxy)} of the environment was asked for it: where that does not lead there, "
                f"have {host} in NO_PROXY"
            )
    return ""


def _named(uri: str) -> str:
    option = VARIABLE if os.environ.get(VARIABLE) == uri else "--tracking-uri"
    return f"{option} {mask_uri(uri)}"
