"""The machine's processes, as `/proc` tells of them, and what a drill does to single ones."""

import ctypes
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_PTRACE_SEIZE: Final = 0x4206
_PTRACE_INTERRUPT: Final = 0x4207
_WAIT_ALL: Final = 0x40000000
_LOOK_SECONDS: Final = 0.5


def list_processes() -> list[tuple[int, int, int, str]]:
    """Return process id, parent, session and title of every process but the dead that nobody has asked after."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            # It may end while it is looked at.
            with suppress(OSError):
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                # One that is about to become another program has no title, either.
                if fields[0] != "Z":
                    found.append((int(folder.name), int(fields[1]), int(fields[3]), title))
    return found


def children_of(parent: int) -> list[tuple[int, str]]:
    """Return process id and title of a process's children."""
    return [(pid, title) for pid, above, _, title in list_processes() if above == parent]


def list_session(leader: int) -> list[int]:
    """Return the processes of a session."""
    return [pid for pid, _, session, _ in list_processes() if session == leader]


def kill_session(leader: int) -> None:
    """Kill what is left of a session."""
    for pid in list_session(leader):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def freeze_busiest_thread(pid: int) -> int:
    """Stop the thread of a process that computes most, and no other, until the process is killed.

    Returns:
        Its number.

    Raises:
        PermissionError: when this process may not stop threads of that one.
    """
    before = _count_ticks(pid)
    time.sleep(_LOOK_SECONDS)
    after = _count_ticks(pid)
    busiest = max(after, key=lambda thread: after[thread] - before.get(thread, 0))
    seized = threading.Event()
    errors: list[int] = []
    threading.Thread(target=_hold, args=(busiest, seized, errors), daemon=True).start()
    seized.wait()
    if errors:
        raise PermissionError(errors[0], os.strerror(errors[0]))
    return busiest


def _hold(thread: int, seized: threading.Event, errors: list[int]) -> None:
    """Stop a thread and stay beside it: whoever traces one must also bury it."""
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    for request in (_PTRACE_SEIZE, _PTRACE_INTERRUPT):
        if library.ptrace(request, thread, None, None):
            errors.append(ctypes.get_errno())
            break
    with suppress(ChildProcessError):
        while not errors and os.WIFSTOPPED(os.waitpid(thread, _WAIT_ALL)[1]):
            seized.set()
    seized.set()


def _count_ticks(pid: int) -> dict[int, int]:
    """Return how long each thread of a process has computed, in ticks."""
    found = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            found[int(folder.name)] = int(fields[11]) + int(fields[12])
    return found
