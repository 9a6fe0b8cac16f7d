"""Disks: the default folder, the kind of disk a folder is on, and writing that reports a full disk."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from segcore.bucket_address import is_address
from segcore.errors import ConfigError

DEFAULT_CACHE: Final = Path("~/.cache/street-search")

EMPTY_PATH: Final = "a path is empty, perhaps of a variable that is not set; write . for the folder you are in."

_CANNOT_RESERVE: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})
_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)
_NETWORK_PROGRAMS: Final = re.compile(r"fuse\.(ceph|gcsfuse|gluster|goofys|juicefs|mount-s3|rclone|s3fs|sshfs)")
"""File systems of user programs that fetch over a network."""


def read_path(text: str | Path) -> Path:
    """Return a path that was given; an empty one, as of a shell's unset variable, would be the folder one stands in.

    Args:
        text: the path, or a default.

    Raises:
        ConfigError: when it is empty.
    """
    if not str(text):
        raise ConfigError(f"A{EMPTY_PATH[1:]}")
    return Path(text)


def resolve_folder(name: str, folder: Path) -> Path:
    """Return the absolute path of a folder; one that begins with ~ is in a home.

    Args:
        name: of the option that gave it.
        folder: need not exist.

    Raises:
        ConfigError: when it is no path, or ~ is nowhere, as for a user without a home.
    """
    if is_address(folder):
        raise ConfigError(f"--{name} {str(folder)!r} is an address and no folder; give a folder of this machine.")
    try:
        return folder.expanduser().resolve()
    # A user without a home or who does not exist, a loop of links, a character that no path has.
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"--{name} {str(folder)!r} is no folder ({error}); give another with --{name}.") from error


def expand_home(name: str, folder: Path) -> Path:
    """Return the path of a folder or file; one that begins with ~ is in a home.

    Args:
        name: of the option that gave it.
        folder: need not exist.

    Raises:
        ConfigError: when ~ is nowhere, as for a user who does not exist.
    """
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"--{name} {str(folder)!r} is in no home that is known here ({error}); write the whole path."
        ) from error


def _find_network(folder: Path) -> str:
    """Return the type of the network file system that a folder lies on, or will; empty when on none.

    Args:
        folder: absolute path; need not exist.
    """
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    kind = find_type(folder, mounts)
    return kind if kind in _NETWORK or _NETWORK_PROGRAMS.match(kind) else ""


def find_type(folder: Path, mounts: str) -> str:
    """Return the type of the file system that a folder lies on; empty when no mount holds it.

    Args:
        folder: absolute path.
        mounts: content of a Linux `/proc/PID/mountinfo`.
    """
    found, longest = "", -1
    for line in mounts.splitlines():
        # 36 35 98:0 /root /mount/point options - type source options
        fields = line.split()
        if "-" not in fields or len(fields) < 7:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4]))
        # The last of equal mount points lies on top.
        if len(point.parts) >= longest and (folder == point or point in folder.parents):
            found, longest = fields[fields.index("-") + 1], len(point.parts)
    return found


def warn_of_network(folder: Path) -> str:
    """Return why a folder is a slow place for caches, and what to do; empty when it is none."""
    kind = _find_network(folder)
    if not kind:
        return ""
    return (
        f"{folder} lies on a network file system ({kind}), and every crop is read from it: choose a folder of a local "
        "disk with --cache."
    )


@contextmanager
def reserved_file(file: Path, size: int) -> Iterator[int]:
    """Open a new file whose room on the disk is taken at once, and write it through at the end.

    Args:
        file: which must not exist.
        size: bytes, at least 1.

    Raises:
        OSError: when there is no room, or the disk fails.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _reserve(descriptor, size)
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        # Where a file system cannot, a full disk is told by the writing.
        if error.errno not in _CANNOT_RESERVE:
            raise


def write_at(descriptor: int, content: memoryview, offset: int) -> None:
    """Write bytes at a place of a file, all of them; through a memory map a full disk would end the process unsaid.

    Raises:
        OSError: when there is no room, or the disk fails.
    """
    while content:
        written = os.pwrite(descriptor, content, offset)
        content, offset = content[written:], offset + written


def discard(part: Path) -> None:
    """Delete a part of a file that was not finished; a disk on which that fails too hides no error."""
    with suppress(OSError):
        part.unlink(missing_ok=True)


def write_through(folder: Path) -> None:
    """Have the names in a folder written to the disk.

    Raises:
        OSError: when the disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
