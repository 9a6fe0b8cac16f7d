"""How a process of the project ends: the signals that end it in good order, and what clears up should it be killed."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WARNINGS: Final = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""What job managers send some time before they kill; whoever does not take them is ended by them on the spot."""
ENDS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, *WARNINGS)
"""What job managers, closing terminals and keyboards send; taken as Ctrl-C is."""
_ROOT: Final = Path(__file__).resolve().parents[1]


def list_heeded() -> list[signal.Signals]:
    """Return those of them that this process does not ignore, as under nohup a hang-up is to be."""
    return [each for each in ENDS if signal.getsignal(each) is not signal.SIG_IGN]


@contextmanager
def unbroken() -> Iterator[None]:
    """Take no further Ctrl-C, nor what is taken as one but SIGQUIT, while something ends that must not be half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = {signal.SIGINT, *list_heeded()} - {signal.SIGQUIT}
    # None is one that was not set by Python, and could not be set by it again.
    former = {each: handler for each in sorted(taken) if (handler := signal.getsignal(each)) is not None}
    for each in former:
        signal.signal(each, lambda number, frame: None)
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


@contextmanager
def guarded_by(module: str, *arguments: str, is_heard: bool = False) -> Iterator[None]:
    """Run a module beside this process; its standard input closes however this process ends.

    Args:
        module: its import path.
        arguments: of its command line, which every user of the machine may read.
        is_heard: whether its errors are written where this process writes its own.
    """
    guard = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=None if is_heard else subprocess.DEVNULL,
        # What ends this process from a keyboard or a job manager leaves it alone.
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()
