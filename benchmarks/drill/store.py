"""A bucket of this machine for a drill's storage, and what happens to it: the store does not answer for a while."""

import logging
import os
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.drill.nodes import UnfitError

_OWN: Final = {
    "AWS_ACCESS_KEY_ID": "drill",
    "AWS_SECRET_ACCESS_KEY": "drill",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(slots=True)
class Store:
    """A server that speaks S3 and keeps what it has in this process's memory.

    Args:
        server: the one that answers now; None while none does.
        port: where it answers.
        bucket: of its own, for a later store of the process still has it.
    """

    server: Any
    port: int
    bucket: str

    @property
    def address(self) -> str:
        """What --storage is to give."""
        return f"s3://{self.bucket}/searches"

    def stop(self) -> None:
        """Answer no more; what was written is kept."""
        self.server.stop()
        self.server = None

    def start(self) -> None:
        """Answer again."""
        self.server = _start(self.port)


@contextmanager
def open_store() -> Iterator[Store]:
    """Start a store with an empty bucket that this process and those that it starts take for Amazon's.

    Raises:
        UnfitError: when there is no such server here.
    """
    server = _start(0)
    _, port = server.get_host_and_port()
    store, before = Store(server, port, f"drill-{uuid.uuid4().hex}"), dict(os.environ)
    os.environ.update({**_OWN, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{store.bucket}", method="PUT")
        urllib.request.urlopen(request).close()
        yield store
    finally:
        if store.server is not None:
            store.stop()
        for name in (*_OWN, "AWS_ENDPOINT_URL"):
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in (*_OWN, "AWS_ENDPOINT_URL") if name in before})


def _start(port: int) -> Any:
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        raise UnfitError("a bucket needs moto[server], of requirements-dev.txt") from error
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    return server
