"""`ui`: MLflow's pages on all searches of a storage folder, served until it is told to end."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer

from search.commands.console import console
from search.commands.options import Storage
from search.folder import SearchFolder
from search.opening import read_search
from search.place import DEFAULT_STORAGE
from search.tracking_uri import mask_uri, own_tracking_uri
from segcore.data.caching.disk import resolve_folder
from segcore.errors import ConfigError, StorageError, StreetError, TrackingError

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}
"""What stands for every address, and what reaches this machine from itself."""

_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_LINES: Final = 20
_END_SECONDS: Final = 10.0


def ui(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[str, typer.Option(help="address to listen on; 0.0.0.0: all of this machine's")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on", min=1, max=65535)] = 5000,
    allowed_hosts: Annotated[
        list[str] | None, typer.Option(help="name or address of this machine that browsers elsewhere may use")
    ] = None,
) -> None:
    """Open the MLflow UI on all searches of a storage folder; Ctrl-C ends it."""
    folder = resolve_folder("storage", storage)
    names = allowed_hosts or []
    if with_port := [name for name in names if name.count(":") == 1]:
        raise ConfigError(f"--allowed-hosts {with_port[0]}: give the name alone; the port is that of --port.")
    named = names[0] if names else host
    server = f"http://{_in_address(_EVERY_ADDRESS.get(named, named))}:{port}"
    database = folder / "mlflow.db"
    if database.exists():
        _require_free(host, port)
    _show_links(folder, server)
    if not database.exists():
        raise StorageError(
            f"{folder} has no mlflow.db to serve: its searches, if any, are on the servers named above; "
            "launch a search first, or give another folder with --storage."
        )
    if host in _EVERY_ADDRESS and not names:
        console.print(
            f"These links open on this machine. For browsers elsewhere name it as they do: --allowed-hosts "
            f"{socket.gethostname()}",
            style="yellow",
            soft_wrap=True,
        )
    console.print("MLflow starts, which takes some seconds; Ctrl-C ends it.", style="dim")
    _run_server(_server_command(folder, host, port, names))


def _show_links(folder: Path, server: str) -> None:
    from search.tracking.store import trials_link

    for file in sorted(folder.glob("*/settings.json")):
        try:
            settings, place = read_search(SearchFolder(root=file.parent))
            at = place.tracking_uri if place.tracking_uri.startswith("http") else server
            if at is server and place.tracking_uri != own_tracking_uri(folder):
                raise TrackingError(
                    f"its runs are in {mask_uri(place.tracking_uri)}, which is not served here; serve it by 'mlflow "
                    "server --backend-store-uri' with that address."
                )
            console.print(f"{settings.name}: {trials_link(settings, place, at)}", soft_wrap=True, markup=False)
        except StreetError as error:
            console.print(f"{file.parent.name}: {error}", style="yellow", soft_wrap=True, markup=False)


def _require_free(host: str, port: int) -> None:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise ConfigError(
            f"--host {host} --port {port} cannot be listened on ({error.strerror or error}); use another port, such "
            f"as --port {port % 60000 + 1001}, and an address of this machine."
        ) from error


def _server_command(folder: Path, host: str, port: int, names: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", host, "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    # Pictures and models are files that the server reads by itself; what else it can do with files, anyone might ask.
    command += ["--no-serve-artifacts", "--default-artifact-root", (folder / "mlartifacts").as_uri()]
    if names:
        # A list of one's own takes the place of MLflow's, which lets this machine in.
        hosts = [_in_address(name) for name in (*names, *_LOCAL_NAMES)]
        command += ["--allowed-hosts", ",".join([*hosts, *(f"{name}:{port}" for name in hosts)])]
        command += ["--cors-allowed-origins", ",".join(f"http://{name}:{port}" for name in hosts)]
    return command


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _run_server(command: Sequence[str]) -> None:
    """Run a server until Ctrl-C or a signal ends it.

    Raises:
        TrackingError: when it ends by itself, with what it said last.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup a hang-up is to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said: deque[str] = deque(maxlen=_LINES)
        reader = threading.Thread(target=said.extend, args=(process.stdout,), daemon=True)
        reader.start()
        code = process.wait()
    except KeyboardInterrupt:
        return
    finally:
        _end_group(process)
    if code:
        reader.join(timeout=1)
        raise TrackingError(f"MLflow's server ended with exit code {code}; it said last:\n{''.join(said).rstrip()}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_group(process: "subprocess.Popen[str]") -> None:
    # A second Ctrl-C must not leave half of the group behind, and the server's children outlive it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
