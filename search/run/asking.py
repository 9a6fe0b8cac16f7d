"""What a worker does while an ensemble is chosen: trained networks say what they see in images that they never saw."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.run.checkpoints import brought
from search.run.trial import STATE_FILE
from search.run.trial_job import TrialJob, open_cache, require_promised
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.machine import Machine, detect_machine
from segcore.prediction.member_files import build_member
from segcore.prediction.votes import Candidate, Votes, collect_votes
from segcore.training.checkpoint import read_member_weights


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


def ask(job: TrialJob, indices: Sequence[int], voters: Sequence[Voter]) -> Iterator[Votes]:
    """Yield what candidates say of each case; runs in a worker process."""
    machine = detect_machine(max(1, int(job.cpus)), use_gpu=job.gpus > 0)
    require_promised(machine, job.gpus)
    cache = open_cache(job)
    yield from collect_votes(cache, indices, [_load(voter, cache, machine) for voter in voters], machine)


def _load(voter: Voter, cache: PixelCache, machine: Machine) -> Candidate:
    config, networks = TrainConfig.from_values(voter.values), []
    outputs = build_label_map(cache.classes, config.labels).outputs
    for place in voter.checkpoints:
        with brought(place) as folder:
            weights = read_member_weights(folder / STATE_FILE)[voter.snapshot]
        networks.append(build_member(weights, config, outputs, machine, place))
    return Candidate(config=config, networks=tuple(networks))
