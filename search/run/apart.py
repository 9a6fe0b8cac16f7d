"""Keeps the processes of a local Ray apart from a signal that is meant for the search.

Ctrl-C, `timeout` and `kill -- -GROUP` signal a process group; job managers signal all processes of a job (systemd,
`scancel`). The driver needs its Ray until it has ended the search: without the GCS server each of its calls hangs for a
minute, and without the raylet it is ended on the spot. How the driver takes signals lives in `cluster`.
"""

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from ray._private import services, utils

from search.ending import WARNINGS, list_heeded

_UNHEARD: Final = {signal.SIGTERM, *WARNINGS}


class ApartProcess(subprocess.Popen[bytes]):
    """A process that leads a group of its own and hears nothing of what job managers send, nor do those that it starts.

    Args:
        command: the program and its arguments.
        begun: takes the process, once it runs.
        options: as `subprocess.Popen` takes them.
    """

    def __init__(self, command: Sequence[str], begun: list["ApartProcess"] | None = None, **options: Any) -> None:
        # A process inherits which signals the thread that starts it holds back; Ray keeps SIGINT from its own so.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, _UNHEARD)
        try:
            super().__init__(command, process_group=0, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
        if begun is not None:
            begun.append(self)

    def terminate(self) -> None:
        """End the process by the signal that it hears."""
        self.kill()


@contextmanager
def started_apart() -> Iterator[list[ApartProcess]]:
    """Let what Ray starts meanwhile on this machine be kept apart; all of it ends with this process.

    Yields:
        What it has started.
    """
    begun: list[ApartProcess] = []
    before = services.ConsolePopen
    services.ConsolePopen = partial(ApartProcess, begun=begun)
    try:
        yield begun
    finally:
        services.ConsolePopen = before


@contextmanager
def without_handlers() -> Iterator[None]:
    """Let Ray take no signal for itself meanwhile: its handler of SIGTERM, which it keeps, ends a command unheard."""
    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before
        retake_signals()


def retake_signals() -> None:
    """Have this process take signals as Python believes that it does; as Ray's core comes and goes, it changes that."""
    if threading.current_thread() is not threading.main_thread():
        return
    for each in list_heeded():
        if (handler := signal.getsignal(each)) is not None:
            signal.signal(each, handler)
