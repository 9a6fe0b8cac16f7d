"""Whether this machine lets a Ray of one's own have its threads: where one is refused Ray aborts with pages of its own.

Linux counts threads and processes alike: those of a user (`ulimit -u`), and those of a container.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from segcore.errors import ClusterError

NEEDED: Final = 160
"""By Ray on two cores, a worker among them, beside this process; with more cores and workers it needs more."""
_PROC: Final = Path("/proc")
_GROUPS: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How many threads may be there at a time.

    Args:
        name: by which a person finds it.
        most: so many.
        there: of these, those that are there already.
    """

    name: str
    most: int
    there: int


def require_threads(address: str) -> None:
    """Refuse to start a Ray that would abort for want of threads.

    Args:
        address: of a cluster; empty: a Ray is started on this machine.

    Raises:
        ClusterError: naming the bound that is in the way, with what to do.
    """
    for bound in () if address else (*find_group_bounds(), *find_user_bounds()):
        if bound.most - bound.there < NEEDED:
            raise ClusterError(
                f"{bound.name} is {bound.most}, of which {bound.there} are there: a Ray of this machine's own needs "
                f"{NEEDED} processes and threads more, and some fifty for each further trial at a time. Raise it (a "
                "container: --pids-limit), end other programs, or name a cluster by --address."
            )


def find_group_bounds(proc: Path = _PROC, groups: Path = _GROUPS) -> Iterator[Bound]:
    """Return the bounds of this process's control groups, which containers and job managers set.

    Args:
        proc: where Linux tells of processes.
        groups: where it tells of groups.
    """
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, kinds, place = line.split(":", 2)
            if kinds and "pids" not in kinds.split(","):
                continue
            mounted = groups / "pids" if kinds else groups
            # Inside of a container the place may be told as it is outside of it, where the mount itself is its group.
            within = mounted / place.lstrip("/")
            for folder in (within, *within.parents):
                if folder.is_relative_to(mounted):
                    yield from _read_group(folder)


def find_user_bounds(proc: Path = _PROC) -> Iterator[Bound]:
    """Return the bound of this user's threads; none holds for root.

    Args:
        proc: where Linux tells of processes.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if most != resource.RLIM_INFINITY and os.geteuid():
        there = sum(_count_threads(status) for status in proc.glob("[0-9]*/status"))
        yield Bound(name="The number of this user's processes and threads (ulimit -u)", most=most, there=there)


def _read_group(folder: Path) -> Iterator[Bound]:
    # A group without a bound says "max", and the outermost has no such file.
    with suppress(OSError, ValueError):
        most, there = (int((folder / name).read_text()) for name in ("pids.max", "pids.current"))
        yield Bound(name=str(folder / "pids.max"), most=most, there=there)


def _count_threads(status: Path) -> int:
    """Return how many threads a process has; none where it is another user's, or has ended."""
    with suppress(OSError):
        told = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        return int(told["Threads"]) if int(told["Uid"].split()[0]) == os.getuid() else 0
    return 0
