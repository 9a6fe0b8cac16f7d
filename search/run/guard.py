"""Says that a driver was killed, and ends what is left of its local Ray at once: a small process beside the driver.

Its standard input closes however the driver ends. Where it was killed, too, the next local Ray clears up (`private`).
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from search.ending import guarded_by
from search.run.scratch import clear_scratch
from segcore.scratch import clear_left

PREFIX: Final = "street."
"""Of a local Ray's folder."""
_TITLE: Final = b"ray::"
"""Ray's agents and workers call themselves so."""
_ROUNDS: Final = 10
"""One a second: Ray's own processes, which end with their driver, may write until they have."""
_TOLD: Final = (
    b"This command was ended by force: by a person, by the kernel for want of memory ('dmesg' tells), or by Ray, which "
    b"does so when its own processes on this machine die, as on a full /dev/shm. Each trial has its last checkpoint; "
    b"go on by 'resume', or by the same 'confirm' or 'retrain'.\n"
)


@contextmanager
def guarded(parent: Path) -> Iterator[None]:
    """Have a process clear up should this one be killed meanwhile.

    Args:
        parent: where local Rays have their folders.
    """
    with guarded_by("search.run.guard", str(parent), is_heard=True):
        yield


def clear_killed(parent: Path) -> None:
    """End and delete what is left of local Rays whose driver was killed.

    Args:
        parent: where they have their folders.
    """
    clear_left(PREFIX, parent, end_agents)


def end_agents(folder: Path) -> None:
    """End what is left of a Ray whose own processes were killed: its agents notice that after minutes.

    They are known by the logs in its folder that they have open, which nobody else has: a person may read one.
    """
    for process in Path("/proc").glob("[0-9]*"):
        # Of others nothing can be seen, and any may end meanwhile.
        with suppress(OSError):
            is_rays = (process / "cmdline").read_bytes().startswith(_TITLE)
            if is_rays and any(file.readlink().is_relative_to(folder) for file in (process / "fd").iterdir()):
                os.kill(int(process.name), signal.SIGKILL)


def main(parent: Path) -> None:
    """Wait for the driver's end, and clear up after it."""
    sys.stdin.buffer.read()
    _tell()
    for _ in range(_ROUNDS):
        clear_killed(parent)
        clear_scratch()
        time.sleep(1)


def _tell() -> None:
    """Say that the driver is gone, and let go of what its readers would wait for."""
    # Nobody may listen any more.
    with suppress(OSError):
        os.write(sys.stderr.fileno(), _TOLD)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
