"""Requests to a running search, each a file in its folder: to stop, to end a trial, to spare one.

`STORAGE/NAME/requests/` is written by whoever reaches the storage, and emptied by the driver, which is thereby seen to
have taken notice. Of a storage in a bucket the driver fetches them with its copies. What a request does to a search is
decided in `judge.wishes`.
"""

import getpass
import platform
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from search.storage import find_bucket
from segcore.bucket import Bucket
from segcore.errors import StorageError
from segcore.regular import open_regular
from segcore.replacing import replacing

FOLDER: Final = "requests"
_LOOK_SECONDS: Final = 1.0
_MOST_BYTES: Final = 4096
_BEGUN: Final = time.time()
"""A stop that lies there already, and was asked for before this process began, meant another one."""


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class Request:
    """What somebody asks of a search.

    Args:
        kind: to stop it, to end a trial, or to spare one from ASHA.
        trial: its number; None for a stop.
        reason: who asks, and why.
        now: whether to stop at once, not when the epochs that run are done.
        time: when it was asked, seconds since the Unix epoch.
    """

    kind: Literal["stop", "prune", "keep"]
    trial: Annotated[int, Field(ge=0)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=300)]
    now: bool = False
    time: Annotated[float, Field(ge=0)] = Field(default_factory=time.time)

    def __post_init__(self) -> None:
        if (self.trial is None) is not (self.kind == "stop"):
            raise ValueError("a stop is of the whole search, all else of one trial")


_ADAPTER: Final[TypeAdapter[Request]] = TypeAdapter(Request)


def name_asker(why: str = "") -> str:
    """Return who asks, and why, in a line."""
    try:
        user = getpass.getuser()
    # A container may run as a number that no user has.
    except (KeyError, OSError):
        user = "someone"
    told = f"asked for by {user} on {platform.node() or 'a machine'}"
    return " ".join((f"{told}: {why}" if why.strip() else told).split())[:300]


def send_request(root: Path, request: Request) -> None:
    """Leave a request where the search's driver finds it.

    Args:
        root: the search's folder on this machine.
        request: what is asked.

    Raises:
        StorageError: when the storage cannot be written.
    """
    name, content = f"{time.time_ns():020d}-{uuid.uuid4().hex}.json", _ADAPTER.dump_json(request)
    if (bucket := find_bucket(root.parent)) is not None:
        bucket.inside(root.name).write(f"{FOLDER}/{name}", content)
        return
    file = root / FOLDER / name
    try:
        file.parent.mkdir(exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{file} cannot be written ({error.strerror or error}); let it be written.") from error


def fetch_requests(stored: Bucket, root: Path) -> None:
    """Bring the requests in a bucket to the driver's machine, and take them away there.

    Args:
        stored: the search's folder in the bucket.
        root: its folder on this machine.

    Raises:
        StorageError: when the bucket cannot be used.
    """
    for each in stored.list_files(FOLDER):
        if each.size <= _MOST_BYTES and (content := stored.read(f"{FOLDER}/{each.path}")) is not None:
            (root / FOLDER).mkdir(exist_ok=True)
            # The driver's own thread may look meanwhile, and takes away what is no whole request.
            with replacing(root / FOLDER / Path(each.path).name) as temporary:
                temporary.write_bytes(content)
        stored.delete(f"{FOLDER}/{each.path}")


class Inbox:
    """The requests that a driver finds in its search's folder.

    Args:
        root: the search's folder on this machine.
    """

    def __init__(self, root: Path) -> None:
        self.stop: Request | None = None
        self._folder = root / FOLDER
        # The clock of whoever asks may be behind: what arrives from now on is meant for this process.
        self._found = {file.name for file in self._folder.glob("*.json")}
        self._waiting: list[Request] = []
        self._looked = 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked the search to stop."""
        self._look()
        return self.stop is not None

    @property
    def is_stopped_now(self) -> bool:
        """Whether it is to stop at once, too."""
        return self.is_stopped and self.stop is not None and self.stop.now

    def take(self) -> list[Request]:
        """Return what is asked of trials, each once, in the order in which it was asked."""
        self._look()
        taken, self._waiting = self._waiting, []
        return taken

    def _look(self) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for file in sorted(self._folder.glob("*.json")):
            request = _read(file)
            # Taken away first: what cannot be carried out is not tried again and again.
            with suppress(OSError):
                file.unlink()
            if request is not None and request.kind != "stop":
                self._waiting.append(request)
            elif request is not None and self._is_meant(file, request) and (self.stop is None or request.now):
                self.stop = request

    def _is_meant(self, file: Path, request: Request) -> bool:
        return file.name not in self._found or request.time >= _BEGUN


def _read(file: Path) -> Request | None:
    """Return a request; None for what is none, which anyone may have laid there."""
    try:
        with open_regular(file) as stream:
            return _ADAPTER.validate_json(stream.read(_MOST_BYTES + 1))
    except (OSError, ValueError):
        return None
