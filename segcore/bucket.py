"""Folders in buckets of an object store: reading and writing what lies in them.

Which addresses there are is in `bucket_address`. What of a search lies in a bucket says `search.mirror`, how data is
brought from one `data.bringing`.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, TypeVar
from urllib.parse import quote, unquote

from segcore.bucket_address import SCHEMES, split_address
from segcore.errors import ConfigError, StorageError, StoreAwayError

Result = TypeVar("Result")

PLACE_VARIABLES: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION")
"""Variables that say where a store answers, and nothing secret: every worker is to ask the same one."""

_AWAY: Final = re.compile(
    r"AWS Error (NETWORK_CONNECTION|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|REQUEST_TIMEOUT|THROTTLING)"
    r"|HTTP status code 50\d|UNAVAILABLE|timed? ?out|TransportException",
    re.IGNORECASE,
)
"""What Arrow says of a store that is S3, Google's or Azure."""
PATIENCE_SECONDS: Final = 90.0
_PAUSE_SECONDS: Final = 3.0
_CHUNK_BYTES: Final = 8 << 20
_TOLD_LETTERS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file in a bucket.

    Args:
        path: from the folder on that was listed.
        size: bytes.
        modified: seconds since the Unix epoch, by the clock of the store.
    """

    path: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A folder in a bucket; build it with `parse_bucket`, which refuses what is none.

    Args:
        base: its address up to the question mark, without a slash at the end.
        query: what follows the question mark, such as where a store of one's own answers; may be empty.
    """

    base: str
    query: str = ""

    @property
    def address(self) -> str:
        """The whole address."""
        return f"{self.base}?{self.query}" if self.query else self.base

    @property
    def name(self) -> str:
        """The last part of the address."""
        return unquote(self.base.rpartition("/")[2])

    def inside(self, path: str) -> "Bucket":
        """Return what lies at a path in this folder."""
        return replace(self, base=f"{self.base}/{quote(path)}")

    def relative(self, path: str) -> str | None:
        """Return from this folder on what Arrow calls by a path of its own; None when it is not inside."""
        root = f"{_connect(self)[1]}/"
        return path.removeprefix(root) if path.startswith(root) else None

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None when there is no such file.

        Raises:
            StorageError: when the bucket cannot be read.
        """
        files, whole = self._find(path)
        try:
            with self._told("read"), files.open_input_stream(whole) as stream:
                content: bytes = stream.read()
                return content
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes) -> None:
        """Write a file, which is there whole or not at all.

        Raises:
            StorageError: when the bucket cannot be written.
        """
        files, whole = self._find(path)
        with self._told("written"), files.open_output_stream(whole) as stream:
            stream.write(content)

    def upload(self, file: Path, path: str) -> None:
        """Copy a file of this machine into the bucket, where it is whole or not at all.

        Raises:
            StorageError: when the bucket cannot be written.
            OSError: when the file cannot be read.
        """
        with file.open("rb") as source, self._writing(path) as stream:
            while chunk := source.read(_CHUNK_BYTES):
                with self._told("written"):
                    stream.write(chunk)

    def download(self, path: str, target: IO[bytes]) -> None:
        """Copy a file of the bucket into an open one.

        Raises:
            FileNotFoundError: when there is no such file.
            StorageError: when the bucket cannot be read.
            OSError: when what is open cannot be written.
        """
        files, whole = self._find(path)
        with self._told("read"):
            stream = files.open_input_stream(whole)
        with stream:
            while True:
                with self._told("read"):
                    chunk = stream.read(_CHUNK_BYTES)
                if not chunk:
                    return
                target.write(chunk)

    def list_files(self, path: str = "") -> list[StoredFile]:
        """Return every file in a folder and below, by path; none when there is no such folder.

        A store takes names that would lead out of a folder on a machine, which nobody here gives; these are left out.

        Raises:
            StorageError: when the bucket cannot be read.
        """
        from pyarrow.fs import FileSelector, FileType

        files, whole = self._find(path)
        with self._told("read"):
            found = files.get_file_info(FileSelector(whole, recursive=True, allow_not_found=True))
        listed = [(each.path.removeprefix(f"{whole}/"), each) for each in found if each.type == FileType.File]
        return [
            StoredFile(path=name, size=each.size, modified=each.mtime.timestamp())
            for name, each in sorted(listed, key=itemgetter(0))
            if ".." not in PurePosixPath(name).parts and not name.startswith("/")
        ]

    def list_folders(self) -> list[str]:
        """Return the names of the folders right in this one.

        Raises:
            StorageError: when the bucket cannot be read.
        """
        from pyarrow.fs import FileSelector, FileType

        files, whole = self._find("")
        with self._told("read"):
            found = files.get_file_info(FileSelector(whole, allow_not_found=True))
        return sorted(each.base_name for each in found if each.type == FileType.Directory)

    def look_up(self, path: str = "") -> StoredFile | None:
        """Return what the store says of a file, or of what this is itself; None when there is no such file.

        Raises:
            StorageError: when the bucket cannot be read.
        """
        from pyarrow.fs import FileType

        files, whole = self._find(path)
        with self._told("read"):
            found = files.get_file_info(whole)
        if found.type != FileType.File:
            return None
        return StoredFile(path=path, size=found.size, modified=found.mtime.timestamp())

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone is no matter.

        Raises:
            StorageError: when the bucket cannot be written.
        """
        files, whole = self._find(path)
        with suppress(FileNotFoundError), self._told("written"):
            files.delete_file(whole)

    def delete_folder(self, path: str) -> None:
        """Delete a folder and all in it; one that is gone is no matter.

        Raises:
            StorageError: when the bucket cannot be written.
        """
        files, whole = self._find(path)
        with suppress(FileNotFoundError), self._told("written"):
            files.delete_dir(whole)

    def _find(self, path: str) -> tuple[Any, str]:
        """Return Arrow's file system, and the whole path in it of what lies at a path in this folder."""
        files, root = _connect(self)
        return files, f"{root}/{path}".rstrip("/")

    @contextmanager
    def _writing(self, path: str) -> Iterator[Any]:
        files, whole = self._find(path)
        with self._told("written"):
            stream = files.open_output_stream(whole)
        try:
            yield stream
        except BaseException as error:
            # Arrow cannot give it up: closed, what was written so far is there as a whole file.
            with suppress(OSError):
                stream.close()
            # A store that took no more has closed none.
            if not isinstance(error, StorageError):
                with suppress(StorageError):
                    self.delete(path)
            raise
        with self._told("written"):
            stream.close()

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            kind = StoreAwayError if is_away(error) else StorageError
            raise kind(
                f"{self.address} cannot be {done} ({describe(error)}); check the address, the network, and that this "
                "machine's own credentials (environment, files or role) allow it."
            ) from error


def parse_bucket(option: str, text: str) -> Bucket:
    """Return the folder in a bucket that an option gives.

    Args:
        option: its name, without dashes.
        text: an address.

    Raises:
        ConfigError: when it is no address of a bucket, or holds a secret.
    """
    base, query = split_address(option, text)
    bucket = Bucket(base=base, query=query)
    _connect(bucket)
    return bucket


def patiently(action: Callable[[], Result], seconds: float = PATIENCE_SECONDS) -> Result:
    """Do something with a bucket, again and again while its store does not answer.

    Args:
        action: what is to be done; doing it twice must be no matter.
        seconds: how long it is tried.

    Raises:
        StoreAwayError: when the store did not answer in that time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except StoreAwayError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def is_away(error: BaseException) -> bool:
    """Say whether a store did not answer, so that trying again may help, unlike where it refused."""
    return _AWAY.search(str(error)) is not None


def describe(error: BaseException) -> str:
    """Return in a line what a store said."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:_TOLD_LETTERS]


@cache
def _connect(bucket: Bucket) -> tuple[Any, str]:
    """Return Arrow's file system and the folder's path in it.

    Raises:
        ConfigError: when the address cannot be parsed, or Arrow lacks the store's part.
    """
    try:
        from pyarrow.fs import FileSystem
    except ImportError as error:
        raise ConfigError(
            f"{bucket.address} needs the package pyarrow ({error}); run 'pip install pyarrow'."
        ) from error
    try:
        files, path = FileSystem.from_uri(bucket.address)
    # A build of Arrow may lack a store; an address may be malformed.
    except (ValueError, NotImplementedError, ImportError) as error:
        raise ConfigError(
            f"{bucket.address} cannot be used ({error}); its form is {SCHEMES[bucket.base.partition('://')[0]]}, and "
            "the package pyarrow must be built with this store, as those of PyPI are."
        ) from error
    except OSError as error:
        raise StorageError(f"{bucket.address} cannot be reached ({describe(error)}); check the address.") from error
    return files, str(path).rstrip("/")
