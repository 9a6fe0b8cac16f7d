"""Commands in forks of one process that has imported everything, which would take each of them ten seconds.

`run_preloaded` is for tests; `python -m tests.preloaded PACKAGE` is that process: a line of standard input names a
command, and the fork's process id and, at its end, its exit code are lines of the answer.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from tests.nursery import spare_rays

ROOT: Final = Path(__file__).parents[1]
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


def run_preloaded(
    package: str,
    *arguments: object,
    timeout: float,
    python_path: Path | str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m PACKAGE` to its end, without its imports."""
    server = _start(package)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        path = os.pathsep.join(filter(None, [str(python_path), str(ROOT)]))
        command = {
            "arguments": [str(each) for each in arguments],
            "path": path,
            "out": str(out),
            "err": str(err),
            "environment": dict(environment or {}),
        }
        print(json.dumps(command), file=server.stdin, flush=True)
        code, in_time = _wait(server, timeout)
        printed = [file.read_text(encoding="utf-8", errors="replace") for file in (out, err)]
    if not in_time:
        pytest.fail(
            f"{package} {arguments} did not end within {timeout} s:\n{printed[0][-2000:]}\n{printed[1][-2000:]}"
        )
    return subprocess.CompletedProcess(arguments, code, *printed)


@functools.cache
def _start(package: str) -> "subprocess.Popen[str]":
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.preloaded", package],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    atexit.register(server.communicate)
    return server


def _wait(server: "subprocess.Popen[str]", timeout: float) -> tuple[int, bool]:
    assert server.stdout is not None
    pid, overdue = int(server.stdout.readline()), threading.Event()

    def stop() -> None:
        overdue.set()
        os.killpg(pid, signal.SIGKILL)

    timer = threading.Timer(timeout, stop)
    timer.start()
    code = int(server.stdout.readline())
    timer.cancel()
    return code, not overdue.is_set()


def _become(package: str, command: Mapping[str, Any]) -> None:
    """Make this fork the command: its session, its files, its environment and its arguments."""
    os.setsid()
    for number, name in enumerate(("out", "err"), start=1):
        os.dup2(os.open(command[name], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[:0] = command["path"].split(os.pathsep)
    os.environ["PYTHONPATH"] = command["path"]
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


def _serve(package: str) -> None:
    for name in IMPORTED[package]:
        importlib.import_module(name)
    main = importlib.import_module(f"{package}.__main__").main
    if package == "search":
        spare_rays(pytest.MonkeyPatch())
    # No fork looks for garbage among all that was there before it, of which it would need a copy.
    gc.freeze()
    answer = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(package, json.loads(line))
            _end(main)
        print(pid, file=answer, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answer, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
