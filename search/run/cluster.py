"""Ray: connect or start, check that a trial fits somewhere, and prepare each node's cache once."""

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.place import Place
from search.run.capacity import alive_nodes, count_concurrent
from segcore.bucket import PLACE_VARIABLES
from segcore.data.bringing import bring_data, bring_each
from segcore.data.caching.build import Announce
from segcore.data.caching.cache import PixelCache, Progress
from segcore.data.case import DataSet
from segcore.data.dataset import read_dataset
from segcore.data.decoding import LIMIT_VARIABLE
from segcore.data.extra import prepare_caches, read_extra
from segcore.errors import ClusterError, StreetError

_CONNECT_SECONDS: Final = 5.0
_PACKAGES: Final = ("search", "segcore", "spaces")
_ROOT: Final = Path(__file__).resolve().parents[2]

# Ray Tune's own loggers write every result to three files and print boxes; the journal replaces them.
_QUIET: Final = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
}


@contextmanager
def connected(place: Place) -> Iterator[None]:
    """Connect to the cluster that the place names, or start a local Ray, and leave it at the end.

    Raises:
        ClusterError: when the cluster cannot be reached or no node can hold a trial.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    _require_reachable(place.address)
    if not place.address and not _can_keep_token():
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex())
    try:
        ray.init(
            address=place.address or "local",
            include_dashboard=None if place.address else False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=True,
            runtime_env=_runtime_env(place),
        )
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(
            f"--address {place.address or '(local)'}: Ray cannot be reached or started ({error}); "
            "check the address with 'ray status', have the head's ~/.ray/auth_token on this machine too, "
            "or leave --address out for a local Ray."
        ) from error
    try:
        with _ending_as_interrupted():
            _require_capacity(place)
            yield
    finally:
        ray.shutdown()


@contextmanager
def _ending_as_interrupted() -> Iterator[None]:
    """Take the signals by which job managers and closing terminals end a process as Ctrl-C is taken.

    Ray's own handler of SIGTERM aborts the process; it is there from `ray.init` on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Under nohup a hang-up is to be ignored.
    heeded = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN]
    former = {each: signal.signal(each, _interrupt) for each in heeded}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell script starts what it sends to the background so, and Ray Tune listens only while trials run.
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def has_idle_gpus(place: Place) -> bool:
    """Say whether the cluster has GPUs that the search's trials are not given."""
    return not place.gpus_per_trial and any(node["Resources"].get("GPU") for node in alive_nodes())


def prepare_nodes(dataset: DataSet, place: Place, progress: Progress, announce: Announce | None = None) -> PixelCache:
    """Prepare the cache of the data, and of the extra data, on this machine and once on every other node.

    Args:
        dataset: the data.
        place: data, extra data and cache folder are used.
        progress: told about this machine's cache.
        announce: told what making it takes.

    Returns:
        This machine's cache; its key is the same on every node.

    Raises:
        DataError: listing everything wrong with the data.
        StorageError: when this machine's disk is too small.
        ClusterError: naming the node that cannot prepare its cache, or has other data.
    """
    extra = read_extra(dataset, bring_each(place.extra, place.cache))
    cache = prepare_caches(dataset, extra, place.cache, progress, announce)
    here = ray.get_runtime_context().get_node_id()
    others = [node for node in alive_nodes() if node["NodeID"] != here]
    prepare = ray.remote(num_cpus=0, max_retries=1)(_prepare_here)
    pending = {
        prepare.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            place.data, place.layout, place.extra, place.cache
        ): node["NodeManagerAddress"]
        for node in others
    }
    for task, address in pending.items():
        try:
            found = ray.get(task)
        except ray.exceptions.RayError as error:
            raise ClusterError(f"Node {address} cannot prepare its cache: {error}") from error
        if found != cache.key:
            raise ClusterError(
                f"Node {address} prepared no such cache: {found}. {place.data} must hold the same files on every "
                f"node, and {place.cache} must have room on each."
            )
    return cache


def _prepare_here(data: str, layout: str, extra: tuple[str, ...], cache: Path) -> str:
    try:
        dataset = read_dataset(bring_data(data, cache), layout)
        return prepare_caches(dataset, read_extra(dataset, bring_each(extra, cache)), cache).key
    except StreetError as error:
        return str(error)


def _require_capacity(place: Place) -> None:
    nodes = alive_nodes()
    for kind, needed in (("GPU", place.gpus_per_trial), ("CPU", place.cpus_per_trial)):
        largest = max((node["Resources"].get(kind, 0.0) for node in nodes), default=0.0)
        if needed > largest:
            raise ClusterError(
                f"--{kind.lower()}s-per-trial {needed:g}: the largest of {len(nodes)} node(s) has {largest:g} {kind}s, "
                f"so no trial could ever start; ask for {largest:g} or less, or add nodes first."
            )
    if count_concurrent(place) == 0:
        raise ClusterError(
            f"No node has {place.cpus_per_trial:g} CPUs and {place.gpus_per_trial:g} GPUs together; "
            "ask for less per trial, or add nodes first."
        )


def _can_keep_token() -> bool:
    """Say whether Ray can write the token of a local Ray into the user's home, as it does unless it is given one."""
    folder = Path.home() / ".ray"
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        return (folder / "auth_token").is_file() or os.access(folder, os.W_OK)
    return False


def _require_reachable(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        # Ray itself retries a dead address for minutes.
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"--address {address} does not answer ({error}); start the cluster with 'ray up cluster.yaml' or "
            "'ray start --head', or leave --address out for a local Ray."
        ) from error


def _runtime_env(place: Place) -> dict[str, Any]:
    environment = {
        "NO_ALBUMENTATIONS_UPDATE": "1",
        # A reused worker whose last training takes longer to end is given up, and the next trial with it, unseen.
        "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    }
    if limit := os.environ.get(LIMIT_VARIABLE):
        environment[LIMIT_VARIABLE] = limit
    environment |= {name: os.environ[name] for name in PLACE_VARIABLES if name in os.environ}
    if place.address:
        return {"py_modules": [str(_ROOT / package) for package in _PACKAGES], "env_vars": environment}
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return {"env_vars": {**environment, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}}
