"""Tells of a head that is lost: a minute later Ray ends the driver, too, and says nothing of its search."""

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
    missed = 0
    while not over.wait(every_seconds):
        missed = 0 if _opens(host.strip("[]"), int(port), every_seconds) else missed + 1
        if missed == _MOST_MISSED:
            tell(f"The cluster's head ({address}) does not answer; Ray ends this command in a minute if it stays away")


def _opens(host: str, port: int, timeout_seconds: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False
