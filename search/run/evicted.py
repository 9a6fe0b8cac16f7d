"""Lets Ray Tune go on when Ray itself ends a worker, as its memory monitor does, or its node cannot prepare one.

Ray Tune knows workers that die and trainings that fail; any other of Ray's errors ends the whole run with a traceback.
What follows for the trial is decided in `retries`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayError, RayTaskError, RuntimeEnvSetupError
from ray.util import placement_group_table

_USED: Final = re.compile(r"was ([\d.]+) ?GB used / ([\d.]+) ?GB limit")
"""What the memory monitor says of a node."""
_EVICTING: Final = re.compile(r"killed due to the node running low on memory.*?\bID: (\w+)\)", re.DOTALL)
"""How it names the node."""
_WORKER: Final = re.compile(r"Actor\((\w+)\)[^\n]*?pid=(\d+), actual memory used=([\d.]+)GB")
"""How it names a worker that it looked at, its process, and what that took."""
_PROGRAM: Final = re.compile(r"^(\d+)\t([\d.]+)\t(ray::ImplicitFunc)?", re.MULTILINE)
"""How it names the processes that take most memory there, whoever's they are; one that loads samples as its worker."""
_GONE: Final = re.compile(r"Node IP: ([\w.:]+), node ID: (\w{8})")
"""How Ray names a node that a task was lost with."""
_UNPREPARED: Final = re.compile(r"Its node \(ID: (\w*)\) could not prepare it")
"""How `take_start` says that a node could not prepare a worker, and names the node."""
_BYSTANDER_SHARE: Final = 0.5
"""A worker that took less than so much of what the largest took is not what filled the memory, nor are workers that
together took less than so much of all that is in use."""
_KILLED: Final = "Worker unexpectedly exits with a connection error"
"""What Ray says of a worker that ended without a word."""
_REMEDY: Final = "let fewer trials run at a time (--max-concurrent), end what else runs there, or draw smaller batches"
_OF_TASKS: Final = {
    # Ray Tune, where a worker does not find the file that the driver wrote into the run's folder.
    "Unable to set up cluster storage": (
        "its node does not see the search's folder: mount the storage there, at the same path as on all others"
    ),
    # Python, where the kernel lets it start no more.
    "can't start new thread": (
        "its node starts no more threads: raise 'ulimit -u' (a container: --pids-limit), or run fewer trials"
    ),
    # torch, of a process that loads samples.
    "DataLoader worker (pid": (
        "a process that loaded its samples was killed, perhaps for want of memory ('dmesg' tells): give fewer "
        "--cpus-per-trial, or draw smaller batches"
    ),
}
"""What it means that a worker's training failed with such words."""


@contextmanager
def evicted_taken_for_dead() -> Iterator[None]:
    """Let Ray Tune take a worker that Ray ended for one that died, as long as this is open."""
    while_training, while_starting = RayActorManager._actor_task_failed, RayActorManager._actor_start_failed

    def take(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        while_training(manager, tracked_actor_task=tracked_actor_task, exception=as_death(exception))

    def take_start(manager: Any, tracked_actor: Any, exception: Exception) -> None:
        # It knows how to take any other fault of a start.
        taken = as_death(exception) if isinstance(exception, OutOfMemoryError) else exception
        if isinstance(exception, RuntimeEnvSetupError):
            taken = _as_unprepared(exception, _find_seat(manager.get_actor_resources(tracked_actor)))
        while_starting(manager, tracked_actor=tracked_actor, exception=taken)

    RayActorManager._actor_task_failed, RayActorManager._actor_start_failed = take, take_start
    try:
        yield
    finally:
        RayActorManager._actor_task_failed, RayActorManager._actor_start_failed = while_training, while_starting


def as_death(exception: Exception) -> Exception:
    """Return what Ray Tune understands: the death of a worker for an error of Ray's that it does not know."""
    if not isinstance(exception, RayError) or isinstance(exception, RayActorError | RayTaskError):
        return exception
    # Tables and messages show the last line of a fault; Ray's own has pages, and ends with advice on its settings.
    died: Exception = RayActorError(error_msg=f"Ray ended its worker: {exception}\n{describe_eviction(exception)}")
    return died


def _find_seat(acquired: Any) -> str:
    """Return the node that holds a place for a worker, as Ray names it; empty where that is not known."""
    group = getattr(acquired, "placement_group", None)
    found: dict[int, str] = placement_group_table(group)["bundles_to_node_id"] if group is not None else {}
    return next(iter(found.values()), "")


def _as_unprepared(exception: Exception, node: str) -> Exception:
    # Ray itself tells of the node by one of its addresses, which need not be the one that it is known by.
    last = str(exception).strip().splitlines()[-1]
    told = f"its node could not prepare its worker, see the disk of Ray's folder there: {last}"
    died: Exception = RayActorError(error_msg=f"Its node (ID: {node}) could not prepare it: {exception}\n{told}")
    return died


def describe_eviction(error: RayError) -> str:
    """Return in a line why a worker ended, and, where Ray has ended it, what to do."""
    if isinstance(error, NodeDiedError):
        gone = _GONE.search(str(error))
        return f"its node{f' {gone[1]} ({gone[2]})' if gone else ''} is gone, or cannot be reached"
    if not isinstance(error, OutOfMemoryError):
        return str(error).strip().splitlines()[-1]
    used = _USED.search(str(error))
    told = f" ({used[1]} of {used[2]} GB in use)" if used else ""
    return f"its node ran out of memory{told}, so Ray ended its worker; {_REMEDY}"


def find_evicting_node(error: Exception | None) -> str | None:
    """Return the node that ended a worker for want of memory, as Ray names it; None where that was not the cause."""
    found = _EVICTING.search(str(error))
    return found[1] if found else None


def find_unprepared_node(error: Exception | None) -> str | None:
    """Return the node that could not prepare a worker, as Ray names it; empty: not known; None: not the cause."""
    found = _UNPREPARED.search(str(error))
    return found[1] if found else None


def is_bystander(error: Exception | None, actor_id: str) -> bool:
    """Say whether Ray ended a worker for memory that others took: it ends the newest first, however small.

    Others are a much larger worker or program, or all that is no worker of Ray's, where that took more than these.

    Args:
        error: what Ray knows of the failure.
        actor_id: the worker, as Ray names it.
    """
    text = str(error)
    workers = [(name, float(used)) for name, _, used in _WORKER.findall(text)]
    largest = max(
        [*(used for _, used in workers), *(float(used) for _, used, _ in _PROGRAM.findall(text))], default=0.0
    )
    return any(name == actor_id and (_has_crowd(text) or used < _BYSTANDER_SHARE * largest) for name, used in workers)


def _has_crowd(text: str) -> bool:
    """Say whether most of the memory in use is of none of Ray's workers, with the processes that load their samples."""
    in_use, programs = _USED.search(text), _PROGRAM.findall(text)
    # Only so many are named: where the smallest is Ray's, further ones of Ray's are not.
    if in_use is None or not programs or min(programs, key=lambda program: float(program[1]))[2]:
        return False
    used_of = {process: float(used) for _, process, used in _WORKER.findall(text)}
    used_of |= {process: float(used) for process, used, ours in programs if ours}
    return sum(used_of.values()) < _BYSTANDER_SHARE * float(in_use[1])


def describe_death(error: Exception | None) -> str:
    """Return in a line, where Ray tells it in words of its own, what may have ended a worker and what to do."""
    if isinstance(error, RayTaskError):
        return next((meaning for words, meaning in _OF_TASKS.items() if words in str(error)), "")
    if not isinstance(error, RayActorError) or _KILLED not in str(error):
        return ""
    return f"its worker crashed or was killed, perhaps by the kernel for want of memory ('dmesg' tells): {_REMEDY}"
