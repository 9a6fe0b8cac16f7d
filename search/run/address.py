"""Which cluster an address means, and whether it answers: Ray itself tries a dead one for minutes."""

import os
import socket
from contextlib import suppress
from typing import Final

from ray._private import services

from segcore.errors import ClusterError

_AUTO: Final = "auto"
_VARIABLE: Final = "RAY_ADDRESS"
_CONNECT_SECONDS: Final = 5.0
_REMEDY: Final = "or leave --address out for a local Ray"


def find_address(address: str) -> str:
    """Return the head's HOST:PORT that `ray.init` is to be given; empty for a Ray of one's own.

    Args:
        address: as a user gives it.

    Raises:
        ClusterError: when nothing answers there, with what to do.
    """
    if not address:
        return ""
    if address != _AUTO:
        return _require_answer(address, f"--address {address}")
    if (named := os.environ.get(_VARIABLE, _AUTO)) not in ("", _AUTO):
        return _require_answer(named, f"--address {_AUTO} means {_VARIABLE}={named}, which")
    if found := services.find_bootstrap_address(None):
        return _require_answer(found, f"--address {_AUTO} means {found}, where Ray was started last, which")
    # A search that runs on this machine has a Ray too, which listens on loopback alone.
    for running in services.find_gcs_addresses():
        with suppress(ClusterError):
            return _require_answer(running, running)
    raise ClusterError(
        f"--address {_AUTO}: no Ray was started on this machine by 'ray start', and {_VARIABLE} names none; give the "
        f"head's HOST:PORT, {_REMEDY}."
    )


def _require_answer(address: str, named: str) -> str:
    host, colon, port = address.rpartition(":")
    if "://" in address or "@" in address or not colon:
        raise ClusterError(f"{named} is no address of a head; give its HOST:PORT, such as 10.0.0.1:6379, {_REMEDY}.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterError(
            f"{named} does not answer ({error}); start the cluster with 'ray up cluster.yaml' or "
            f"'ray start --head', {_REMEDY}."
        ) from error
    return address
