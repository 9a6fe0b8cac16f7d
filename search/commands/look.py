"""`status`, `best` and `ui`: look at a search; nothing is trained."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Annotated

import typer

from search.commands.display import console, show_best, show_front
from search.commands.options import Name, Storage
from search.commands.state import show_state
from search.commands.tables import insight_report, summary_line, trials_table
from search.folder import find_folder, is_in_use
from search.judge.progress import build_asha
from search.memory.history import History
from search.memory.journal import replay
from search.settings import DEFAULT_STORAGE, read_settings
from search.verdict.selection import name_winner
from segcore.errors import StorageError, TrackingError


def status(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show every trial of a search, and the best."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    history, asha = History(), build_asha(settings)
    replay(folder.search_stage.journal, history, asha)
    if not is_in_use(folder.search_stage):
        history.halt()
    if history.trials:
        console.print(trials_table(history.in_order))
    console.print(summary_line(history, settings))
    if history.ranked:
        console.print(insight_report(history, settings))
    show_state(settings, folder, history, asha)
    console.print(f"logs: {folder.search_stage.trial(0).parent}/NUMBER/log.txt", style="dim", soft_wrap=True)


def best(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Show the best configuration so far and write best.json."""
    folder = find_folder(storage, name)
    settings = read_settings(folder.settings)
    history, asha = History(), build_asha(settings)
    replay(folder.search_stage.journal, history, asha)
    show_best(name_winner(settings, folder))
    show_front(settings, history)
    show_state(settings, folder, history, asha)
    console.print(f"written to {folder.best}", soft_wrap=True)


def ui(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = 5000,
) -> None:
    """Open the MLflow UI on all searches of a storage folder."""
    from search.tracking.store import trials_link

    folder = storage.expanduser().resolve()
    for file in sorted(folder.glob("*/settings.json")):
        settings = read_settings(file)
        server = settings.tracking_uri if settings.tracking_uri.startswith("http") else f"http://{host}:{port}"
        try:
            console.print(f"{settings.name}: {trials_link(settings, server)}", soft_wrap=True)
        except TrackingError as error:
            console.print(f"{settings.name}: {error}", style="yellow", soft_wrap=True)
    if not (folder / "mlflow.db").exists():
        raise StorageError(
            f"{folder} has no mlflow.db to serve: its searches, if any, are on the servers named above; "
            "launch a search first, or give another folder with --storage."
        )
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", host, "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "mlartifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        process.wait()
    finally:
        # The server's children outlive it unless the whole group is told.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
