"""Tells of a head that is lost: Ray ends the driver, too, and says nothing of its search.

It does so after a minute, or as soon as a head is back that has forgotten its cluster.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_KNOCK_SECONDS: Final = 5.0
_MOST_MISSED: Final = 3
"""In a row; a head that is only busy takes a connection in all that time."""


@contextmanager
def head_watched(address: str, tell: Callable[[str], None], every_seconds: float = _KNOCK_SECONDS) -> Iterator[None]:
    """Knock at the head's door meanwhile, and tell once each time that nobody opens any more.

    Args:
        address: HOST:PORT of what knows the cluster; empty: nothing is watched, as of a Ray of this process's own.
        tell: called from another thread with what happened.
        every_seconds: between two knocks.
    """
    if not address:
        yield
        return
    over = threading.Event()
    arguments = (address, tell, over, every_seconds)
    thread = threading.Thread(target=_watch, args=arguments, name="head watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(address: str, tell: Callable[[str], None], over: threading.Event, every_seconds: float) -> None:
    host, _, port = address.rpartition(":")
    missed, is_told = 0, False
    while not over.wait(every_seconds):
        more = _count_missed(host.strip("[]"), int(port), every_seconds)
        missed = missed + more if more else 0
        if missed >= _MOST_MISSED and not is_told:
            told = f"The cluster's head ({address}) does not answer; Ray ends this command in a minute if it stays away"
            tell(f"{told}, sooner if it comes back without its memory")
        is_told = missed >= _MOST_MISSED


def _count_missed(host: str, port: int, timeout_seconds: float) -> int:
    """Return what a knock counts for: all that a head may miss, where there is no process that could be busy."""
    try:
        with socket.create_connection((host, port), timeout=timeout_seconds):
            return 0
    except ConnectionRefusedError:
        return _MOST_MISSED
    except OSError:
        return 1
