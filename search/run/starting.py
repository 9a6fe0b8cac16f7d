"""Gives a local Ray the time that a busy machine needs to start: Ray itself gives up after half a minute.

Its raylet ends itself when its agents, which are Python programs, have not said within fifteen seconds on which ports
they listen (https://github.com/ray-project/ray/issues/65983).
"""

import inspect
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from subprocess import Popen
from typing import Any, Final

from ray._private import services
from ray._raylet import persist_port  # type: ignore[attr-defined]

_START_SECONDS: Final = 240.0
_PAUSE_SECONDS: Final = 0.1
_UNUSED: Final = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
"""Services of a node that only a cluster's dashboard asks for, by the files in which their ports are told."""
_PORTS: Final = range(20_000, 32_000)
"""Below those that a system gives to whoever asks for any: the agent takes its own only seconds later."""
SYSTEM_CONFIG: Final = {
    "agent_register_timeout_ms": round(1000 * _START_SECONDS),
    "worker_register_timeout_seconds": round(_START_SECONDS),
}
"""How long a raylet waits for what it has started, as `ray.init` takes it."""

GetNode = Callable[[str, str], Any]


@contextmanager
def starting_patiently(processes: Sequence[Popen[bytes]] | None) -> Iterator[None]:
    """Let a node that starts meanwhile take minutes to be known.

    Args:
        processes: of a Ray of this process's own, as it starts them; it has failed when one of them ends, and starts
            nothing without any. None: of a cluster, they are not looked at.
    """
    get_node, start_raylet = services.get_node, services.start_raylet
    services.get_node = partial(wait_for_node, get_node, processes, _START_SECONDS)
    if processes is not None:
        services.start_raylet = partial(start_unwaited, start_raylet)
    try:
        yield
    finally:
        services.get_node, services.start_raylet = get_node, start_raylet


def start_unwaited(start_raylet: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Start a raylet that waits for no agent to say where it listens.

    Args:
        start_raylet: how Ray starts it.
        given: what it is to be told.
        named: the same by name.
    """
    told = inspect.signature(start_raylet).bind(*given, **named)
    told.arguments["runtime_env_agent_port"] = find_free_port()
    for service in _UNUSED:
        # As an agent writes it that does not offer it.
        persist_port(told.arguments["session_dir"], told.arguments["node_id"], service, -1)
    return start_raylet(*told.args, **told.kwargs)


def find_free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    # Two searches that start at once do not try the same one first.
    tried = random.Random().sample(_PORTS, len(_PORTS))
    return next((port for port in tried if _is_free(port)), 0)


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("", port))
        return True
    return False


def wait_for_node(
    get_node: GetNode, processes: Sequence[Popen[bytes]] | None, seconds: float, address: str, node: str
) -> Any:
    """Return a node as Ray describes it, once it is known.

    Args:
        get_node: how Ray asks for it.
        processes: all that must live meanwhile; None: none.
        seconds: how long to ask again.
        address: of the head.
        node: its name in Ray.

    Raises:
        RuntimeError: when it is not known by then, or a process has ended.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return get_node(address, node)
        # Ray's word for one that is not known.
        except RuntimeError:
            is_starting = processes is None or (processes and all(process.poll() is None for process in processes))
            if not is_starting or time.monotonic() > until:
                raise
        time.sleep(_PAUSE_SECONDS)
