"""Commands in forks of one process that has imported everything, which would take each of them ten seconds.

`run_preloaded` is for tests; `python -m tests.preloaded PACKAGE SOCKET` is that process, which whoever runs the tests
has once, and those that pytest-xdist starts share. To who asks it for a command it says the fork's process id, and at
the command's end its exit code.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from tests.nursery import MOST_BYTES, ROOT, SHARED, spare_rays, write_python

IMPORTED: Final = {
    "search": (
        *("search.commands.running", "search.run.loop", "search.stages.earlier", "search.stages.retrain"),
        *("search.tracking.check", "segcore.training.feasible", "search.report.page"),
        # What they import for themselves as they are used.
        *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store", "mlflow.genai"),
        *("alembic.command", "ray.dag", "ray.experimental", "aiohttp", "torch._dynamo"),
    ),
    "segcore": ("segcore.training.train", "segcore.prediction.ensemble", "segcore.data.gate"),
}


def start_servers() -> ExitStack:
    """Start what commands and Ray's workers are forked from; none imports anything before it is asked.

    Returns:
        What ends them; they end with this process, too.
    """
    with ExitStack() as stack:
        # A socket's path is short.
        folder = tempfile.mkdtemp(prefix="street-tests-", dir="/tmp")
        os.environ[SHARED] = folder
        write_python(Path(folder))
        for arguments in (["tests.nursery"], *(["tests.preloaded", package] for package in IMPORTED)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
                server.bind(f"{folder}/{arguments[-1]}")
                # From here on whoever asks is heard, however long the process takes to begin.
                server.listen(64)
                process = subprocess.Popen(
                    [sys.executable, "-m", *arguments, str(server.fileno())],
                    cwd=ROOT,
                    # A console takes its width from there as it is imported.
                    env={**os.environ, "COLUMNS": "200"},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[server.fileno()],
                    start_new_session=True,
                )
            stack.callback(process.communicate)
        return stack.pop_all()


class Preloaded:
    """A command that runs in a fork, in a session of its own; what it prints lies in files.

    Args:
        package: whose command line it is.
        arguments: of the command.
        python_path: where own spaces are imported from.
        environment: what it has beside this process's.
    """

    def __init__(
        self,
        package: str,
        *arguments: object,
        python_path: Path | str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        folder = Path(tempfile.mkdtemp(dir=os.environ[SHARED]))
        self.printed, self.complained = folder / "out", folder / "err"
        self.returncode: int | None = None
        self._name = f"{package} {arguments}"
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server.connect(str(folder.with_name(package)))
        path = os.pathsep.join(filter(None, [str(python_path), str(ROOT)]))
        command = {
            "arguments": [str(each) for each in arguments],
            "path": path,
            "out": str(self.printed),
            "err": str(self.complained),
            "environment": {**os.environ, "COLUMNS": "200", "PYTHONPATH": path, **(environment or {})},
        }
        self._server.send(json.dumps(command).encode())
        self.pid = int(self._server.recv(64))

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait so many seconds for the end, and return the exit code, or None if it runs yet."""
        if self.returncode is None and select.select([self._server], [], [], timeout)[0]:
            self.returncode = int(self._server.recv(64))
            self._server.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it printed until its end; one that does not end in time is killed with its group."""
        in_time = self.wait(timeout) is not None
        if not in_time:
            os.killpg(self.pid, signal.SIGKILL)
        out, err = (file.read_text(encoding="utf-8", errors="replace") for file in (self.printed, self.complained))
        assert in_time, f"{self._name} did not end within {timeout} s:\n{out[-2000:]}\n{err[-2000:]}"
        return out, err


def run_preloaded(
    package: str,
    *arguments: object,
    timeout: float,
    python_path: Path | str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m PACKAGE` to its end, without its imports."""
    command = Preloaded(package, *arguments, python_path=python_path, environment=environment)
    printed = command.communicate(timeout)
    assert command.returncode is not None
    return subprocess.CompletedProcess(arguments, command.returncode, *printed)


def _become(package: str, command: Mapping[str, Any]) -> None:
    """Make this fork the command: its session, its files, its environment and its arguments."""
    os.setsid()
    for number, name in enumerate(("out", "err"), start=1):
        os.dup2(os.open(command[name], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[:0] = command["path"].split(os.pathsep)
    os.environ.update(command["environment"])
    sys.argv = [package, *command["arguments"]]


def _end(main: Callable[[], None]) -> NoReturn:
    """Run the command and end as Python does, but for taking apart what was imported, which takes half a second."""
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _load(package: str) -> Callable[[], None]:
    """Import what commands import, and return the program."""
    for name in IMPORTED[package]:
        importlib.import_module(name)
    main: Callable[[], None] = importlib.import_module(f"{package}.__main__").main
    if package == "search":
        from pytest import MonkeyPatch

        spare_rays(MonkeyPatch())
    # No fork looks for garbage among all that was there before it, of which it would need a copy.
    gc.freeze()
    return main


def _tell(asker: socket.socket, number: int) -> None:
    # Who asked may have been ended meanwhile.
    with suppress(BrokenPipeError):
        asker.send(str(number).encode())


def _serve(package: str, listening: int) -> None:
    """Fork a command for each that asks, and tell its end, until standard input is closed."""
    running: dict[int, tuple[int, socket.socket]] = {}
    main = None
    with socket.socket(fileno=listening) as server:
        while sys.stdin not in (ready := select.select([sys.stdin, server, *running], [], [])[0]):
            for ended in running.keys() & set(ready):
                pid, asker = running.pop(ended)
                os.close(ended)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with asker:
                    _tell(asker, code)
            if server in ready:
                asker = server.accept()[0]
                content = asker.recv(MOST_BYTES)
                # Who asks may be killed before it says what it wants.
                if not content:
                    continue
                command = json.loads(content)
                main = main or _load(package)
                pid = os.fork()
                if pid == 0:
                    _become(package, command)
                    _end(main)
                _tell(asker, pid)
                running[os.pidfd_open(pid)] = pid, asker


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
