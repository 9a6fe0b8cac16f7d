"""`--notify URL`: one JSON POST when a command that trains has ended, however it did.

The address is a secret, as those of chat rooms are: it is shown nowhere, kept in no file, and not followed elsewhere.
"""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from search.commands.console import warn
from search.commands.documents import NotifyDocument, encode_document
from search.commands.filling import fill_line
from search.commands.reading import look_at
from search.finding import find_folder
from search.storage import name_storage
from search.tracking_uri import mask_uri
from segcore.errors import ConfigError, HopelessSearchError, InterruptedSearchError, StreetError

VARIABLE: Final = "STREET_SEARCH_NOTIFY"
_TIMEOUT_SECONDS: Final = 10.0
_MASK: Final = "***"
_TOLD_LETTERS: Final = 1000

Notify = Annotated[
    str,
    typer.Option(
        envvar=VARIABLE,
        show_default=False,
        help="address that gets one JSON POST at the end, or at a failure; a secret",
    ),
]


@contextmanager
def notified(url: str, command: str, name: str, storage: Path) -> Iterator[None]:
    """Tell an address how a command ended; where that fails, warn and change nothing.

    Args:
        url: where to; empty: nobody is told.
        command: launch, resume, confirm or retrain.
        name: of the search.
        storage: folder of all searches.

    Raises:
        ConfigError: when it is no address of a server.
    """
    if not url:
        yield
        return
    _require_address(url)
    try:
        yield
    except KeyboardInterrupt:
        _tell(url, command, name, storage, "interrupted", "interrupted by Ctrl-C")
        raise
    except Exception as error:
        can_go_on = isinstance(error, InterruptedSearchError) and not isinstance(error, HopelessSearchError)
        _tell(url, command, name, storage, "interrupted" if can_go_on else "failed", _describe(error))
        raise
    _tell(url, command, name, storage, "finished", "")


def _require_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or any(letter.isspace() for letter in url):
        # It is not shown: it may be a secret with a slip of the pen.
        raise ConfigError("--notify is no address; give one that begins with https:// or http://.")


def _describe(error: Exception) -> str:
    told = str(error) if isinstance(error, StreetError) else f"a fault of the program ({type(error).__name__}: {error})"
    return told[:_TOLD_LETTERS]


def _tell(url: str, command: str, name: str, storage: Path, event: str, message: str) -> None:
    hidden = mask_uri(message.replace(url, _MASK))
    found = _read_state(name, storage)
    document = NotifyDocument(
        event=event,
        command=command,
        search=name,
        storage=name_storage(storage),
        text=f"Search {name}: {command} {event}. {_describe_scores(found)}{hidden}".strip(),
        message=hidden,
        **found,
    )
    problem = post(url, encode_document(document).encode())
    if problem:
        told = f"--notify {_MASK} was not told ({problem}); the search is as it is."
        warn(told)


def _read_state(name: str, storage: Path) -> dict[str, Any]:
    """Return what the list of searches says of this one; nothing where it never began or cannot be read."""
    try:
        line = fill_line(look_at(find_folder(storage, name)))
    except (StreetError, OSError):
        return {}
    names = ("state", "metric", "trials", "planned_trials", "best", "confirmed", "out_of_fold")
    return {each: getattr(line, each) for each in names}


def _describe_scores(found: dict[str, Any]) -> str:
    scores = [
        f"{told} {found[each]:.4f}"
        for each, told in (("best", "best"), ("confirmed", "confirmed"), ("out_of_fold", "out of fold"))
        if found.get(each) is not None
    ]
    return f"{found['metric']}: {', '.join(scores)}. " if scores else ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the message would reach an address that nobody named."""

    def redirect_request(self, *arguments: Any) -> None:
        """Return no other request."""


def post(url: str, content: bytes) -> str:
    """Send JSON to an address once; return what went wrong, in words that hold nothing of the address, or nothing."""
    headers = {"Content-Type": "application/json", "User-Agent": "street-search"}
    try:
        request = urllib.request.Request(url, data=content, headers=headers, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"it answered with {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None)
        return getattr(reason, "strerror", None) or type(reason or error).__name__
