"""The ensemble of a retraining of several configurations: who stands for it, what they are asked, who is chosen.

A candidate is a configuration, or a snapshot of one whose rate is cyclic, with its networks of all folds: a weight that
is chosen counts in every fold, so that each image is scored by networks that never saw it. How it is chosen lives in
`segcore.prediction.greedy`, how the cluster is asked in `run.polling`.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from search.folder import StageFolder
from search.memory.history import History, TrialRecord
from search.run.asking import Voter
from search.run.polling import Poll, run_polls
from search.run.stage import Stage
from search.run.trial import STATE_FILE
from search.stages.trained import fetch, find_failure, group_trainings
from search.verdict.comparison import compare_over_images
from search.verdict.out_of_fold import ChosenMember, EnsembleVerdict
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import ClassTable
from segcore.data.dividing.split import FoldSplit
from segcore.prediction.greedy import Choice, choose_ensemble
from segcore.prediction.member_files import MemberWeights
from segcore.prediction.votes import Ballot
from segcore.scoring.metrics import Tally, divide_metric, summarise_scores
from segcore.scoring.objective import BOUNDARY_IOU, learns_every_class
from segcore.training.checkpoint import read_member_weights

_VOTES: Final = "votes.part"
"""Folder in the stage's; of this ending nothing is copied into a bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A candidate of the ensemble.

    Args:
        trial: the search's trial whose configuration it has.
        snapshot: which of the networks of each training.
        trainings: of the configuration, one for each fold, or for each seed on the only one.
    """

    trial: int
    snapshot: int
    trainings: tuple[TrialRecord, ...]


def select_ensemble(stage: Stage, cache: PixelCache, winner: int, members: Sequence[int], most: int) -> EnsembleVerdict:
    """Ask every candidate about every image that it never saw, and choose who makes the model.

    What was said is kept until `forget_votes`, so that one who is interrupted asks no image again.

    Args:
        stage: the retraining's, whose trainings have ended.
        cache: the decoded data.
        winner: the search's trial whose networks alone would be the model.
        members: trials of the configurations that may be chosen.
        most: networks that the model may have; at least one for each fold.

    Raises:
        InterruptedSearchError: when it was stopped from outside.
        CheckpointError: when a checkpoint is missing.
    """
    entrants, failures = _find_entrants(stage.folder, stage.journal.history, winner, members)
    folder = stage.folder.root / _VOTES / _digest(cache, entrants)
    polls = _plan_polls(stage, cache, entrants, folder)
    run_polls(stage, polls)
    files = {index: file for poll in polls for index, file in poll.files.items()}
    values = entrants[0].trainings[0].values
    every_class = learns_every_class(TrainConfig.from_values(values).labels, cache.classes)
    metric = _choose_metric(stage.settings.metric, every_class=every_class)

    def summarise(scores: Sequence[Tally]) -> dict[str, float]:
        return summarise_scores(scores, cache.classes, every_class=every_class)

    choice = choose_ensemble(
        Ballot(tuple(files.values()), values["labels"], cache.classes),
        tuple(int(entrant.trial == winner) for entrant in entrants),
        find_parts([cache.cases[index].name for index in files], stage.job.split),
        lambda scores: summarise(scores).get(metric, float("nan")),
        max(1, most // len(entrants[0].trainings)),
        partial(_is_ahead, cache.classes, metric, stage.job.split.block_of),
    )
    return _conclude(choice, entrants, metric, summarise(choice.scores), failures)


def forget_votes(folder: StageFolder) -> None:
    """Delete what candidates said, once the model that they were asked for is written and registered."""
    shutil.rmtree(folder.root / _VOTES, ignore_errors=True)


def find_parts(names: Sequence[str], split: FoldSplit) -> list[int]:
    """Return the part of each image that an ensemble is chosen without: its fold, or on the only one a half.

    Frames of one block stay in one half.
    """
    if split.folds > 1:
        return [split.fold_of[name] or 0 for name in names]
    blocks = {block: number for number, block in enumerate(sorted({split.block_of.get(name, name) for name in names}))}
    return [2 * blocks[split.block_of.get(name, name)] // len(blocks) for name in names]


def chosen_weights(
    folder: StageFolder, trainings: Mapping[int, Sequence[TrialRecord]], members: Sequence[ChosenMember]
) -> Iterator[tuple[MemberWeights, int]]:
    """Yield what an ensemble's networks are written from, each with the fold that it left out.

    Args:
        folder: the retraining's files.
        trainings: of each configuration, by the search's trial.
        members: what was chosen, those of one configuration one after the other.

    Raises:
        CheckpointError: when a checkpoint is missing.
    """
    for trial in dict.fromkeys(member.trial for member in members):
        weights = {member.snapshot: member.weight for member in members if member.trial == trial and member.weight}
        # Seeds of one configuration differ, and tell nothing of how a network sees an image.
        config = TrainConfig.from_values(trainings[trial][0].values)
        for training in trainings[trial] if weights else ():
            for snapshot, tensors in enumerate(read_member_weights(fetch(folder, training, STATE_FILE))):
                if snapshot in weights:
                    yield MemberWeights(tensors=tensors, config=config, weight=weights[snapshot]), training.fold


def _find_entrants(
    folder: StageFolder, history: History, winner: int, members: Sequence[int]
) -> tuple[list[Entrant], list[str]]:
    """Return the candidates, the winner's first, and why configurations have none."""
    entrants, failures = [], []
    for trial, trainings in group_trainings(history, winner).items():
        if trial not in members:
            continue
        if failure := find_failure(trainings):
            failures.append(f"trial {trial} was not trained on every fold ({failure})")
            continue
        snapshots = len(read_member_weights(fetch(folder, trainings[0], STATE_FILE)))
        entrants += [Entrant(trial=trial, snapshot=each, trainings=tuple(trainings)) for each in range(snapshots)]
    return entrants, failures


def _plan_polls(stage: Stage, cache: PixelCache, entrants: Sequence[Entrant], folder: Path) -> list[Poll]:
    polls = []
    for fold in sorted({training.fold for training in entrants[0].trainings}):
        _, indices = stage.job.split.split(cache.names, fold, cache.extra_names)
        voters = tuple(_as_voter(stage.folder, entrant, fold) for entrant in entrants)
        polls.append(Poll(files={index: folder / f"{index:06d}.npz" for index in indices}, voters=voters))
    return polls


def _as_voter(folder: StageFolder, entrant: Entrant, fold: int) -> Voter:
    places = [str(training.checkpoint) for training in entrant.trainings if training.fold == fold]
    return Voter(
        values=entrant.trainings[0].values,
        checkpoints=tuple(folder.address(place) for place in places),
        snapshot=entrant.snapshot,
    )


def _digest(cache: PixelCache, entrants: Sequence[Entrant]) -> str:
    """Return what differs when other networks are asked, or about other images."""
    asked = [[each.trial, each.snapshot, [training.checkpoint for training in each.trainings]] for each in entrants]
    return hashlib.sha256(json.dumps([cache.key, asked]).encode()).hexdigest()[:16]


def _is_ahead(
    classes: ClassTable,
    metric: str,
    block_of: Mapping[str, str],
    chosen: Sequence[Tally],
    plain: Sequence[Tally],
) -> bool:
    """Say whether chosen weights beat the winner's networks on the same images, surely enough to run more of them."""
    better, worse = (divide_metric(scores, classes, metric) for scores in (chosen, plain))
    differences = {name: better[name] - worse[name] for name in better.keys() & worse.keys()}
    found = compare_over_images({0: differences}, {name: block_of.get(name, name) for name in differences})
    return found is not None and found.low > 0


def _choose_metric(metric: str, *, every_class: bool) -> str:
    # Votes of single pixels do not say where the borders of the classes run.
    return metric if metric != BOUNDARY_IOU else "miou" if every_class else "miou_scored"


def _conclude(
    choice: Choice, entrants: Sequence[Entrant], metric: str, metrics: dict[str, float], failures: Sequence[str]
) -> EnsembleVerdict:
    members = zip(entrants, choice.weights, choice.each, strict=True)
    return EnsembleVerdict(
        kept=choice.kept,
        members=tuple(
            ChosenMember(trial=each.trial, snapshot=each.snapshot, weight=weight, alone=alone)
            for each, weight, alone in members
        ),
        metric=metric,
        metrics=metrics,
        plain=choice.alone,
        nested=choice.nested,
        networks=len(entrants[0].trainings) * sum(map(bool, choice.weights)),
        failures=tuple(failures),
    )
