"""A disk of a drill's own for the storage, and what happens to disks: full, locked, slow.

Root alone can mount one. One that freezes is a file with a file system in it, for memory cannot be frozen.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from benchmarks.drill.nodes import UnfitError
from benchmarks.drill.scene import Scene

Disk = Literal["", "memory", "freezing"]
"""What a drill's storage lies on; nothing: where all else lies."""

_SIZE_MIB: Final = 500
_REST_SECONDS: Final = 20.0
_FULL_SECONDS: Final = 600.0
_FROZEN_SECONDS: Final = 3.0
_THAWED_SECONDS: Final = 0.2


@contextmanager
def own_disk(scene: Scene, disk: Disk) -> Iterator[None]:
    """Let the storage lie on a disk of its own.

    Args:
        scene: whose storage it is.
        disk: which kind.

    Raises:
        UnfitError: when none can be mounted here.
    """
    if not disk:
        yield
        return
    folder, image = scene.search.root.parent, scene.root / "disk.img"
    folder.mkdir(parents=True)
    _require_tools("mount", *(("mkfs.ext4", "fsfreeze") if disk == "freezing" else ()))
    if disk == "freezing":
        with image.open("wb") as stream:
            stream.truncate(_SIZE_MIB << 20)
        # Those who read must not wait, too: so no time of reading is written.
        commands = [["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop,noatime", str(image), str(folder)]]
    else:
        commands = [["mount", "-t", "tmpfs", "-o", f"size={_SIZE_MIB}m", "tmpfs", str(folder)]]
    if any(subprocess.run(command, check=False).returncode for command in commands):
        raise UnfitError("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill_disk(scene: Scene) -> None:
    """Fill the disk of the storage, until the driver has ended; then make room."""
    disk = scene.search.root.parent
    ballast = disk / "ballast"
    with ballast.open("wb") as stream:
        try:
            while True:
                stream.write(bytes(1 << 20))
        except OSError:
            pass
    scene.wait_for(lambda: False, _FULL_SECONDS)
    ballast.unlink(missing_ok=True)


def lock_disk(scene: Scene) -> None:
    """Kill the driver, and let it go on once on a disk that takes nothing."""
    disk = str(scene.search.root.parent)
    scene.kill_driver()
    # Workers whose driver is gone write to it yet, and a disk that is written to cannot be locked.
    tries = 0
    while not _remount(disk, "ro"):
        tries += 1
        if tries > _REST_SECONDS:
            raise UnfitError("the disk is never at rest")
        time.sleep(1)
    scene.start_driver(scene.again)
    scene.wait_for_driver(300)
    _remount(disk, "rw")


def slow_disk(scene: Scene) -> None:
    """Let the disk of the storage take nothing for seconds, again and again, until the driver has ended."""
    disk = str(scene.search.root.parent)
    assert scene.driver is not None
    while scene.driver.poll() is None:
        if subprocess.run(["fsfreeze", "--freeze", disk], check=False).returncode:
            raise UnfitError("the disk cannot be frozen")
        try:
            scene.wait_for(lambda: False, _FROZEN_SECONDS)
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
        scene.wait_for(lambda: False, _THAWED_SECONDS)


def _remount(disk: str, way: str) -> bool:
    return subprocess.run(["mount", "-o", f"remount,{way}", disk], capture_output=True, check=False).returncode == 0


def _require_tools(*names: str) -> None:
    missing = [name for name in names if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        raise UnfitError(f"a disk can be mounted by root alone{', with ' + ', '.join(missing) if missing else ''}")
