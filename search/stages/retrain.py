"""The winner on all folds: one training per fold, the score out of fold, the ensemble, the model registry.

Each case is predicted by the one network that never saw it, and no fold steers its own training (no early stopping,
epochs from the search). The search chose the configuration on some of the folds, so the score without them is given
too. A fold that the confirmation trained for as many epochs is taken over; a training for other epochs is another one.

Where there is one fold, the winner is trained on it with each seed of the confirmation, and scored on its validation
images: as published numbers are made, with a score that the search was steered by.

Further configurations may be trained likewise, for an ensemble that is chosen among all of them, see `ensemble`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from search.folder import SearchFolder, StageFolder
from search.memory.best import Configuration, Winner
from search.memory.events import Closed
from search.memory.history import History
from search.run.loop import run_folds
from search.run.trial import STATE_FILE
from search.stages.confirm import find_confirmed
from search.stages.ensemble import chosen_weights, select_ensemble
from search.stages.plan import plan_folds, plan_further
from search.stages.stage import OpenStage
from search.stages.trained import ask_damaged_anew, fetch, group_trainings, is_usable, read_scores, winner_trainings
from search.verdict.notes import describe_ensemble, out_of_fold_note
from search.verdict.out_of_fold import MOST_NETWORKS, OutOfFold
from search.verdict.rounds import retraining_seeds
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import ClassTable
from segcore.data.dividing.split import FoldSplit, read_folds
from segcore.prediction.ensemble_files import save_members
from segcore.prediction.member_files import MemberWeights
from segcore.scoring.metrics import best_single_class, summarise_scores
from segcore.scoring.objective import learns_every_class
from segcore.training.checkpoint import read_member_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """What is to become a model, and how.

    Args:
        winner: what is trained.
        further: other configurations to train likewise, of which and of the winner an ensemble is chosen; None: the
            winner's networks are the ensemble.
        most: networks that a chosen ensemble may have.
        half: whether to round the model's weights to 16 bits.
    """

    winner: Winner
    further: Sequence[Configuration] | None = None
    most: int = MOST_NETWORKS
    half: bool = False

    @property
    def configurations(self) -> int:
        """How many are trained."""
        return 1 + len(self.further or ())

    @property
    def options(self) -> list[str]:
        """Those of the command that goes on with it; without them it would make another model."""
        most = ["--max-members", str(self.most)] if self.most != MOST_NETWORKS else []
        return [*(["--half"] if self.half else []), *most]


def run_retraining(opened: OpenStage, wanted: Retraining) -> OutOfFold:
    """Train the winner on all folds, or with all further seeds on the only one, score it, and build the ensemble.

    Args:
        opened: the retraining's stage.
        wanted: what to train.

    Raises:
        InterruptedSearchError: when it was stopped from outside.
        CheckpointError: when the stage retrains another winner, or a fold of the winner failed.
    """
    stage, winner, further = opened.stage, wanted.winner, wanted.further
    folder, cache, metric = opened.search.folder, opened.search.cache, stage.settings.metric
    ask_damaged_anew(stage.journal, stage.folder, len(cache.classes))
    confirmed = {
        place: trial
        for place, trial in find_confirmed(folder.confirm_stage, winner.trial, winner.values, metric).items()
        if is_usable(folder.confirm_stage, trial, len(cache.classes))
    }
    seeds = retraining_seeds(winner.values, stage.settings)
    plan_folds(stage.journal, winner, stage.job.split.folds, confirmed, seeds)
    plan_further(stage.journal, further or ())
    run_folds(stage)
    history = stage.journal.history
    result = measure_out_of_fold(stage.folder, history, cache.classes, winner.fold, winner.confirmation_folds)
    if further is not None:
        members = [winner.trial, *(each.trial for each in further)]
        result = replace(result, ensemble=select_ensemble(stage, cache, winner.trial, members, wanted.most))
    build_ensemble(folder, history, cache, result, winner, half=wanted.half)
    stage.journal.write(Closed(metrics=result.expected, note=out_of_fold_note(result, winner.score)))
    return result


def measure_out_of_fold(
    folder: StageFolder, history: History, classes: ClassTable, search_fold: int, confirm_folds: Collection[int] = ()
) -> OutOfFold:
    """Pool the scores of all folds; a fold of which the metric has nothing to count has none of its own.

    Of one fold those of all seeds are pooled, so that every image counts once for each.

    Args:
        folder: the retraining's files.
        history: its trials.
        classes: the class table of the data.
        search_fold: the fold that the search scored its trials on.
        confirm_folds: folds that its best configurations were confirmed on.

    Raises:
        CheckpointError: when a fold has not finished.
    """
    trials = winner_trainings(history)
    # Of several folds each is trained once.
    over_seeds = len({trial.fold for trial in trials}) == 1
    scores_of_fold = {
        trial.values["seed"] if over_seeds else trial.fold: read_scores(folder, trial, len(classes)) for trial in trials
    }
    metric, labels = history.metric, TrainConfig.from_values(history.trials[0].values).labels
    summarise = partial(summarise_scores, classes=classes, every_class=learns_every_class(labels, classes))
    pooled = [score for scores in scores_of_fold.values() for score in scores]
    summaries = {fold: summarise(scores) for fold, scores in sorted(scores_of_fold.items())}
    seen = {search_fold, *confirm_folds}
    if over_seeds:
        seen = {*scores_of_fold}
    elif seen >= scores_of_fold.keys():
        seen = {search_fold}
    unseen = [score for fold, scores in scores_of_fold.items() if fold not in seen for score in scores]
    return OutOfFold(
        metric=metric,
        metrics=summarise(pooled),
        fold_scores={fold: metrics[metric] for fold, metrics in summaries.items() if metric in metrics},
        by="seed" if over_seeds else "fold",
        images=len({score.name for score in pooled}),
        unseen_score=summarise(unseen).get(metric, float("nan")),
        seen_folds=tuple(sorted(seen)),
        single_class=best_single_class(pooled, classes, metric),
    )


def build_ensemble(
    folder: SearchFolder,
    history: History,
    cache: PixelCache,
    result: OutOfFold,
    best: Winner,
    *,
    half: bool = False,
) -> None:
    """Write the ensemble of all folds' networks, or of those that were chosen, into the search's model directory.

    Args:
        folder: the search's files.
        history: the retraining's trials.
        cache: the decoded data.
        result: what it reached.
        best: the winner.
        half: whether to round the weights to 16 bits.
    """
    left_out: list[int] = []

    def members() -> Iterator[MemberWeights]:
        for member, fold in _find_members(folder, history, result, best):
            left_out.append(fold)
            yield member

    save_members(
        folder.model,
        members(),
        classes=cache.classes,
        # Filled as the members are written: a training may give several.
        notes=_describe(history, cache, result, best, left_out, read_folds(folder.folds)),
        split=read_folds(folder.folds),
        half=half,
    )


def _find_members(
    folder: SearchFolder, history: History, result: OutOfFold, best: Winner
) -> Iterator[tuple[MemberWeights, int]]:
    if result.ensemble is not None and result.ensemble.kept:
        trainings = group_trainings(history, best.trial)
        yield from chosen_weights(folder.retrain_stage, trainings, result.ensemble.members)
        return
    config = TrainConfig.from_values(best.values)
    for trial in winner_trainings(history):
        for tensors in read_member_weights(fetch(folder.retrain_stage, trial, STATE_FILE)):
            yield MemberWeights(tensors=tensors, config=config), trial.fold


def _describe(
    history: History,
    cache: PixelCache,
    result: OutOfFold,
    best: Winner,
    left_out: list[int],
    split: FoldSplit,
) -> dict[str, Any]:
    ensemble = result.ensemble
    chosen = ensemble is not None and ensemble.kept
    return {
        "search": best.search,
        "trial": best.trial,
        "search_score": best.metrics,
        "out_of_fold": ensemble.metrics if ensemble is not None and chosen else result.metrics,
        "metric": result.metric,
        f"{result.by}_scores": {str(key): score for key, score in result.fold_scores.items()},
        "folds": [trial.fold for trial in winner_trainings(history)],
        "split": split.kind,
        "left_out": left_out,
        "extra": list(cache.extra_names),
        **({} if ensemble is None else {"ensemble": describe_ensemble(ensemble)}),
    }
