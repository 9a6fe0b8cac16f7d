"""What `search doctor` asks of every node, by a task on each, all at once; what follows is in `findings`."""

import hashlib
import importlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.place import Place
from search.run.capacity import alive_nodes
from search.run.cluster import PACKAGES
from search.run.node_check import describe_failure, import_training
from search.run.nodes import Node, describe_node
from search.run.probe import Meeting, Probe, measure_skew_seconds, meet_in, probe_machine
from segcore.data.bringing import is_elsewhere
from segcore.data.dataset import read_dataset
from segcore.errors import StreetError

_KNOCK_SECONDS: Final = 3.0
_ANSWER_SECONDS: Final = 120.0
_GIB: Final = 2**30
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Door = tuple[str, str, int]
"""Who is behind a port, the host and the port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a node says of itself.

    Args:
        probe: what it is and has.
        code: digest of this project's code there.
        temp_free_gib: room on the disk of Ray's own files.
        temp_used_share: of that disk, from 0 to 1.
        has_token: whether its Ray asks for a token.
        open_token: path of a token file that other users may read; empty when there is none.
        images: of the data set; None when it was not looked at, or lies in a bucket or an archive.
        data_problem: why the data cannot be read there; empty when it can.
        weights_problem: why ImageNet weights cannot be had there; empty when they can.
        shut: nodes whose Ray does not answer to it.
        mlflow_shut: where MLflow does not answer to it; empty when it does, or is a file.
    """

    probe: Probe
    code: str
    temp_free_gib: float
    temp_used_share: float
    has_token: bool
    open_token: str
    images: int | None
    data_problem: str
    weights_problem: str
    shut: tuple[str, ...]
    mlflow_shut: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHealth:
    """A node and what it answered.

    Args:
        name: by which a person finds it.
        gpus: that Ray believes it has.
        cpus: the same.
        answer: None when there was none.
        problem: why there was none, or that the driver does not see what the node wrote; empty when all went well.
        skew_seconds: by how much its clock is ahead of the driver's.
    """

    name: str
    gpus: float
    cpus: float
    answer: Answer | None
    problem: str = ""
    skew_seconds: float = 0.0


def examine_nodes(place: Place, data: str | None) -> list[NodeHealth]:
    """Ask every node of the connected cluster how it is, in the order of their addresses.

    Args:
        place: layout, storage, cache and MLflow's address are used.
        data: the data set; None: it is not looked at.

    Raises:
        StorageError: when the storage cannot be written on this machine.
    """
    nodes = sorted(alive_nodes(), key=lambda node: (node["NodeManagerAddress"], node["NodeID"]))
    meeting = meet_in(place.storage)
    meeting.call()
    try:
        sent = time.time()
        doors = [(describe_node(node), node["NodeManagerAddress"], int(node["ObjectManagerPort"])) for node in nodes]
        tasks = [_ask(node, place, data, meeting, doors) for node in nodes]
        return [_read(task, node, meeting, sent) for task, node in zip(tasks, nodes, strict=True)]
    finally:
        meeting.end()


def _ask(node: Node, place: Place, data: str | None, meeting: Meeting, doors: Sequence[Door]) -> Any:
    # A process that has seen a GPU keeps some of its memory, so it ends with the task.
    task = ray.remote(num_cpus=0, max_retries=1, max_calls=1)(examine_here)
    where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return task.options(scheduling_strategy=where).remote(place, data, meeting, node["NodeID"], doors)


def _read(task: Any, node: Node, meeting: Meeting, sent: float) -> NodeHealth:
    answer, problem, skew_seconds = None, "", 0.0
    try:
        answer = ray.get(task, timeout=_ANSWER_SECONDS)
        skew_seconds = measure_skew_seconds(sent, answer.probe.clock_seconds, time.time())
        if not answer.probe.storage_problem and not meeting.has_answered(node["NodeID"]):
            problem = "what it writes to the storage is not seen here: mount one shared folder"
    except ray.exceptions.GetTimeoutError:
        problem = f"does not answer within {_ANSWER_SECONDS:g} s: look at 'ray status', or start its Ray again"
    except ray.exceptions.RayError as error:
        problem = describe_failure(error)
    return NodeHealth(
        name=describe_node(node),
        gpus=node["Resources"].get("GPU", 0.0),
        cpus=node["Resources"].get("CPU", 0.0),
        answer=answer,
        problem=problem,
        skew_seconds=skew_seconds,
    )


def _find_mlflow(uri: str) -> list[Door]:
    parts = urlsplit(uri)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return []
    return [("MLflow", parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme])]


def examine_here(place: Place, data: str | None, meeting: Meeting, name: str, doors: Sequence[Door]) -> Answer:
    """Look at the node that this runs on.

    Args:
        place: layout, cache and MLflow's address are used.
        data: the data set; None: it is not looked at.
        meeting: in the storage.
        name: of the node, as Ray names it.
        doors: of the nodes, each of which it must reach.
    """
    probe = probe_machine(place.cache, meeting, name)
    import_training()
    images, data_problem = _count_images(data, place.layout)
    temp = shutil.disk_usage(tempfile.gettempdir())
    return Answer(
        probe=probe,
        code=digest_code(),
        temp_free_gib=temp.free / _GIB,
        temp_used_share=1 - temp.free / temp.total,
        has_token=os.environ.get("RAY_AUTH_MODE") == "token",
        open_token=_find_open_token(),
        images=images,
        data_problem=data_problem,
        weights_problem=_find_weights_problem(),
        shut=tuple(_knock(doors)),
        mlflow_shut=", ".join(_knock(_find_mlflow(place.tracking_uri))),
    )


def digest_code() -> str:
    """Return a short digest of this project's code, as it runs here."""
    # On a node of a cluster each package lies in a folder of its own.
    return digest_packages([Path(str(importlib.import_module(package).__file__)).parent for package in PACKAGES])


def digest_packages(folders: Sequence[Path]) -> str:
    """Return a short digest of the code of packages, wherever they lie.

    Args:
        folders: of the packages.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.relative_to(folder.parent).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _count_images(data: str | None, layout: str) -> tuple[int | None, str]:
    try:
        if data is None or is_elsewhere(data):
            return None, ""
        return len(read_dataset(Path(data), layout).cases), ""
    except StreetError as error:
        return None, str(error)


def _find_weights_problem() -> str:
    # It imports timm, which takes seconds.
    from segcore.config import TrainConfig
    from segcore.networks.weights import require_weights

    try:
        require_weights(TrainConfig())
    except StreetError as error:
        return str(error)
    return ""


def _find_open_token() -> str:
    with suppress(OSError, RuntimeError):
        file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        if file.stat().st_mode & 0o077:
            return str(file)
    return ""


def _knock(doors: Sequence[Door]) -> Iterator[str]:
    """Return who does not answer, and where."""
    for name, host, port in doors:
        try:
            socket.create_connection((host, port), timeout=_KNOCK_SECONDS).close()
        except OSError:
            yield f"{name} at {host}:{port}"
