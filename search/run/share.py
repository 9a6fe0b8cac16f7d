"""What a Ray of a search's own may use of its machine: its cores, and the GPUs that no other search has locked.

Ray counts the GPUs of the machine, whoever uses them. A lock ends with its process, however that ends. Searches of
other users, and a Ray that was not started here, are not known.
"""

import math
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from filelock import FileLock, Timeout
from ray._private.utils import get_num_cpus

from search.place import Place
from segcore.errors import ClusterError, StorageError

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_LIST_UUIDS: Final = ("--query-gpu=uuid", "--format=csv,noheader")
_LIST_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """GPUs of this machine that a search has.

    Args:
        taken: as CUDA_VISIBLE_DEVICES names them; None where trials use none, or the cluster's.
        others: which GPUs it would have too if no other search had them; empty without any.
    """

    taken: tuple[str, ...] | None = None
    others: str = ""


def count_cpus() -> int:
    """Return how many cores a Ray of this process's own has, which takes all for its own that the machine has.

    `taskset`, Slurm and systemd may leave a process, and what it starts, only some of them.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, int(get_num_cpus(override_docker_cpu_warning=True))))


@contextmanager
def taking_gpus(place: Place) -> Iterator[Share]:
    """Take GPUs of this machine for a Ray of its own, hide the others from it, and give them back at the end.

    Args:
        place: the address and the GPUs that are wished are used.

    Raises:
        ClusterError: when other searches have so many that none is left for a trial.
    """
    visible = () if place.address or not place.gpus_per_trial else find_visible(torch.cuda.device_count())
    if not visible:
        yield Share()
        return
    wanted = count_wanted(place)
    with ExitStack() as held:
        taken = take_free(name_locks(visible, list_uuids()), wanted, make_private_folder(), held)
        others = "" if len(taken) == wanted else describe_others(visible, taken)
        if len(taken) < place.gpus_per_trial:
            raise ClusterError(
                f"--gpus-per-trial {place.gpus_per_trial:g}: {others}. Wait for them to end, start them with fewer "
                "(--max-concurrent), or start one Ray for all by 'ray start --head' and give each --address auto."
            )
        held.enter_context(_showing(taken))
        yield Share(taken=taken, others=others)


def find_visible(count: int) -> tuple[str, ...]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them.

    Args:
        count: how many torch sees.
    """
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return tuple(named[:count] or map(str, range(count)))


def count_wanted(place: Place) -> int | None:
    """Return how many GPUs a search uses at most; None where that is not limited."""
    if not place.max_concurrent:
        return None
    if place.gpus_per_trial < 1:
        return math.ceil(place.max_concurrent / int(1 / place.gpus_per_trial + 1e-9))
    return int(place.max_concurrent * place.gpus_per_trial)


def list_uuids() -> tuple[str, ...]:
    """Return what NVIDIA's driver calls the GPUs that this process can reach, in order; none where it says nothing.

    A control group, as of a job of Slurm, leaves only some, and these are counted from 0 in each.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        listed = subprocess.run([program, *_LIST_UUIDS], capture_output=True, text=True, timeout=_LIST_SECONDS)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    lines = tuple(line.strip() for line in listed.stdout.splitlines())
    return lines if listed.returncode == 0 and all(line.startswith("GPU-") for line in lines) else ()


def name_locks(visible: Sequence[str], uuids: Sequence[str]) -> dict[str, str]:
    """Return what is locked for each GPU: its UUID, which all processes know it by, or else its own name.

    Args:
        visible: GPUs as CUDA_VISIBLE_DEVICES names them: numbers, UUIDs or how these begin.
        uuids: of the GPUs that this process can reach, in their order.
    """

    def name(gpu: str) -> str:
        named = (uuid for number, uuid in enumerate(uuids) if gpu == str(number) or uuid.startswith(gpu))
        return next(named, gpu)

    return {gpu: name(gpu) for gpu in visible}


def take_free(locks: Mapping[str, str], wanted: int | None, folder: Path, held: ExitStack) -> tuple[str, ...]:
    """Lock GPUs that nobody has locked.

    Args:
        locks: what is locked for each that may be used.
        wanted: how many at most; None takes all that are free.
        folder: where the locks are.
        held: unlocks them as it is closed.

    Returns:
        Those that are locked now for this process.
    """
    taken: list[str] = []
    for gpu, lock in locks.items():
        if wanted is not None and len(taken) >= wanted:
            break
        try:
            held.enter_context(FileLock(folder / f"gpu-{lock.replace('/', '_')}.lock").acquire(timeout=0))
        except Timeout:
            continue
        taken.append(gpu)
    return tuple(taken)


def describe_others(visible: Sequence[str], taken: Sequence[str]) -> str:
    """Say which GPUs other searches have; empty when this one has all."""
    others = [gpu for gpu in visible if gpu not in taken]
    if not others:
        return ""
    ours = f"this one has {', '.join(taken)} of {len(visible)}" if taken else "this one finds none"
    return f"other searches on this machine have the GPUs {', '.join(others)}, and {ours}"


def make_private_folder() -> Path:
    """Return the folder of locks of this user, which nobody else can write.

    Raises:
        StorageError: when somebody else has made it.
    """
    # A user's runtime folder goes as they log out, whatever they leave running; Slurm names that of another machine.
    folder = Path(tempfile.gettempdir()) / f"street-search-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be made for locks ({error.strerror or error}); set TMPDIR to a folder that is writable."
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise StorageError(f"{folder} is not this user's alone; delete it, or set TMPDIR to another folder.")
    return folder


@contextmanager
def _showing(gpus: Sequence[str]) -> Iterator[None]:
    former = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ",".join(gpus)
    try:
        yield
    finally:
        if former is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = former
