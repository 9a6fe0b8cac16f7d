"""Reads from Ray why a trial's worker failed, and whether its node is to blame.

What is told of workers that Ray itself ended says `evicted`; what becomes of the trial, `retries`.
"""

import contextlib
from pathlib import Path
from typing import Final

import ray
from ray.tune.experiment import Trial

from search.memory.outcome import tell_end
from search.run.capacity import node_of
from search.run.evicted import find_evicting_node, find_unprepared_node, is_bystander
from segcore.errors import ClusterError

_KEPT_LETTERS: Final = 4000
"""Of what Ray says of a failure, which may be pages."""


def tell_failure(trial: Trial) -> str:
    """Return the end of what Ray says of a trial's failure, and where it says nothing, that."""
    with contextlib.suppress(OSError, TypeError):
        return tell_end(Path(trial.error_file).read_text(encoding="utf-8", errors="replace"), _KEPT_LETTERS)
    return "its worker died without a word; the node may be gone or out of memory"


def read_failure(trial: Trial) -> Exception | None:
    """Return what Ray knows of a failure; None where that is nothing."""
    with contextlib.suppress(OSError, TypeError), Path(trial.pickled_error_file).open("rb") as stream:
        error: Exception = ray.cloudpickle.load(stream)
        return error
    return None


def find_failed_node(error: Exception | None) -> str | None:
    """Return the node of a worker that died before its trial had started, as Ray names it."""
    if not isinstance(error, ray.exceptions.RayActorError):
        return None
    if (node := find_unprepared_node(error)) is not None:
        return node or None
    return node_of(error.actor_id) if error.actor_id else find_evicting_node(error)


def is_of_node(error: Exception | None, has_begun: bool, actor_id: str) -> bool:
    """Say whether the node of a trial's worker was announced to go, or lacks what the trial was promised.

    Args:
        error: what Ray knows of the failure.
        has_begun: whether the worker had the trial: before, it needs next to no memory.
        actor_id: the worker, as Ray names it; empty where that is not known.
    """
    if find_unprepared_node(error) is not None:
        return True
    if find_evicting_node(error) is not None:
        return not has_begun or is_bystander(error, actor_id)
    if isinstance(error, ray.exceptions.RayTaskError):
        return isinstance(error.cause, ClusterError)
    return isinstance(error, ray.exceptions.RayActorError) and error.preempted
