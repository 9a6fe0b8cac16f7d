"""An MLflow server for a measurement: a port that is free, its process, and when it answers."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

_SERVER_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.2


def find_free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start a server of one worker, in a process group of its own, and do not wait for it.

    Args:
        folder: holds its database, its files and its log.
        port: of this machine.
    """
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)


def wait_for_server(address: str) -> None:
    """Wait until a server answers.

    Raises:
        OSError: when it does not within three minutes.
    """
    deadline = time.monotonic() + _SERVER_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return
