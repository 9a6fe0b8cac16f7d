"""The nodes that trials may be given to: each is looked at when it joins, and prepares its cache, all at once.

One that cannot be used is left out and named; nobody waits for it. What a node does then is in `node_check`.
"""

import math
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.place import Place
from search.run.mps import ADVICE
from search.run.node_check import REMEDY, Check, check_here, describe_failure
from search.run.probe import are_pretended, find_versions, meet_in
from search.storage import name_storage
from segcore.errors import StorageError

Node = dict[str, Any]
"""A node as Ray describes it."""

_SHORT: Final = 8
_SILENT_SECONDS: Final = 600.0
"""To load torch from a shared file system takes minutes."""


class Nodes:
    """Looks at each node once, when it joins, without waiting for it.

    Args:
        place: data, cache, storage and resources are used.

    Raises:
        StorageError: when the storage cannot be written on this machine.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._meeting = meet_in(place.storage)
        self._meeting.call()
        self._here = ray.get_runtime_context().get_node_id()
        self._running: dict[Any, Node] = {}
        self._begun: dict[str, float] = {}
        self._checked: dict[str, tuple[Node, Check]] = {}
        self._told: set[str] = set()
        self._advised: set[str] = set()
        self._cache_key = ""
        # Whoever shows a stage asks for its nodes too.
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave nothing in the copy that Ray Tune saves of all that it is given, which nobody reads."""
        return {}

    def expect_cache(self, key: str) -> None:
        """Take the nodes whose cache is that of this machine; until it is known, none is ready."""
        self._cache_key = key

    def find_usable(self, fit: Collection[Node], wait_seconds: float = 0.0) -> list[Node]:
        """Begin to look at those that are new, and return those that are ready for trials.

        Args:
            fit: nodes that are there and could hold a trial.
            wait_seconds: how long to wait for one more to be looked at.
        """
        with self._lock:
            known = {node["NodeID"] for node in self._running.values()} | self._checked.keys()
            for node in fit:
                if node["NodeID"] not in known:
                    self._running[self._look_there(node)] = node
                    self._begun[node["NodeID"]] = time.monotonic()
            self._collect(wait_seconds)
            ready = self._checked.keys() - self.left_out.keys() if self._cache_key else set()
        return [node for node in fit if node["NodeID"] in ready]

    @property
    def is_busy(self) -> bool:
        """Whether a node is still being looked at, or prepares its cache."""
        return bool(self._running)

    @property
    def left_out(self) -> dict[str, str]:
        """Why nodes are given no trial, by Ray's name."""
        # A copy: whoever else asks for nodes may add one meanwhile.
        found = [(node, self._find_problem(check)) for node, check in self._checked.copy().values()]
        return {node["NodeID"]: f"{describe_node(node)}: {problem}" for node, problem in found if problem}

    def pop_warnings(self) -> list[str]:
        """Return warnings of nodes that are left out, and of nodes where trials take turns on a GPU, each once."""
        new = {name: problem for name, problem in self.left_out.items() if name not in self._told}
        self._told |= new.keys()
        told = [f"{problem[0].upper()}{problem[1:]}; it is given no trial." for problem in new.values()]
        return [*told, *self._pop_advice()]

    def describe_busy(self) -> str:
        """Say which nodes are not ready yet; empty when none is on its way."""
        names = [describe_node(node) for node in list(self._running.values())]
        return f"{', '.join(names)} to prepare {'its cache' if len(names) == 1 else 'their caches'}" if names else ""

    def close(self) -> None:
        """Delete what was left in the storage."""
        self._meeting.end()

    def _pop_advice(self) -> Iterator[str]:
        new = {name: looked for name, looked in self._checked.copy().items() if name not in self._advised}
        self._advised |= new.keys()
        if self._place.shares_gpus and not are_pretended():
            yield from advise_mps(new.values())

    def _look_there(self, node: Node) -> Any:
        gpus = node["Resources"].get("GPU", 0.0) if self._place.gpus_per_trial else 0.0
        own_cache = node["NodeID"] == self._here
        # A process that has seen a GPU keeps some of its memory, so it ends with the task.
        task = ray.remote(num_cpus=0, max_retries=1, max_calls=1)(check_here)
        where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        return task.options(scheduling_strategy=where).remote(
            self._place, self._meeting, node["NodeID"], find_versions(), gpus, are_pretended(), not own_cache
        )

    def _collect(self, seconds: float) -> None:
        if not self._running:
            return
        if seconds:
            ray.wait(list(self._running), num_returns=1, timeout=seconds)
        done, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for task in done:
            node = self._running.pop(task)
            self._checked[node["NodeID"]] = (node, self._read(task, node["NodeID"]))
        self._give_up_silent()

    def _give_up_silent(self) -> None:
        """Leave out the nodes of which nothing is seen: to decode may take hours, what comes before may not."""
        for task, node in list(self._running.items()):
            silent_seconds = time.monotonic() - self._begun[node["NodeID"]]
            if silent_seconds <= _SILENT_SECONDS:
                continue
            if self._has_shown_itself(node["NodeID"]):
                self._begun[node["NodeID"]] = math.inf
                continue
            ray.cancel(task, force=True)
            told = f"nothing is seen of it for {silent_seconds / 60:.0f} min"
            self._checked[node["NodeID"]] = (node, Check(problem=f"{told}: {REMEDY}"))
            del self._running[task]

    def _has_shown_itself(self, name: str) -> bool:
        # While the storage is away nobody can.
        with suppress(StorageError, OSError):
            return self._meeting.has_answered(name)
        return True

    def _read(self, task: Any, name: str) -> Check:
        storage = name_storage(self._place.storage)
        try:
            check: Check = ray.get(task)
            if not check.problem and not self._meeting.has_answered(name):
                return Check(problem=f"what it writes to {storage} is not seen here; mount one shared folder")
        except ray.exceptions.RayError as error:
            return Check(problem=describe_failure(error))
        # A store that does not answer as a node joins ends no search that goes on elsewhere.
        except (StorageError, OSError) as error:
            return Check(problem=f"what it writes to {storage} cannot be looked for ({error})")
        return check

    def _find_problem(self, check: Check) -> str:
        if check.problem or not check.cache_key or not self._cache_key or check.cache_key == self._cache_key:
            return check.problem
        return f"{self._place.data} holds other files there than here; every node must have the same"


@contextmanager
def looking_at_nodes(place: Place) -> Iterator[Nodes]:
    """Look at the nodes of the connected cluster, and leave nothing of it in the storage."""
    nodes = Nodes(place)
    try:
        yield nodes
    finally:
        nodes.close()


def advise_mps(looked: Iterable[tuple[Node, Check]]) -> Iterator[str]:
    """Name the nodes that have GPUs, and nothing that lets trials use one of them side by side, in one sentence."""
    probes = [(node, check.probe) for node, check in looked if not check.problem and check.probe is not None]
    names = [describe_node(node) for node, probe in probes if probe.gpus and not probe.has_mps]
    if names:
        told = ", ".join(names)
        yield f"{told[0].upper()}{told[1:]}: {ADVICE}."


def describe_node(node: Node) -> str:
    """Return a node's address and the beginning of its name in Ray."""
    return f"node {node['NodeManagerAddress']} ({node['NodeID'][:_SHORT]})"
