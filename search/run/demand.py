"""Asks the cluster's autoscaler for room for a number of trials, until that is released."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray.autoscaler.sdk import request_resources
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.experimental.internal_kv import _internal_kv_get

from search.place import Place

_AGAIN_SECONDS: Final = 30.0
_MIRRORED: Final = "node_"
"""How Ray's monitor names the types of nodes that somebody started by hand, of which it can start no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler:
    """What the cluster's autoscaler says of itself.

    Args:
        runs: whether there is one; without, nodes join by hand.
        starting: how many nodes it starts.
        trouble: why it cannot start nodes; empty when it does not say so.
    """

    runs: bool
    starting: int = 0
    trouble: str = ""

    def describe(self) -> str:
        """Say what is to be expected of it."""
        if not self.runs:
            return "no autoscaler runs, so add a node or end with Ctrl-C"
        if self.starting:
            return f"the autoscaler is starting {self.starting}"
        if self.trouble:
            return f"the autoscaler cannot start one ({self.trouble})"
        return "the autoscaler is asked for one"


class Demand:
    """Tells the autoscaler how many trials the cluster should have room for.

    The latest wish counts alone, also among searches on one cluster, so it is said again and again.

    Args:
        place: resources of a trial and the wished number are used.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._wished = 0
        self._said = -math.inf

    def wish(self, trials: int) -> None:
        """Ask for room for trials, running ones included, no more than the place allows."""
        wished = min(trials, self._place.max_concurrent) if self._place.max_concurrent else trials
        is_known = wished == self._wished and (not wished or time.monotonic() - self._said < _AGAIN_SECONDS)
        if is_known:
            return
        bundle = {"CPU": self._place.cpus_per_trial, "GPU": self._place.gpus_per_trial}
        bundle = {kind: amount for kind, amount in bundle.items() if amount}
        request_resources(bundles=[bundle] * wished)
        self._wished, self._said = wished, time.monotonic()

    def describe(self) -> str:
        """Say what is to be expected of the autoscaler."""
        return read_autoscaler().describe()


@contextmanager
def demanding(place: Place, trials: int) -> Iterator[Demand]:
    """Ask the autoscaler for room for trials, and for nothing any more at the end, however it comes.

    Args:
        place: resources of a trial and the wished number are used.
        trials: how many there are to run at most.
    """
    demand = Demand(place)
    try:
        # Until their stage begins nobody counts them, and where no number is wished one node shows what there is.
        demand.wish(trials if place.max_concurrent else 1)
        yield demand
    finally:
        demand.wish(0)


def read_autoscaler() -> Autoscaler:
    """Return what the connected cluster's autoscaler says of itself."""
    if is_autoscaler_v2():
        return parse_status(get_cluster_status(ray.get_runtime_context().gcs_address))
    return parse_report(_internal_kv_get(DEBUG_AUTOSCALING_STATUS))


def parse_report(content: bytes | None) -> Autoscaler:
    """Read the report that Ray's monitor leaves in the cluster's store, as the first autoscaler writes it.

    Args:
        content: JSON; None where no monitor runs.
    """
    report: dict[str, Any] = (json.loads(content) if content else {}).get("autoscaler_report") or {}
    pending = report.get("pending_nodes") or []
    launches: dict[str, int] = report.get("pending_launches") or {}
    types = {*(report.get("active_nodes") or {}), *launches, *(node_type for _, node_type, _ in pending)}
    availability = (report.get("node_availability_summary") or {}).get("node_availabilities") or {}
    troubles = [
        f"{node_type}: {(each.get('unavailable_node_information') or {}).get('description', 'not available')}"
        for node_type, each in availability.items()
        if not each.get("is_available", True)
    ]
    return Autoscaler(
        runs=any(not each.startswith(_MIRRORED) for each in types),
        starting=len(pending) + sum(launches.values()),
        trouble="; ".join(troubles),
    )


def parse_status(status: Any) -> Autoscaler:
    """Read the status of a cluster with the second autoscaler.

    Args:
        status: Ray's `ClusterStatus`.
    """
    nodes = [*status.active_nodes, *status.idle_nodes, *status.pending_nodes, *status.pending_launches]
    troubles = [f"{each.ray_node_type_name}: {each.details}" for each in status.failed_launches]
    return Autoscaler(
        runs=any(not each.ray_node_type_name.startswith(_MIRRORED) for each in nodes),
        starting=len(status.pending_nodes) + sum(each.count for each in status.pending_launches),
        trouble="; ".join(troubles[-1:]),
    )
