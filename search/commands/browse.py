"""`ui`: MLflow's pages on all searches of a storage folder, and a link to each; the server itself is in `server`."""

import os
import socket
from pathlib import Path
from typing import Annotated, Final

import typer

from search.commands.console import console, warn
from search.commands.options import Storage
from search.commands.server import choose_login, in_address, require_free, require_safe, serve
from search.folder import SearchFolder, command_line
from search.opening import read_search
from search.place import DEFAULT_STORAGE
from search.storage import find_bucket
from search.tracking_uri import mask_uri, own_tracking_uri
from segcore.data.caching.disk import resolve_folder
from segcore.errors import ConfigError, StorageError, StreetError, TrackingError

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}
"""What stands for every address, and what reaches this machine from itself."""


def ui(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0: all of this machine's")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on", min=1, max=65535)] = 5000,
    allowed_hosts: Annotated[
        list[str] | None, typer.Option(help="name or address of this machine that browsers elsewhere may use")
    ] = None,
    auth: Annotated[
        bool,
        typer.Option("--auth", help="ask for a user and a password, which MLFLOW_TRACKING_USERNAME and _PASSWORD name"),
    ] = False,
) -> None:
    """Open the MLflow UI on all searches of a storage folder; Ctrl-C ends it."""
    folder = resolve_folder("storage", storage)
    names = [*(allowed_hosts or []), *([] if host in _EVERY_ADDRESS else [host])]
    if with_port := [name for name in allowed_hosts or [] if name.count(":") == 1]:
        raise ConfigError(f"--allowed-hosts {with_port[0]}: give the name alone; the port is that of --port.")
    require_safe(host, port, asks_password=auth)
    login = choose_login(os.environ) if auth else None
    named = names[0] if names else host
    server = f"http://{in_address(_EVERY_ADDRESS.get(named, named))}:{port}"
    database = folder / "mlflow.db"
    if database.exists():
        require_free(host, port)
        _require_usable(folder)
    away = _show_links(folder, server)
    if not database.exists():
        if away:
            console.print(
                f"Open the links: their servers run already; {folder} has no mlflow.db to serve.", soft_wrap=True
            )
            return
        raise StorageError(
            f"{folder} has no mlflow.db to serve: its searches, if any, are on the servers named above; "
            f"launch a search first, or give another folder with --storage.{_name_filling(folder)}"
        )
    if host in _EVERY_ADDRESS and not names:
        warn(
            f"These links open on this machine. For browsers elsewhere name it as they do: --allowed-hosts "
            f"{socket.gethostname()}"
        )
    console.print("MLflow starts, which takes some seconds; Ctrl-C ends it.", style="dim")
    if login is not None:
        told = f"user {login.user}, password {login.password}" if login.is_own else f"user {login.user}"
        console.print(f"It asks for a password: {told}", soft_wrap=True)
    serve(folder, host, port, names, login)


def _require_usable(folder: Path) -> None:
    from search.tracking.check import check_tracking

    # Of one that another version made MLflow's server says no more than a traceback; one that is busy it waits for.
    check_tracking(own_tracking_uri(folder))


def _name_filling(folder: Path) -> str:
    if find_bucket(folder) is None:
        return ""
    return f" '{command_line('sync', 'NAME', storage=folder)}' fills one from the journal of a search in the bucket."


def _show_links(folder: Path, server: str) -> int:
    """Print a link to each search, and return how many lead to other servers."""
    from search.tracking.store import trials_link

    away = 0
    for file in sorted(folder.glob("*/settings.json")):
        try:
            settings, place = read_search(SearchFolder(root=file.parent))
            at = place.tracking_uri if place.tracking_uri.startswith("http") else server
            if at is server and place.tracking_uri != own_tracking_uri(folder):
                raise TrackingError(
                    f"its runs are in {mask_uri(place.tracking_uri)}, which is not served here; serve it by 'mlflow "
                    "server --backend-store-uri' with that address."
                )
            console.print(f"{settings.name}: {trials_link(settings, place, at)}", soft_wrap=True)
            away += at is not server
        except StreetError as error:
            warn(f"{file.parent.name}: {error}")
    return away
