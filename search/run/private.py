"""Keeps a local Ray private (loopback, a token, a folder of its own), and the user's keys out of Ray's logs.

Connecting itself lives in `cluster`; a cluster of several machines has its own doors, see `cluster.yaml`.
"""

import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import ray._private.ray_constants as constants
from ray._private import utils, worker
from ray.tune.execution.class_cache import ENV_VARS_TO_PROPAGATE

from search.run.guard import PREFIX, clear_killed, end_agents, guarded
from segcore.errors import ClusterError
from segcore.scratch import locked_folder

_TOKEN: Final = "RAY_AUTH_TOKEN"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

_LONGEST_PARENT: Final = 24
"""Bytes; a socket's path has 107, of which 16 are the folder's own name and 66 what Ray lays into it."""


@contextmanager
def kept_private(address: str) -> Iterator[dict[str, Any]]:
    """Close a local Ray's doors while it starts, and remove its folder when it has ended.

    What is left of one whose driver was killed is ended and removed first.

    Args:
        address: of a cluster; empty: a Ray is started on this machine.

    Yields:
        What `ray.init` is to be told beside the rest.
    """
    _keep_keys_back()
    parent = _find_parent()
    if address:
        with guarded(parent):
            yield {}
        return
    _give_token()
    clear_killed(parent)
    with guarded(parent), locked_folder(PREFIX, parent) as folder:
        try:
            # Ray lets everyone into the folder that it is given, so it gets one inside of a closed one.
            yield {"_temp_dir": str(folder / "r")}
        finally:
            end_agents(folder)


@contextmanager
def on_loopback(address: str) -> Iterator[None]:
    """Let a local Ray that is started meanwhile listen on loopback, not on every address of the machine.

    Args:
        address: of a cluster; empty: a Ray is started on this machine.
    """
    # Ray does so by itself on systems on which it starts no clusters, which this says.
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = before and bool(address)
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def without_arguments() -> Iterator[None]:
    """Let Ray, which shows the command line of each driver on its dashboard, know of no arguments meanwhile.

    An address of MLflow or of `--notify` may hold a secret.
    """
    before = utils.get_entrypoint_name
    utils.get_entrypoint_name = lambda: "python -m search"
    try:
        yield
    finally:
        utils.get_entrypoint_name = before


def require_folder() -> None:
    """Refuse to go on with a Ray of this process's own whose folder was deleted: it can start no worker any more.

    Raises:
        ClusterError: naming what is missing, with what to do.
    """
    node = worker._global_node
    if node is None or not node.is_head():
        return
    needed = (Path(node.get_logs_dir_path()), Path(node.raylet_socket_name))
    for missing in (place for place in needed if not place.exists()):
        raise ClusterError(
            f"{missing} is gone, without which Ray starts no worker: something deletes temporary files while they are "
            "used. Keep it from that, or name a folder that it leaves alone by TMPDIR, and go on."
        )


def find_session() -> Path:
    """Return the folder in which the connected Ray keeps its files on this machine."""
    return Path(worker._global_node.get_session_dir_path())


def _keep_keys_back() -> None:
    """Let Ray Tune write no keys into the environment of each trial, which a log that anyone may read shows.

    Workers have them from the process that started their node.
    """
    ENV_VARS_TO_PROPAGATE.difference_update({name for name in ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")})


def _give_token() -> None:
    """Give a local Ray a token of its own, unless its user has one; Ray's own would be a file that anyone may read."""
    if any(os.environ.get(name) for name in (_TOKEN, f"{_TOKEN}_PATH")):
        return
    file = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):
        mode = file.stat().st_mode
        if mode & _OTHERS:
            file.chmod(stat.S_IMODE(mode) & ~_OTHERS)
        return
    os.environ[_TOKEN] = secrets.token_hex()


def _find_parent() -> Path:
    parent = tempfile.gettempdir()
    return Path(parent if len(os.fsencode(parent)) <= _LONGEST_PARENT else "/tmp")
