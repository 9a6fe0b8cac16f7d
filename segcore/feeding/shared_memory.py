"""Room in shared memory, through which loader processes hand batches over: what they need, and what a machine has.

A container has 64 MB of it unless told otherwise, and a process that finds none left can neither go on nor say so.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFETCHED_BATCHES: Final = 2
"""Batches that each loader process makes ahead."""

FOLDER: Final = Path("/dev/shm")
_USABLE_SHARE: Final = 0.8
"""Of what is free: other programs and trainings of the machine take from it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderPlan:
    """How many processes load.

    Args:
        workers: loader processes; 0 loads in the training's own, between steps.
        note: why they are fewer than asked for; empty when they are not.
    """

    workers: int
    note: str = ""


def plan_workers(workers: int, batch_bytes: int, held_batches: int, free_bytes: int | None) -> LoaderPlan:
    """Return as many loader processes as asked for, or as shared memory has room for their batches.

    Args:
        workers: processes asked for.
        batch_bytes: of the largest batch.
        held_batches: batches that the training itself has at a time.
        free_bytes: of shared memory; None: nobody knows, and there is no limit.
    """

    def needed_bytes(workers: int) -> int:
        # While the training has its batches, the next ones wait for it.
        return batch_bytes * (PREFETCHED_BATCHES * workers + 2 * held_batches)

    if free_bytes is None or not workers:
        return LoaderPlan(workers=workers)
    fitting = [count for count in range(1, workers + 1) if needed_bytes(count) <= _USABLE_SHARE * free_bytes]
    if workers in fitting:
        return LoaderPlan(workers=workers)
    left = max(fitting, default=0)
    loading = f"{left} of {workers} loader processes" if left else "no loader process"
    return LoaderPlan(
        workers=left,
        note=f"shared memory ({FOLDER}) has {free_bytes / 1e6:.0f} MB free, and batches of {batch_bytes / 1e6:.1f} MB "
        f"from {workers} loader processes need {needed_bytes(workers) / _USABLE_SHARE / 1e6:.0f} MB: {loading} used, "
        "which is slower; start a container with --shm-size=2g or --ipc=host, or use smaller batches",
    )


def find_free_bytes(folder: Path = FOLDER) -> int | None:
    """Return the free bytes of shared memory; None where the system has no such folder.

    Args:
        folder: where the system keeps it.
    """
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
