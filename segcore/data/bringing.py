"""Brings a data set to this machine: from a bucket, or out of an archive; a folder is where it is.

It is fetched once into the folder of caches, by whoever comes first, under a file lock, into a temporary folder that is
renamed when it is whole. What was fetched is known by what the store says of each file, so data that changed is
fetched anew. Safe unpacking lives in `unpacking`, decoding what was brought in `caching`.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from filelock import FileLock, Timeout

from segcore.bucket import Bucket, StoredFile, parse_bucket, patiently
from segcore.bucket_address import is_address
from segcore.data.caching.disk import EMPTY_PATH, expand_home, read_path, resolve_folder
from segcore.data.fetched import DIGEST_BYTES, FOLDER, PART_SUFFIX, name_lock, name_part, remove_part
from segcore.data.listing import is_visible
from segcore.data.unpacking import SPARE_FILES, SUFFIXES, count_free_files, is_archive, unpack, unplaceable
from segcore.errors import ConfigError, DataError, StorageError

_FOR_PEOPLE: Final = re.compile(r"(readme|licen[cs]e|citation)\b|.*\.(md|pdf|html?|rst)$", re.IGNORECASE)
_FETCHES: Final = 16
"""At a time: each is short, and waits for the store."""
_SPARE_BYTES: Final = 256 << 20
_MIB: Final = 1 << 20

Progress = Callable[[int, int], None]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a data set lies that is to be brought here.

    Args:
        name: path or address, for a person.
        bucket: it, or the folder or archive in it; None: an archive on this machine.
        files: what is fetched or unpacked, with size and time.
        packed: whether it is one archive.
    """

    name: str
    bucket: Bucket | None
    files: tuple[StoredFile, ...]
    packed: bool

    @property
    def bytes(self) -> int:
        """How many are fetched."""
        return sum(file.size for file in self.files)

    @property
    def identity(self) -> str:
        """A digest of where it lies and of what the store says of its files."""
        facts = [self.name, *((file.path, file.size, file.modified) for file in self.files)]
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=DIGEST_BYTES).hexdigest()


def keep_place(option: str, given: str | Path) -> str:
    """Return what an option gives for a data set in the form in which it is kept: an address, or a whole path.

    Args:
        option: its name, without dashes.
        given: a folder, an archive, or the address of one in a bucket.

    Raises:
        ConfigError: when it is an address that cannot be used, or no path.
    """
    if is_address(given):
        return parse_bucket(option, str(given)).address
    if not str(given):
        raise ConfigError(f"--{option} '': {EMPTY_PATH}")
    return str(resolve_folder(option, Path(given)))


def name_data(given: str | Path) -> str:
    """Return a short name of a data set, for a title: of its folder, archive or address the last part."""
    place = keep_place("data", given)
    # In the name of a folder a question mark is one.
    return PurePosixPath(place.partition("?")[0] if is_address(given) else place).name


def bring_data(
    given: str | Path, root: Path, progress: Progress | None = None, tell: Tell | None = None, option: str = "data"
) -> Path:
    """Return the folder of a data set on this machine, fetching or unpacking it if that was not done yet.

    Args:
        given: a folder, an archive, or the address of one in a bucket.
        root: folder of this machine's caches.
        progress: told how many MiB are done, of how many; not called for what is here.
        tell: told in a line what is fetched, or waited for.
        option: that gave it.

    Raises:
        ConfigError: when it is empty, an address that cannot be used, or in a home that is not there.
        DataError: when there is nothing, or an archive that cannot be unpacked.
        StorageError: when the bucket cannot be read, or the disk is too small.
    """
    source = _find_source(given, option)
    if source is None:
        return expand_home(option, read_path(given))
    folder = root / FOLDER / source.identity
    say = tell or (lambda line: None)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder, say):
            if not folder.is_dir():
                _require_room(source, folder.parent)
                say(_describe(source, folder.parent))
                with _part_folder(folder) as part:
                    _fetch(source, part, progress or (lambda done, total: None))
                    part.rename(folder)
            # As long as nobody may remove it.
            return _find_root(folder)
    except OSError as error:
        raise StorageError(
            f"{source.name} cannot be brought to {folder.parent} ({error.strerror or error}); make room, or choose "
            "another folder with --cache."
        ) from error


def is_elsewhere(given: str | Path) -> bool:
    """Say whether a data set must be fetched or unpacked before it can be read; nothing is brought.

    Raises:
        ConfigError: when it is an address that cannot be used, or in a home that is not there.
        DataError: when there is nothing at its address.
        StorageError: when its bucket cannot be read.
    """
    return _find_source(given, "data") is not None


def bring_each(given: Sequence[str | Path], root: Path) -> list[Path]:
    """Return the folders of several data sets on this machine, such as extra ones; see `bring_data`."""
    return [bring_data(each, root, option="extra") for each in given]


def _find_source(given: str | Path, option: str) -> _Source | None:
    """Return where a data set is to be brought from; None when it is a folder of this machine, or nothing."""
    if not is_address(given):
        file = expand_home(option, Path(given))
        if not is_archive(file.name) or file.is_dir():
            return None
        return _see_archive(file)
    bucket = parse_bucket(option, str(given))
    file_there = patiently(bucket.look_up) if is_archive(bucket.name) else None
    if file_there is not None:
        return _Source(name=bucket.address, bucket=bucket, files=(file_there,), packed=True)
    files = tuple(file for file in patiently(bucket.list_files) if file.size or not file.path.endswith("/"))
    if not files:
        raise DataError(
            f"--{option} {bucket.address} is empty or not there; give the folder of a data set, or an archive "
            f"({', '.join(SUFFIXES)})."
        )
    return _Source(name=bucket.address, bucket=bucket, files=files, packed=False)


def _see_archive(file: Path) -> _Source:
    try:
        seen = file.stat()
        if not file.is_file():
            raise DataError(f"{file} is no data set: it is no regular file; give a folder or an archive.")
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); give a folder or an archive.") from error
    stored = StoredFile(path=file.name, size=seen.st_size, modified=seen.st_mtime)
    return _Source(name=str(file.resolve()), bucket=None, files=(stored,), packed=True)


def _describe(source: _Source, root: Path) -> str:
    size = f"{source.bytes / 2**30:.1f} GiB" if source.bytes >= 2**30 else f"{source.bytes / 2**20:.1f} MiB"
    what = "unpacking" if source.bucket is None else "fetching"
    files = "" if source.packed else f" of {len(source.files):,} files"
    return f"{what} {size}{files}: {source.name} into {root}"


def _require_room(source: _Source, root: Path) -> None:
    # An archive that is fetched lies beside what is unpacked for a while; pictures hardly shrink.
    needed = source.bytes * (2 if source.packed and source.bucket is not None else 1)
    free = shutil.disk_usage(root).free
    if needed + _SPARE_BYTES > free:
        raise StorageError(
            f"{source.name} needs {needed / 2**30:.1f} GiB but {root} has {free / 2**30:.1f} GiB free; make room "
            "(python -m segcore cache lists what older caches take) or choose another folder with --cache."
        )
    free_files = count_free_files(root) - SPARE_FILES
    if len(source.files) > free_files:
        raise StorageError(
            f"{source.name} has {len(source.files):,} files, but the disk of {root} has room for "
            f"{max(0, free_files):,.0f} (df -i tells); delete some there, or choose another folder with --cache."
        )


def _fetch(source: _Source, part: Path, progress: Progress) -> None:
    if source.bucket is None:
        unpack(Path(source.name), part, _in_mib(progress))
    elif source.packed:
        archive, fetch = part.with_name(f"{part.name}.{source.bucket.name}"), partial(_download, source.bucket, "")
        try:
            patiently(partial(fetch, archive))
            unpack(archive, part, _in_mib(progress))
        finally:
            archive.unlink(missing_ok=True)
    else:
        _fetch_files(source.bucket, source.files, part, progress)


def _fetch_files(bucket: Bucket, files: tuple[StoredFile, ...], part: Path, progress: Progress) -> None:
    targets = [part / _place(bucket, file.path) for file in files]

    def fetch(position: int) -> int:
        patiently(partial(_download, bucket, files[position].path, targets[position]))
        return files[position].size

    total, done = sum(file.size for file in files), 0
    with ThreadPoolExecutor(_FETCHES) as pool:
        for size in pool.map(fetch, range(len(files))):
            done += size
            progress(done // _MIB, total // _MIB)


def _download(bucket: Bucket, path: str, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        opened = target.open("wb")
    except OSError as error:
        remedy = "rename it there, or copy the data into a folder and give that"
        raise unplaceable(bucket.address, path, target, error, remedy) from error
    with opened as stream:
        try:
            bucket.download(path, stream)
        except FileNotFoundError as error:
            raise DataError(f"{bucket.address}: {path} was deleted meanwhile; start again.") from error


def _place(bucket: Bucket, path: str) -> PurePosixPath:
    place = PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts or "\0" in path:
        raise DataError(f"{bucket.address}: {path!r} would lie outside of the folder that it is fetched into.")
    return place


def _in_mib(progress: Progress) -> Progress:
    return lambda done, total: progress(done // _MIB, total // _MIB)


def _find_root(folder: Path) -> Path:
    """Return the folder itself, or the innermost of those that are all that each holds but for texts for people."""
    inside = _list_parts(folder)
    while len(inside) == 1 and inside[0].is_dir():
        folder = inside[0]
        inside = _list_parts(folder)
    return folder


def _list_parts(folder: Path) -> list[Path]:
    visible = (part for part in folder.iterdir() if is_visible(part.name))
    return [part for part in visible if part.is_dir() or not _FOR_PEOPLE.match(part.name)]


@contextmanager
def _locked(folder: Path, say: Tell) -> Iterator[None]:
    lock = FileLock(name_lock(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another process fetches the data into {folder.parent}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _part_folder(folder: Path) -> Iterator[Path]:
    for abandoned in folder.parent.glob(f"{folder.name}.*{PART_SUFFIX}*"):
        with suppress(OSError):
            remove_part(abandoned)
    part = name_part(folder)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
