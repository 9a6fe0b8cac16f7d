"""Ray's workers as forks of one process that has imported what they train with, which takes each of them five seconds.

`python -m tests.nursery SOCKET` is that process; see `start_servers`. Ray starts a worker as a command, the path of a
Python first; the path that it gets here is that of a short program, which sends its files, environment and arguments to
a fork and ends. Ray itself is imported by each fork: it reads its worker's environment as it is imported.
"""

import gc
import importlib
import json
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pytest

ROOT: Final = Path(__file__).parents[1]
IMPORTED: Final = ("segcore.training.train", "segcore.prediction.cases", "pandas", "pyarrow.fs", "torch._dynamo")
SHARED: Final = "STREET_TESTS_FOLDER"
"""Environment variable: the folder of what all processes that run the tests share."""
MOST_BYTES: Final = 1 << 20
_WORKER: Final = "default_worker.py"
_AGENT: Final = "dashboard/agent.py"
_PORTS: Final = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
"""Of the agent of Ray's dashboard, which says -1 where ray[default] is not installed, and then does nothing."""
_CONTEXT: Final = "--serialized-runtime-env-context="
_START: Final = """#!/bin/sh
exec {python} -IS {folder}/ask.py "$@"
"""
_ASK: Final = f"""import json, os, socket, sys, time
if any(each.endswith("/{_AGENT}") for each in sys.argv):
    given = dict(each[2:].split("=", 1) for each in sys.argv if each.startswith("--") and "=" in each)
    for name in {_PORTS}:
        file = given["session-dir"] + "/" + name + "_" + given["node-id"]
        with open(file + ".new", "w") as stream:
            stream.write("-1")
        os.rename(file + ".new", file)
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    sys.exit()
if not any(each.endswith("/{_WORKER}") for each in sys.argv):
    # Ray's other agent, which has to be a child of who starts it.
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as nursery:
    nursery.connect(os.path.dirname(sys.argv[0]) + "/tests.nursery")
    wanted = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}}
    socket.send_fds(nursery, [json.dumps(wanted).encode()], [0, 1, 2])
    nursery.recv(1)
"""


def write_python(folder: Path) -> None:
    """Write what Ray is to take for a Python into a folder where the nursery listens."""
    program = folder / "python"
    program.write_text(_START.format(python=shlex.quote(sys.executable), folder=folder), encoding="utf-8")
    program.chmod(0o700)
    (folder / "ask.py").write_text(_ASK, encoding="utf-8")


def spare_rays(patch: "pytest.MonkeyPatch") -> None:
    """Let a Ray that this process starts fork its workers, once there is work, and have no processes that watch it.

    Its dashboard with its agents, its log monitor and its autoscaler are asked by nothing that a local Ray does.

    Args:
        patch: by which it is undone.
    """
    from ray._private import services
    from ray._private.node import Node

    patch.setattr(sys, "executable", f"{os.environ[SHARED]}/python")
    patch.setattr(services, "start_api_server", lambda *arguments, **named: ("", None))
    patch.setattr(Node, "start_log_monitor", lambda node: None)
    patch.setattr(Node, "start_monitor", lambda node: None)
    patch.setenv("RAY_prestart_worker_first_driver", "0")


def _serve(listening: int) -> None:
    """Fork a worker for each that asks, until standard input is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=listening) as server:
        while sys.stdin not in select.select([sys.stdin, server], [], [])[0]:
            with server.accept()[0] as asker:
                _give_birth(asker, server)
    # Here, for whoever made the folder may have been killed.
    shutil.rmtree(os.environ[SHARED], ignore_errors=True)


def _give_birth(asker: socket.socket, server: socket.socket) -> None:
    content, files, _, _ = socket.recv_fds(asker, MOST_BYTES, 3)
    # Who asks may be killed before it says what it wants.
    if not content:
        return
    # Not before there is a worker: most commands start none.
    for name in IMPORTED:
        importlib.import_module(name)
    # No fork looks for garbage among all that was there before it, of which it would need a copy.
    gc.freeze()
    if os.fork() == 0:
        server.close()
        asker.close()
        _become(json.loads(content), files)
        os._exit(0)
    for file in files:
        os.close(file)


def _become(wanted: Mapping[str, Any], files: Sequence[int]) -> None:
    """Make this fork the worker."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    arguments = wanted["arguments"]
    for context in (each.removeprefix(_CONTEXT) for each in arguments if each.startswith(_CONTEXT)):
        os.environ.update(json.loads(context)["env_vars"])
    (start,) = [place for place, each in enumerate(arguments) if each.endswith(f"/{_WORKER}")]
    sys.argv = [each for each in arguments[start:] if not each.startswith((_CONTEXT, "--language="))]
    sys.path[:0] = [str(Path(sys.argv[0]).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
