"""Has trained networks predict, on the cluster, images that they never saw, a few images per task.

What is asked for and what is made of it lives in `stages.ensemble`. An image whose file is there is not asked for
again, so that a polling that was interrupted goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray import tune

from search.run.capacity import Capacity, select_others
from search.run.evicted import describe_eviction
from search.run.stage import Stage
from search.run.trial import STATE_FILE
from search.run.trial_job import TrialJob, open_cache, require_promised
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.errors import ClusterError, InterruptedSearchError, StreetError
from segcore.machine import Machine, detect_machine
from segcore.prediction.member_files import build_member
from segcore.prediction.votes import Candidate, Votes, collect_votes, write_votes
from segcore.training.checkpoint import read_member_weights

_IMAGES_PER_TASK: Final = 16
"""Few enough that what a task returns fits a node's memory, enough that its networks are not loaded for nothing."""
_LOOK_SECONDS: Final = 1.0
_TASKS_PER_PROCESS: Final = 64
"""Ray would start a process for every task on a GPU, which takes longer than the images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """A candidate of an ensemble, as any node finds it.

    Args:
        values: of its configuration.
        checkpoints: of trainings that left out the images it is asked about; the candidate is their mean.
        snapshot: which of a training's networks.
    """

    values: Mapping[str, Any]
    checkpoints: tuple[str, ...]
    snapshot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Images that the same networks are asked about.

    Args:
        files: where to write what is said of each case, by its index in the cache.
        voters: the candidates.
    """

    files: Mapping[int, Path]
    voters: tuple[Voter, ...]


def run_polls(stage: Stage, polls: Sequence[Poll]) -> None:
    """Ask about every image whose file is missing.

    Args:
        stage: whose job and place are used.
        polls: what to ask.

    Raises:
        InterruptedSearchError: when it was stopped from outside.
        ClusterError: when workers died again and again, or no node was left.
        StreetError: what a worker could not do.
        StorageError: when a file cannot be written.
    """
    capacity, waiting = stage.room, _divide(polls)
    if not waiting:
        return
    running: dict[Any, tuple[Poll, list[int]]] = {}
    capacity.expect(lambda: len(waiting) + len(running))
    try:
        while waiting or running:
            while waiting and len(running) <= capacity.count():
                poll, indices = waiting.pop(0)
                running[_begin(stage, capacity, indices, poll)] = poll, indices
            done, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_SECONDS)
            for each in done:
                poll, indices = running.pop(each)
                for index, votes in zip(indices, ray.get(each), strict=True):
                    write_votes(votes, poll.files[index])
            _require_going_on(stage, capacity)
    except KeyboardInterrupt:
        raise InterruptedSearchError(
            f"Interrupted while the ensemble was selected; go on with '{stage.again}'."
        ) from None
    except ray.exceptions.RayTaskError as error:
        # What it says of itself is the worker's traceback.
        raise (error.cause if isinstance(error.cause, StreetError) else error) from None
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"A worker was lost while it predicted images out of fold: {describe_eviction(error)}. Go on with "
            f"'{stage.again}'."
        ) from error
    finally:
        for each in running:
            ray.cancel(each, force=True)


def _begin(stage: Stage, capacity: Capacity, indices: list[int], poll: Poll) -> Any:
    task = ray.remote(
        num_cpus=stage.place.cpus_per_trial, num_gpus=stage.place.gpus_per_trial, max_calls=_TASKS_PER_PROCESS
    )(ask)
    return task.options(label_selector=select_others(capacity.left_out)).remote(stage.job, indices, poll.voters)


def _require_going_on(stage: Stage, capacity: Capacity) -> None:
    """Raise when somebody asked the search to stop, or no node is left for as long as the place allows."""
    if stage.is_stopped:
        stage.require_unstopped()
    stage.require_hope(capacity)


def ask(job: TrialJob, indices: Sequence[int], voters: Sequence[Voter]) -> list[Votes]:
    """Return what candidates say of cases; runs in a worker process."""
    machine = detect_machine(max(1, int(job.cpus)), use_gpu=job.gpus > 0)
    require_promised(machine, job.gpus)
    cache = open_cache(job)
    return list(collect_votes(cache, indices, [_load(voter, cache, machine) for voter in voters], machine))


def _divide(polls: Sequence[Poll]) -> list[tuple[Poll, list[int]]]:
    found = []
    for poll in polls:
        missing = [index for index, file in poll.files.items() if not file.is_file()]
        starts = range(0, len(missing), _IMAGES_PER_TASK)
        found += [(poll, missing[start : start + _IMAGES_PER_TASK]) for start in starts]
    return found


def _load(voter: Voter, cache: PixelCache, machine: Machine) -> Candidate:
    config, networks = TrainConfig.from_values(voter.values), []
    outputs = build_label_map(cache.classes, config.labels).outputs
    for place in voter.checkpoints:
        with tune.Checkpoint(place).as_directory() as folder:
            weights = read_member_weights(Path(folder) / STATE_FILE)[voter.snapshot]
        networks.append(build_member(weights, config, outputs, machine, place))
    return Candidate(config=config, networks=tuple(networks))
