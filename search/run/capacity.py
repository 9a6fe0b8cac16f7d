"""What the cluster's nodes hold: how many trials at a time, what is missing for one, and which kinds of GPU.

Nodes join and leave, so it is looked up again and again. How more nodes are asked for is in `demand`, how long a run
waits for them in `tuning`, and what a node must show before it is given a trial in `nodes`.
"""

import math
import time
from collections.abc import Callable, Collection
from typing import Final

import ray

# Ray's public state API needs the dashboard, which a local Ray does without.
from ray._private.state import actors

from search.place import Place
from search.run.demand import Demand
from search.run.nodes import Node, Nodes, describe_node
from segcore.counting import count_words

_COUNT_SECONDS: Final = 1.0
_REST_SECONDS: Final = 30.0
_ROUNDING: Final = 1e-9

_NODE_LABEL: Final = "ray.io/node-id"

ACCELERATOR: Final = "accelerator_type:"
"""Ray's resource of a node with GPUs of a kind, such as accelerator_type:A100."""


def count_concurrent(place: Place, nodes: Collection[Node] | None = None) -> int:
    """Return how many trials nodes hold at a time, no more than the place allows; None: the nodes that are there."""
    held = sum(count_held(node["Resources"], place) for node in (alive_nodes() if nodes is None else nodes))
    return min(held, place.max_concurrent) if place.max_concurrent else held


def count_held(resources: dict[str, float], place: Place) -> int:
    """Return how many trials one node's resources hold at a time."""
    by_cpu = resources.get("CPU", 0.0) / place.cpus_per_trial
    by_gpu = share_gpus(resources.get("GPU", 0.0), place.gpus_per_trial) if place.gpus_per_trial else math.inf
    # 33 cores hold thirty times 1.1 of one.
    return int(min(by_cpu, by_gpu) + _ROUNDING)


def describe_lack(place: Place, nodes: Collection[Node]) -> str:
    """Say what node is missing for a trial, and what is there instead."""
    wanted = describe_resources({"GPU": place.gpus_per_trial, "CPU": place.cpus_per_trial})
    if not nodes:
        return f"a node with {wanted}: none is here"
    largest = max((node["Resources"] for node in nodes), key=lambda each: (each.get("GPU", 0.0), each.get("CPU", 0.0)))
    here = count_words(len(nodes), "node is", "nodes are")
    return f"a node with {wanted}: {here} here, the largest with {describe_resources(largest, every=True)}"


def describe_resources(resources: dict[str, float], *, every: bool = False) -> str:
    """Return GPUs and CPUs in words; none of a kind is told only with `every`."""
    counts = [(kind, resources.get(kind, 0.0)) for kind in ("GPU", "CPU")]
    told = [f"{count:g} {kind}{'' if count == 1 else 's'}" for kind, count in counts if count or every]
    return " and ".join(told)


class Capacity:
    """How many trials the cluster holds at a time, looked up again every second, since nodes join and leave.

    Args:
        place: resources of a trial, the wished number and the longest wait are used.
        nodes: says which nodes may be given trials; None: all.
        demand: tells the cluster's autoscaler what is wished; None where there is none to tell.
        note: what is to be told of it once; empty without.
        head: HOST:PORT of what knows the cluster; empty where this process has a Ray of its own.
    """

    def __init__(
        self,
        place: Place,
        nodes: Nodes | None = None,
        demand: Demand | None = None,
        *,
        note: str = "",
        head: str = "",
    ) -> None:
        self.place = place
        self.head = head
        self.nodes = nodes
        self.demand = demand
        self.note = note
        self._count_left: Callable[[], int] | None = None
        self._bad: set[str] = set()
        self._rested: dict[str, float] = {}
        self._count = 0
        self._counted = -math.inf
        self._last_held = time.monotonic()

    def count(self) -> int:
        """Return how many trials the cluster holds at a time, no more than the place allows."""
        now = time.monotonic()
        if now - self._counted >= _COUNT_SECONDS:
            self._count, self._counted = count_concurrent(self.place, self._find_rested()), now
            if self.demand is not None and self._count_left is not None:
                self.demand.wish(self._count_left())
        if self._count or self._is_one_to_come:
            self._last_held = now
        return self._count

    def expect(self, count_left: Callable[[], int]) -> None:
        """Ask for room for a number of trials from now on, and start to count the wait for a node again.

        Args:
            count_left: returns how many trials are to run yet, or run now.
        """
        self._count_left = count_left
        self._last_held = time.monotonic()

    def find_usable(self, wait_seconds: float = 0.0) -> list[Node]:
        """Return the nodes that may be given trials, and begin to look at those that are new.

        Args:
            wait_seconds: how long to wait for one that is being looked at.
        """
        fit = find_fitting(self.place)
        usable = fit if self.nodes is None else self.nodes.find_usable(fit, wait_seconds)
        # Where no other is left, a bad node is better than none.
        return [node for node in usable if node["NodeID"] not in self._bad] or usable

    def leave_out(self, node: str) -> None:
        """Give a node no more trials, as long as there are others.

        Args:
            node: its name in Ray.
        """
        self._bad.add(node)

    def rest(self, node: str) -> None:
        """Give a node no trial for a while: where there was no memory for a worker there is none a moment later.

        Args:
            node: its name in Ray.
        """
        self._rested[node] = time.monotonic() + _REST_SECONDS
        self._counted = -math.inf

    def find_addresses(self) -> dict[str, str]:
        """Return the addresses of the nodes that may be given trials, by Ray's names of the nodes."""
        return {node["NodeID"]: node["NodeManagerAddress"] for node in self.find_usable()}

    def find_accelerators(self) -> set[str]:
        """Return the kinds of GPU of the nodes that may be given trials, as Ray names them."""
        return {kind for node in self.find_usable() if (kind := _accelerator(node)) is not None}

    @property
    def left_out(self) -> list[str]:
        """The nodes that are given no trial now, those still being looked at among them, as Ray names them."""
        if self.nodes is None and not self._bad and not self._rested:
            return []
        # Ray itself knows nothing of that, and would give a trial to any node that is free.
        usable = {node["NodeID"] for node in self._find_rested()}
        return sorted({node["NodeID"] for node in find_fitting(self.place)} - usable)

    @property
    def empty_seconds(self) -> float:
        """For how long no node could have held a trial."""
        return 0.0 if self.count() else time.monotonic() - self._last_held

    @property
    def is_given_up(self) -> bool:
        """Whether there has been no node for so long that none is waited for any more."""
        # A node that is there and only rests is waited for even where the longest wait is 0.
        return not self.count() and not self._is_one_to_come and self.empty_seconds >= self.place.wait_seconds

    @property
    def lack(self) -> str | None:
        """What is waited for, in words; None when a node can hold a trial."""
        if self.count():
            return None
        if self.nodes is not None and (busy := self.nodes.describe_busy()):
            return f"waiting for {busy}"
        if resting := [describe_node(node) for node in self.find_usable() if self._is_resting(node)]:
            return f"waiting a while for {', '.join(resting)}, where a worker was lost by no fault of its trial"
        return f"waiting for {self.describe_lack()}; ends after {self.place.wait_seconds / 60:g} min (--wait)"

    def describe_lack(self) -> str:
        """Say what node is missing for a trial, what is there instead, and what is to be expected."""
        if self.nodes is not None and (busy := self.nodes.describe_busy()):
            return busy
        asked = f"; {self.demand.describe()}" if self.demand is not None else ""
        left_out = [f"; {problem}" for problem in self.nodes.left_out.values()] if self.nodes is not None else []
        return describe_lack(self.place, alive_nodes()) + "".join(left_out) + asked

    @property
    def _is_one_to_come(self) -> bool:
        """Whether a node rests, or is being looked at, and may hold a trial in a while."""
        # What was counted while it rested is believed for so long after.
        is_resting = any(time.monotonic() < until + _COUNT_SECONDS for until in self._rested.values())
        return is_resting or (self.nodes is not None and self.nodes.is_busy)

    def _find_rested(self) -> list[Node]:
        return [node for node in self.find_usable() if not self._is_resting(node)]

    def _is_resting(self, node: Node) -> bool:
        return time.monotonic() < self._rested.get(node["NodeID"], -math.inf)


def find_fitting(place: Place) -> list[Node]:
    """Return the nodes that are there and could hold a trial."""
    return [node for node in alive_nodes() if count_held(node["Resources"], place)]


def node_of(actor_id: str) -> str | None:
    """Return the node that an actor runs or ran on, as Ray names both; None when it is not known."""
    known = actors(actor_id)
    return known["Address"]["NodeID"] or None if known else None


def accelerator_of(node_id: str) -> str | None:
    """Return the kind of GPU of a node, as Ray names it; None where there is none, or the node is gone."""
    return next((_accelerator(node) for node in alive_nodes() if node["NodeID"] == node_id), None)


def _accelerator(node: Node) -> str | None:
    names = (name for name in node["Resources"] if name.startswith(ACCELERATOR))
    return next((name.removeprefix(ACCELERATOR) for name in names), None)


def select_others(nodes: Collection[str]) -> dict[str, str]:
    """Return the labels by which Ray takes none of some nodes, as it names them; of no nodes it takes any."""
    return {_NODE_LABEL: f"!in({','.join(nodes)})"} if nodes else {}


def alive_nodes() -> list[Node]:
    """Return the nodes that are there, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def share_gpus(gpus: float, gpus_per_trial: float) -> float:
    """Return how many trials the GPUs of a node hold, a fraction for what is left over."""
    # A fraction is a share of one GPU, so what is left over of each GPU is lost.
    if gpus_per_trial < 1:
        return gpus * int(1 / gpus_per_trial + _ROUNDING)
    return gpus / gpus_per_trial
