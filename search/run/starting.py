"""Gives a local Ray the time that a busy machine needs to start: Ray itself gives up after half a minute."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from subprocess import Popen
from typing import Any, Final

from ray._private import services

_START_SECONDS: Final = 240.0
_PAUSE_SECONDS: Final = 0.1

GetNode = Callable[[str, str], Any]


@contextmanager
def starting_patiently(processes: Sequence[Popen[bytes]] | None) -> Iterator[None]:
    """Let a node that starts meanwhile take minutes to be known.

    Args:
        processes: of Ray, as it starts them; it has failed when one of them ends, and starts nothing without any. None:
            they are not looked at.
    """
    before = services.get_node
    services.get_node = partial(wait_for_node, before, processes, _START_SECONDS)
    try:
        yield
    finally:
        services.get_node = before


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
