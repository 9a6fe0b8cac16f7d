"""Work on the cluster that first says where it runs, so that it can be ended when it stands still."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The process that work runs in.

    Args:
        node: as Ray names it.
        pid: of the process there.
    """

    node: str
    pid: int


def pack(work: Callable[[], Iterable[Any]]) -> bytes:
    """Return work as `run_seated` takes it."""
    packed: bytes = ray.cloudpickle.dumps(work)
    return packed


def run_seated(packed: bytes) -> Iterator[Any]:
    """Yield where this runs, then what work yields; each is a sign of life."""
    yield Seat(node=ray.get_runtime_context().get_node_id(), pid=os.getpid())
    # To unpack it imports what it needs, which takes seconds, and may hang with the disk that it lies on.
    yield from ray.cloudpickle.loads(packed)()


def end(seat: Seat) -> None:
    """Kill a process on its node; one that stands still would not hear that its task is cancelled."""
    where = NodeAffinitySchedulingStrategy(seat.node, soft=False)
    ray.remote(num_cpus=0, max_retries=0)(_kill).options(scheduling_strategy=where).remote(seat.pid)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
