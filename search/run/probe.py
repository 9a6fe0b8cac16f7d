"""What a machine of the cluster is and has, looked up by a small task on it before it is given a trial.

What a node does beside, preparing its cache, and what follows from it are in `nodes`.
"""

import math
import os
import platform
import secrets
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import ray
from ray._common.utils import get_system_memory

from search.run.mps import runs_mps
from search.storage import find_bucket
from segcore.bucket import Bucket
from segcore.errors import StorageError

PRETENDED: Final = "SEARCH_PRETENDED_GPUS"
"""Set to 1 for a drill on GPUs that only Ray believes in: whether torch sees them is not asked then."""

_GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU that torch sees.

    Args:
        name: as its maker names it.
        memory_gib: all it has.
    """

    name: str
    memory_gib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a machine is and has.

    Args:
        host: its name.
        versions: of Python, Ray, torch and what the networks are made of.
        gpus: those that torch sees.
        memory_gib: all that it has, or that its container may take.
        free_disk_gib: on the disk of its cache.
        shared_memory_gib: size of /dev/shm, by which loader processes hand over samples.
        clock_seconds: its time, since the Unix epoch.
        storage_problem: why it cannot share the storage; empty when it can.
        has_mps: whether NVIDIA's MPS runs there, by which trials use one GPU side by side.
    """

    host: str
    versions: dict[str, str]
    gpus: tuple[Gpu, ...]
    memory_gib: float
    free_disk_gib: float
    shared_memory_gib: float
    clock_seconds: float
    storage_problem: str = ""
    has_mps: bool = False


def probe_machine(cache: Path, meeting: "Meeting | None" = None, name: str = "") -> Probe:
    """Look at the machine that this runs on.

    Args:
        cache: folder of its caches; it need not exist yet.
        meeting: in the storage, to show that it is the driver's; None: the storage is not looked at.
        name: of this node, for the meeting.
    """
    return Probe(
        host=socket.gethostname(),
        versions=find_versions(),
        gpus=_find_gpus(),
        memory_gib=get_system_memory() / _GIB,
        free_disk_gib=shutil.disk_usage(_find_existing(cache)).free / _GIB,
        shared_memory_gib=_measure_shared_memory(),
        clock_seconds=time.time(),
        storage_problem="" if meeting is None else meeting.answer(name),
        has_mps=runs_mps(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Shows that a node and the driver have the same storage, and that the node can write there.

    The driver leaves a file, each node reads it and leaves one beside it, and the driver finds that.

    Args:
        folder: the storage.
        token: what the driver's file holds, new each time.
        bucket: which the folder is the driver's mirror of; None: it is the storage itself.
    """

    folder: Path
    token: str
    bucket: Bucket | None = None

    def call(self) -> None:
        """Leave the driver's file.

        Raises:
            StorageError: when the storage cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._leave()
        except OSError as error:
            raise StorageError(
                f"--storage {self.folder} cannot be written ({error.strerror or error}); use a folder that can."
            ) from error

    def answer(self, name: str) -> str:
        """Read the driver's file and leave one beside it; return why not, empty when it went well."""
        try:
            if self._find() == self.token:
                self._leave(name)
                return ""
        except StorageError as error:
            return str(error)
        except OSError as error:
            return f"{self.folder} cannot be written there ({error.strerror or error})"
        return f"{self.folder if self.bucket is None else self.bucket.address} is another folder there"

    def has_answered(self, name: str) -> bool:
        """Say whether the driver sees what a node left."""
        return self._find(name) == self.token

    def end(self) -> None:
        """Delete what was left."""
        with suppress(OSError, StorageError):
            if self.bucket is None:
                for file in self.folder.glob(f"{self._name()}*"):
                    file.unlink()
            else:
                self.bucket.delete_folder(self._name())

    def _leave(self, name: str = "") -> None:
        if self.bucket is None:
            (self.folder / self._name(name)).write_text(self.token, encoding="utf-8")
        else:
            self.bucket.write(f"{self._name()}/{name or 'driver'}", self.token.encode())

    def _find(self, name: str = "") -> str | None:
        if self.bucket is not None:
            content = self.bucket.read(f"{self._name()}/{name or 'driver'}")
            return None if content is None else content.decode()
        with suppress(FileNotFoundError):
            return (self.folder / self._name(name)).read_text(encoding="utf-8")
        return None

    def _name(self, name: str = "") -> str:
        return f".probe-{self.token}{'-' if name else ''}{name}"


def meet_in(storage: Path) -> Meeting:
    """Return a new meeting of the driver and its nodes in a storage, or in the bucket that it is the mirror of."""
    return Meeting(folder=storage, token=secrets.token_hex(8), bucket=find_bucket(storage))


def find_faults(probe: Probe, versions: dict[str, str], ray_gpus: float, pretended: bool) -> list[str]:
    """Say why a node can run no trial of this search, and what to do; empty when it can.

    Args:
        probe: of the node.
        versions: of the driver's machine.
        ray_gpus: GPUs that Ray believes the node has and trials ask for; 0 where none are asked for.
        pretended: whether GPUs are taken on Ray's word.
    """
    differing = [
        f"{name} {probe.versions[name]} there and {version} here: install the same"
        for name, version in versions.items()
        if probe.versions[name] != version
    ]
    blind = [] if pretended else describe_blindness(len(probe.gpus), ray_gpus)
    mount = "mount one shared folder at the same path on every node, or give another --storage"
    storage = [f"{probe.storage_problem}: {mount}"] if probe.storage_problem else []
    return [*differing, *blind, *storage]


def describe_blindness(gpus: int, ray_gpus: float) -> list[str]:
    """Say so where torch sees fewer GPUs than Ray believes there are."""
    wanted = math.ceil(ray_gpus)
    if gpus >= wanted:
        return []
    told = f"Ray counts {wanted} GPU{'' if wanted == 1 else 's'} and torch sees {gpus}"
    return [f"{told}: mend its driver, install torch with CUDA, or start Ray with the GPUs that work"]


def are_pretended() -> bool:
    """Say whether GPUs are taken on Ray's word, for a drill without any."""
    return os.environ.get(PRETENDED, "") == "1"


def measure_skew_seconds(sent: float, clock_seconds: float, received: float) -> float:
    """Return by how much a node's clock is ahead of the driver's; 0 when it lies within what the answer took.

    Args:
        sent: when it was asked, by the driver's clock.
        clock_seconds: its time as it answered.
        received: when the answer came, by the driver's clock.
    """
    return min(0.0, clock_seconds - sent) + max(0.0, clock_seconds - received)


def find_versions() -> dict[str, str]:
    """Return the versions that must be the same on every node."""
    # The last two make the networks: what one node has trained another could not go on with.
    packages = {name: version(name) for name in ("torch", "timm", "segmentation-models-pytorch")}
    return {"Python": platform.python_version(), "Ray": ray.__version__, **packages}


def _find_gpus() -> tuple[Gpu, ...]:
    # Ray hides the GPUs from a task that asks for none; torch looks when it is first asked.
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        del os.environ["CUDA_VISIBLE_DEVICES"]
    import torch

    if not torch.cuda.is_available():
        return ()
    found = (torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count()))
    return tuple(Gpu(name=each.name, memory_gib=each.total_memory / _GIB) for each in found)


def _find_existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _measure_shared_memory() -> float:
    with suppress(OSError):
        return shutil.disk_usage("/dev/shm").total / _GIB
    return 0.0
