"""MLflow's address: its default, and how it is shown and kept without a password.

Whether it can be used is found out in `tracking.check`.
"""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from segcore.data.caching.disk import resolve_folder
from segcore.errors import TrackingError

VARIABLE: Final = "MLFLOW_TRACKING_URI"
"""MLflow's own variable for its address; a launch without --tracking-uri takes it, and remembers it."""

_WORKSPACE: Final = "MLFLOW_WORKSPACE"

_MASK: Final = "***"
_SHORT_LETTERS: Final = 8

_SECRETS: Final = (
    # user:password@; digits before the next slash are a port, not a password. Of the two slashes one may be forgotten.
    re.compile(r"(:/{1,2})[^\s/@:]*:(?!\d{1,5}(?:[/?#\s]|$))[^\s]*(?=@)"),
    # Without any scheme; a path may have a colon and an @ in the name of a file.
    re.compile(r"()(?<![\w:/@.%+-])[\w.%+-]+:[^\s/@]+(?=@)"),
    # A lone user of a server is a token; one of a database is no secret, and needed beside PGPASSWORD.
    re.compile(r"(https?://)[^\s/@:]+(?=@)"),
    # Also those of a bucket's address; `sslkey` names a file.
    re.compile(
        r"(?i)([?&](?:[a-z_-]*(?:password|passwd|pwd|token|secret|sig|signature|credentials?)"
        r"|(?:[a-z_-]*[_-]|api)?key(?:_id)?)=)[^&\s'\")]+"
    ),
)


_PAGE: Final = re.compile(r"/?#/[^@]*$")
"""Which of a server's pages a browser shows: people take the address from there."""


def own_tracking_uri(storage: Path) -> str:
    """Return MLflow's address for searches that name none: a file in their storage.

    Args:
        storage: folder of all searches, absolute.
    """
    return f"sqlite:///{storage / 'mlflow.db'}"


def fix_uri(uri: str) -> str:
    """Return an address as MLflow reads it: scheme in small letters, no blanks, no page, a database's whole path.

    Args:
        uri: as it was given.

    Raises:
        TrackingError: when it is a server's that names none.
    """
    kind, mark, place = uri.strip().partition("://")
    uri = f"{kind.lower()}{mark}{place}"
    if uri.partition("?")[0].rstrip("/") in ("http:", "https:"):
        raise TrackingError(f"--tracking-uri {uri} names no server; use http://HOST:PORT.")
    return _fix_file(_PAGE.sub("", uri) if uri.startswith("http") else uri)


def _fix_file(uri: str) -> str:
    # A relative file would be another one for a command in another folder.
    scheme, slashes, rest = uri.partition(":///")
    name, mark, query = rest.partition("?")
    is_path = name and name != ":memory:" and not name.startswith("file:")
    if not slashes or scheme.partition("+")[0] != "sqlite" or not is_path:
        return uri
    return f"{scheme}:///{resolve_folder('tracking-uri', Path(name))}{mark}{query}"


def mask_uri(text: str) -> str:
    """Return a text with the user information of each address in it replaced by ***."""
    for secret in _SECRETS:
        text = secret.sub(rf"\1{_MASK}", text)
    return text


def hide_secrets(text: str, uri: str) -> str:
    """Return a text with the secrets of an address replaced by *** wherever they stand, also taken apart.

    Args:
        text: what a library says of the address.
        uri: the address.
    """
    for secret in _SECRETS:
        for found in secret.finditer(uri):
            user, _, password = found[0].removeprefix(found[1]).partition(":")
            # Neither is in an address that a shell wrote of two variables without values, "http://:@host".
            if hidden := re.escape(password or user):
                # A short one is also a part of words, which would tell what it is by what they lack.
                pattern = rf"(?<!\w){hidden}(?!\w)" if len(password or user) < _SHORT_LETTERS else hidden
                text = re.sub(pattern, _MASK, text)
    return mask_uri(text)


def server_page(uri: str, page: str = "") -> str:
    """Return the address of a page of MLflow's server, without user and password.

    Args:
        uri: the server's address.
        page: from its sign # on, with a query; empty: the first.
    """
    server = mask_uri(uri).replace(f"{_MASK}@", "").rstrip("/")
    # Without its name a browser that was not there before is asked for a workspace, and then shown its first page.
    workspace = os.environ.get(_WORKSPACE, "").strip()
    named = f"&workspace={quote(workspace, safe='')}" if page and workspace else ""
    return f"{server}/{page}{named}" if page else server


def unmask_uri(uri: str) -> str:
    """Return an address that can be used for one that was kept without its password.

    Args:
        uri: as given, or as `mask_uri` left it; then the environment is asked for what is missing.

    Raises:
        TrackingError: when a database's password is missing.
    """
    if _MASK not in uri:
        return uri
    given = os.environ.get(VARIABLE, "")
    if given and mask_uri(given) == uri:
        return given
    if uri.startswith(("http://", "https://")):
        # MLflow's client itself reads user, password and token from the environment.
        return uri.replace(f"{_MASK}@", "")
    raise TrackingError(
        f"--tracking-uri {uri}: passwords are not kept; give the whole address again, with --tracking-uri or in "
        f"{VARIABLE}."
    )
