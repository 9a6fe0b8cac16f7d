"""Ray: connect or start, check that a trial fits somewhere, and prepare each node's cache once."""

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import ray
import torch

from search.ending import list_heeded, unbroken
from search.place import Place
from search.run.address import find_address
from search.run.apart import retake_signals, started_apart, without_handlers
from search.run.capacity import Capacity, alive_nodes
from search.run.demand import demanding
from search.run.mps import ADVICE, runs_mps
from search.run.nodes import looking_at_nodes
from search.run.private import kept_private, on_loopback, without_arguments
from search.run.probe import PRETENDED, are_pretended, describe_blindness
from search.run.quiet import keep_quiet, without_reports
from search.run.share import VISIBLE, count_cpus, taking_gpus
from search.run.starting import SYSTEM_CONFIG, starting_patiently
from search.run.threads import require_threads
from search.tracking_uri import mask_uri
from segcore.bucket import PLACE_VARIABLES
from segcore.counting import count_words
from segcore.data.bringing import bring_each
from segcore.data.caching.build import Announce
from segcore.data.caching.cache import PixelCache, Progress
from segcore.data.case import DataSet
from segcore.data.decoding import LIMIT_VARIABLE
from segcore.data.extra import prepare_caches, read_extra
from segcore.errors import ClusterError

_LOOK_SECONDS: Final = 1.0
PACKAGES: Final = ("search", "segcore", "spaces")
_ROOT: Final = Path(__file__).resolve().parents[2]


@contextmanager
def attached(place: Place, gpus: tuple[str, ...] | None = None) -> Iterator[None]:
    """Connect to the cluster that the place names, or start a local Ray, ask nothing of it, and leave it at the end.

    Args:
        place: address and data are used.
        gpus: of this machine that a local Ray may use; None: all.

    Raises:
        ClusterError: when the cluster cannot be reached.
    """
    keep_quiet()
    head = find_address(place.address)
    with kept_private(head) as private, _started(place, head, gpus, private), _ending_as_interrupted():
        yield


@contextmanager
def connected(place: Place, trials: int = 1) -> Iterator[Capacity]:
    """Connect to the cluster that the place names, or start a local Ray, and leave it at the end.

    A cluster's autoscaler is asked for nodes at once, so that they start while this machine decodes images.

    Args:
        place: where the search runs.
        trials: how many there are to run at most.

    Yields:
        What the nodes hold.

    Raises:
        ClusterError: when the cluster cannot be reached, or this machine's own Ray can never hold a trial.
    """
    with taking_gpus(place) as share, attached(place, share.taken):
        if not place.address:
            _require_capacity(place)
            yield Capacity(place, note=". ".join(each for each in (share.others, advise_mps(place)) if each))
            return
        with demanding(place, trials) as demand, looking_at_nodes(place) as nodes:
            yield Capacity(place, nodes, demand, head=ray.get_runtime_context().gcs_address)


@contextmanager
def _started(place: Place, head: str, gpus: tuple[str, ...] | None, private: Mapping[str, Any]) -> Iterator[None]:
    require_threads(head)
    try:
        with (
            on_loopback(head),
            without_arguments(),
            without_reports(),
            without_handlers(),
            started_apart() as begun,
            starting_patiently(begun),
        ):
            ray.init(
                address=head or "local",
                num_cpus=None if head else count_cpus(),
                num_gpus=None if gpus is None else len(gpus),
                include_dashboard=None if head else False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                configure_logging=True,
                runtime_env=_runtime_env(place),
                _system_config=None if head else SYSTEM_CONFIG,
                **private,
            )
    # Where its processes do not come up Ray raises a mere `Exception`.
    except Exception as error:
        raise ClusterError(_describe_failure(place, error)) from error
    try:
        yield
    finally:
        # Broken off, it leaves a core that soon finds its processes gone, and ends this one by force.
        with unbroken():
            ray.shutdown()
            retake_signals()


def _describe_failure(place: Place, error: Exception) -> str:
    told = " ".join(str(error).split())
    if not place.address:
        return (
            f"A Ray of this machine's own cannot be started ({told}); let /dev/shm and {tempfile.gettempdir()} be "
            "written and have room (a container: --shm-size=4g, or TMPDIR for another folder), try again when this "
            "machine is less busy, or name a cluster by --address."
        )
    remedy = "check the address with 'ray status', have the head's ~/.ray/auth_token on this machine too"
    if told.startswith("Version mismatch"):
        remedy = "use the cluster's versions here, or this machine's there"
    return (
        f"--address {place.address}: Ray cannot be reached ({told}); {remedy}, or leave --address out for a local Ray."
    )


@contextmanager
def _ending_as_interrupted() -> Iterator[None]:
    """Take the signals by which job managers, closing terminals and keyboards end a process as Ctrl-C is taken.

    What Ray's core does by itself at SIGTERM, from `ray.init` on, aborts the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {each: signal.signal(each, _interrupt) for each in list_heeded()}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGQUIT:
        # Who asks a second time waits no longer.
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell script starts what it sends to the background so, and Ray Tune listens only while trials run.
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def has_idle_gpus(place: Place) -> bool:
    """Say whether the cluster has GPUs that the search's trials are not given."""
    return not place.gpus_per_trial and any(node["Resources"].get("GPU") for node in alive_nodes())


def prepare_nodes(
    dataset: DataSet, capacity: Capacity, progress: Progress, announce: Announce | None = None
) -> PixelCache:
    """Prepare the cache of the data, and of the extra data, on this machine and meanwhile on every other node.

    Nodes that take longer, or join later, are given trials when they are ready.

    Args:
        dataset: the data.
        capacity: the nodes; data, extra data and cache folder of its place are used.
        progress: told about this machine's cache.
        announce: told what making it takes.

    Returns:
        This machine's cache; its key is the same on every node.

    Raises:
        DataError: listing everything wrong with the data.
        StorageError: when this machine's disk is too small.
        ClusterError: when torch does not see the GPUs that trials of this machine's own Ray are to have.
    """
    place = capacity.place
    if capacity.nodes is None:
        _require_seen_gpus(place)
    capacity.find_usable()
    extra = read_extra(dataset, bring_each(place.extra, place.cache))
    cache = prepare_caches(dataset, extra, place.cache, progress, announce)
    if capacity.nodes is not None:
        capacity.nodes.expect_cache(cache.key)
    return cache


def require_usable(capacity: Capacity) -> None:
    """Wait for a node that may be given trials, as long as there are some that are being looked at.

    Args:
        capacity: the nodes, after `prepare_nodes`.

    Raises:
        ClusterError: naming each node, when of those that are there none can be used.
    """
    nodes = capacity.nodes
    if nodes is None:
        return
    while not capacity.find_usable(_LOOK_SECONDS) and nodes.is_busy:
        pass
    problems = nodes.left_out.values()
    if problems and not capacity.find_usable():
        raise ClusterError("\n".join(["No node can be given a trial:", *(f"  - {problem}." for problem in problems)]))


def _require_seen_gpus(place: Place) -> None:
    if place.gpus_per_trial and not are_pretended():
        for fault in describe_blindness(torch.cuda.device_count(), place.gpus_per_trial):
            wanted = f"--gpus-per-trial {place.gpus_per_trial:g}"
            raise ClusterError(f"{wanted}: {fault}; or give 0 to train on CPUs.{_tell_hidden()}")


def _require_capacity(place: Place) -> None:
    for kind, needed in (("GPU", place.gpus_per_trial), ("CPU", place.cpus_per_trial)):
        held = max((node["Resources"].get(kind, 0.0) for node in alive_nodes()), default=0.0)
        if needed > held:
            less = f"ask for {held:g} or less" if held else "give 0 to train on CPUs"
            raise ClusterError(
                f"--{kind.lower()}s-per-trial {needed:g}: this machine has {count_words(round(held), kind)} for "
                f"trials, so that none could ever start; {less}, or name a cluster by --address."
                f"{_tell_hidden() if kind == 'GPU' else ''}"
            )


def _tell_hidden() -> str:
    """Say what hides GPUs from this command, where its environment names those that it may use."""
    visible = os.environ.get(VISIBLE)
    return "" if visible is None else f" {VISIBLE} is {visible!r} here: a GPU that it does not name is hidden."


def advise_mps(place: Place) -> str:
    """Say what lets trials share this machine's GPUs side by side; empty where it is there, or nothing is shared."""
    return ADVICE if place.shares_gpus and not are_pretended() and not runs_mps() else ""


def _runtime_env(place: Place) -> dict[str, Any]:
    environment = {
        "NO_ALBUMENTATIONS_UPDATE": "1",
        # A reused worker whose last training takes longer to end is given up, and the next trial with it, unseen.
        "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
        # Each trial of a reused worker has a thread of its own, and glibc keeps memory for each that ever was.
        "MALLOC_ARENA_MAX": "1",
    }
    given = {name: os.environ.get(name, "") for name in (LIMIT_VARIABLE, PRETENDED, *PLACE_VARIABLES)}
    # Ray shows a worker's in its logs and on its command line, so an address with a password is each node's own affair.
    environment |= {name: value for name, value in given.items() if value and mask_uri(value) == value}
    if place.address:
        return {"py_modules": [str(_ROOT / package) for package in PACKAGES], "env_vars": environment}
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return {"env_vars": {**environment, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}}
