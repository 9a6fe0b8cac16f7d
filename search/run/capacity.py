"""What the cluster's nodes hold: how many trials at a time, and which kinds of GPU; nodes join and leave."""

import math
import time
from typing import Any, Final

import ray
from ray import tune

# Ray's public state API needs the dashboard, which a local Ray does without.
from ray._private.state import actors

from search.place import Place

_COUNT_SECONDS: Final = 1.0
_EMPTY_SECONDS: Final = 600.0
"""So long may a cluster have no node that could hold a trial; one that is only being replaced comes back sooner."""


ACCELERATOR: Final = "accelerator_type:"
"""Ray's resource of a node with GPUs of a kind, such as accelerator_type:A100."""


def count_concurrent(place: Place) -> int:
    """Return how many trials the cluster holds at a time, no more than the place allows."""
    held = sum(count_held(node["Resources"], place) for node in alive_nodes())
    return min(held, place.max_concurrent) if place.max_concurrent else held


def count_held(resources: dict[str, float], place: Place) -> int:
    """Return how many trials one node's resources hold at a time."""
    by_cpu = resources.get("CPU", 0.0) / place.cpus_per_trial
    by_gpu = share_gpus(resources.get("GPU", 0.0), place.gpus_per_trial) if place.gpus_per_trial else math.inf
    return int(min(by_cpu, by_gpu))


class Capacity:
    """How many trials the cluster holds at a time, looked up again every second, since nodes join and leave.

    Args:
        place: resources of a trial and the wished number are used.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._count = 0
        self._counted = -math.inf
        self._last_held = time.monotonic()

    def count(self) -> int:
        """Return how many trials the cluster holds at a time, no more than the place allows."""
        now = time.monotonic()
        if now - self._counted >= _COUNT_SECONDS:
            self._count, self._counted = count_concurrent(self._place), now
        if self._count:
            self._last_held = now
        return self._count

    @property
    def empty_seconds(self) -> float:
        """For how long no node could have held a trial."""
        return 0.0 if self.count() else time.monotonic() - self._last_held

    @property
    def is_given_up(self) -> bool:
        """Whether there has been no node for so long that none is waited for any more."""
        return self.empty_seconds >= _EMPTY_SECONDS


def find_fitting(place: Place) -> list[dict[str, Any]]:
    """Return the nodes that are there and could hold a trial."""
    return [node for node in alive_nodes() if count_held(node["Resources"], place)]


def find_addresses(place: Place) -> dict[str, str]:
    """Return the addresses of the nodes that are there and could hold a trial, by Ray's names of the nodes."""
    return {node["NodeID"]: node["NodeManagerAddress"] for node in find_fitting(place)}


def node_of(actor_id: str) -> str | None:
    """Return the node that an actor runs or ran on, as Ray names both; None when it is not known."""
    known = actors(actor_id)
    return known["Address"]["NodeID"] or None if known else None


def find_accelerators() -> set[str]:
    """Return the kinds of GPU of the nodes that are there, as Ray names them."""
    return {kind for node in alive_nodes() if (kind := _accelerator(node)) is not None}


def accelerator_of(node_id: str) -> str | None:
    """Return the kind of GPU of a node, as Ray names it; None where there is none, or the node is gone."""
    return next((_accelerator(node) for node in alive_nodes() if node["NodeID"] == node_id), None)


def _accelerator(node: dict[str, Any]) -> str | None:
    names = (name for name in node["Resources"] if name.startswith(ACCELERATOR))
    return next((name.removeprefix(ACCELERATOR) for name in names), None)


def alive_nodes() -> list[dict[str, Any]]:
    """Return the nodes that are there, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def share_gpus(gpus: float, gpus_per_trial: float) -> float:
    """Return how many trials the GPUs of a node hold, a fraction for what is left over."""
    # A fraction is a share of one GPU, so what is left over of each GPU is lost.
    if gpus_per_trial < 1:
        return gpus * int(1 / gpus_per_trial + 1e-9)
    return gpus / gpus_per_trial


class NoWorkers(tune.Stopper):  # type: ignore[misc]
    """Ends a run for which there has been no node for minutes: Ray Tune itself waits for ever."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Say whether to end the run."""
        return self._capacity.is_given_up
