"""A cluster of this machine: a head that holds no trial, and two worker nodes, each a raylet of its own."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ray.cluster_utils import Cluster

ROOT: Final = Path(__file__).resolve().parents[2]
HEAD: Final[Mapping[str, Any]] = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False}
WORKER: Final[Mapping[str, Any]] = {"num_cpus": 2, "num_gpus": 0, "include_dashboard": False}
_STARTS: Final = 5


class UnfitError(Exception):
    """A fault that cannot be struck on this machine, with the reason."""


class DrillError(Exception):
    """The drill itself could not be held, whatever the search does."""


def start_cluster(homes: Path, jobs_port: int | None = None) -> tuple[Cluster, list[Any]]:
    """Start a head and two workers.

    Args:
        homes: folder for what workers of a cluster that takes jobs unpack.
        jobs_port: where the head takes jobs; None: it takes none.

    Raises:
        DrillError: when Ray does not start.
    """
    cluster = Cluster()
    if jobs_port is None:
        add_node(cluster, HEAD)
        return cluster, [add_node(cluster, WORKER) for _ in range(2)]
    dashboard = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": jobs_port}
    add_node(cluster, {**HEAD, **dashboard})
    # Nodes of one machine would unpack the job's code into one folder, each anew under the feet of the other.
    return cluster, [add_node(cluster, {**WORKER, "temp_dir": str(homes / name)}) for name in ("a", "b")]


def submit_command(port: int) -> list[str]:
    """Return what makes a job of the command that follows it."""
    ray = str(Path(sys.executable).parent / "ray")
    return [ray, "job", "submit", "--address", f"http://127.0.0.1:{port}", "--working-dir", str(ROOT), "--"]


def add_node(cluster: Cluster, options: Mapping[str, Any]) -> Any:
    """Let a node join.

    Raises:
        DrillError: when Ray does not start it.
    """
    for _ in range(_STARTS):
        # Ray gives a raylet half a minute, which is short on a machine that others use.
        with suppress(Exception):
            return cluster.add_node(**options)
    raise DrillError(f"Ray starts no node within {_STARTS} tries; is the machine too busy?")


def stop_cluster(cluster: Cluster) -> None:
    """Stop every node."""
    # What a fault has killed is gone already.
    with suppress(Exception):
        cluster.shutdown()


def raylet_of(node: Any) -> int:
    """Return the process id of a node's raylet."""
    return int(node.all_processes["raylet"][0].process.pid)
