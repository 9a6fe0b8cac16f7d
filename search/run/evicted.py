"""Lets Ray Tune go on when Ray itself ends a worker, as its memory monitor does on a node that runs out of memory.

Ray Tune knows workers that die and trainings that fail; any other of Ray's errors ends the whole run with a traceback.
What follows for the trial is decided in `retries`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError


@contextmanager
def evicted_taken_for_dead() -> Iterator[None]:
    """Let Ray Tune take a worker that Ray ended for one that died, as long as this is open."""
    original = RayActorManager._actor_task_failed

    def take(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        original(manager, tracked_actor_task=tracked_actor_task, exception=as_death(exception))

    RayActorManager._actor_task_failed = take
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = original


def as_death(exception: Exception) -> Exception:
    """Return what Ray Tune understands: the death of a worker for an error of Ray's that it does not know."""
    if not isinstance(exception, RayError) or isinstance(exception, RayActorError | RayTaskError):
        return exception
    died: Exception = RayActorError(error_msg=f"Ray ended its worker: {exception}")
    return died
