"""What measurements of a server need: a port that is free, and to know when it answers."""

import socket
import time
import urllib.request
from typing import Final

_SERVER_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.2


def find_free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_server(address: str) -> None:
    """Wait until a server answers.

    Raises:
        OSError: when it does not within three minutes.
    """
    deadline = time.monotonic() + _SERVER_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return
