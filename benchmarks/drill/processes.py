"""The machine's processes, as `/proc` tells of them."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def list_processes() -> list[tuple[int, int, int, str]]:
    """Return process id, parent, session and title of every process."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            # It may end while it is looked at.
            with suppress(OSError):
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                found.append((int(folder.name), int(fields[1]), int(fields[3]), title))
    return found


def children_of(parent: int) -> list[tuple[int, str]]:
    """Return process id and title of a process's children."""
    return [(pid, title) for pid, above, _, title in list_processes() if above == parent]


def list_session(leader: int) -> list[int]:
    """Return the processes of a session, without the dead that nobody has asked after."""
    return [pid for pid, _, session, title in list_processes() if session == leader and title]


def kill_session(leader: int) -> None:
    """Kill what is left of a session."""
    for pid in list_session(leader):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
