"""The winner on all folds: one training per fold, the score out of fold, the ensemble, the model registry.

Each case is predicted by the one network that never saw it, and no fold steers its own training (no early stopping,
epochs from the search). The search chose the configuration on some of the folds, so the score without them is given
too. A fold that the confirmation trained for as many epochs is taken over; a training for other epochs is another one.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from torch import Tensor

from search.journal import Journal, Outcome, TrialRecord
from search.layout import CONFIRM_FOLDER, SearchFolder
from search.trial import SCORES_FILE, STATE_FILE
from segcore.cache import PixelCache
from segcore.classes import ClassTable
from segcore.config import TrainConfig
from segcore.ensemble import save_ensemble
from segcore.errors import CheckpointError
from segcore.folds import read_folds
from segcore.metrics import ImageScore, best_single_class, summarise_scores
from segcore.state import read_member_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """What the retraining reached on images that no scoring network had seen.

    Args:
        metrics: over all images of all folds together, see `segcore.metrics`.
        fold_ious: `iou` of each fold alone.
        images: how many images were scored.
        unseen_iou: `iou` without the folds that had a say in who won; the honest one.
        seen_folds: those folds; the search's alone where all had a say.
        single_class: the class that scores best when it is predicted everywhere.
        single_class_iou: what that guess scores on the same images.
    """

    metrics: dict[str, float]
    fold_ious: dict[int, float]
    images: int
    unseen_iou: float
    seen_folds: tuple[int, ...]
    single_class: str
    single_class_iou: float

    @property
    def spread(self) -> float:
        """Standard deviation of `iou` over folds; 0 for a single fold."""
        return stdev(self.fold_ious.values()) if len(self.fold_ious) > 1 else 0.0

    @property
    def fold_mean(self) -> float:
        """Mean of `iou` over folds."""
        return mean(self.fold_ious.values())


def plan_folds(
    journal: Journal, best: dict[str, Any], folds: int, confirmed: Mapping[int, TrialRecord] | None = None
) -> None:
    """Ask for one training per fold, unless the journal has it already; one that failed is asked for anew.

    Args:
        journal: the retraining's memory.
        best: the winner.
        folds: number of folds.
        confirmed: by fold, what the confirmation trained already; it is taken over as it is.

    Raises:
        CheckpointError: when the journal is of another winner.
    """
    for fold in range(folds):
        known = journal.history.trials.get(fold)
        if known is not None and known.values != best["values"]:
            raise CheckpointError(
                f"{journal.file.parent} retrains another winner than best.json names now; "
                "move that folder away to retrain the new one."
            )
        if known is None or known.outcome not in (None, Outcome.FINISHED):
            training = (confirmed or {}).get(fold)
            asked = {"trial": fold, "fold": fold, "values": best["values"], "params": {}}
            if training is None:
                journal.write("asked", asked)
            else:
                _take_over(journal, asked, training)


def measure_out_of_fold(
    journal: Journal, classes: ClassTable, search_fold: int, confirm_folds: Collection[int] = ()
) -> OutOfFold:
    """Pool the scores of all folds.

    Args:
        journal: the retraining's memory.
        classes: the class table of the data.
        search_fold: the fold that the search scored its trials on.
        confirm_folds: folds that its best configurations were confirmed on.

    Raises:
        CheckpointError: when a fold has not finished.
    """
    scores_of_fold = {trial.fold: _read_scores(trial) for trial in _finished(journal)}
    config = TrainConfig.from_values(journal.history.trials[0].values)
    pooled = [score for scores in scores_of_fold.values() for score in scores]
    fold_ious = {
        fold: summarise_scores(scores, classes, every_class=False).get("iou", float("nan"))
        for fold, scores in sorted(scores_of_fold.items())
    }
    seen = {search_fold, *confirm_folds}
    if seen >= scores_of_fold.keys():
        seen = {search_fold}
    unseen = [score for fold, scores in scores_of_fold.items() if fold not in seen for score in scores]
    single_class, single_class_iou = best_single_class(pooled, classes)
    return OutOfFold(
        metrics=summarise_scores(pooled, classes, every_class=config.labels == "full"),
        fold_ious=fold_ious,
        images=len(pooled),
        unseen_iou=summarise_scores(unseen, classes, every_class=False).get("iou", float("nan")),
        seen_folds=tuple(sorted(seen)),
        single_class=single_class,
        single_class_iou=single_class_iou,
    )


def build_ensemble(
    folder: SearchFolder, journal: Journal, cache: PixelCache, result: OutOfFold, best: dict[str, Any]
) -> None:
    """Write the ensemble of all folds' networks into the search's model directory."""
    trials = _finished(journal)
    left_out: list[int] = []

    def weights() -> Iterator[dict[str, Tensor]]:
        for trial in trials:
            for tensors in read_member_weights(_checkpoint(trial) / STATE_FILE):
                left_out.append(trial.fold)
                yield tensors

    save_ensemble(
        folder.model,
        weights(),
        config=TrainConfig.from_values(best["values"]),
        classes=cache.classes,
        notes={
            "search": best["search"],
            "trial": best["trial"],
            "search_score": best["metrics"],
            "out_of_fold": result.metrics,
            "fold_ious": {str(fold): iou for fold, iou in result.fold_ious.items()},
            "folds": [trial.fold for trial in trials],
            # Filled as the members are written: a training may give several.
            "left_out": left_out,
            "extra": list(cache.extra_names),
        },
        split=read_folds(folder.folds),
    )


def _take_over(journal: Journal, asked: dict[str, Any], training: TrialRecord) -> None:
    """Write what the confirmation trained as if it had been trained here, with its own times."""
    fold = asked["fold"]
    journal.write("asked", {**asked, "time": training.started})
    for epoch, record in sorted(training.epochs.items()):
        picture = f"../{CONFIRM_FOLDER}/{record.picture}" if record.picture is not None else None
        content = {"trial": fold, "epoch": epoch, "metrics": record.metrics, "picture": picture, "verdict": ""}
        journal.write("epoch", {**content, "time": record.time})
    journal.write("checkpoint", {"trial": fold, "epoch": training.checkpoint_epoch, "path": training.checkpoint})
    message = f"trained in the confirmation, as its trial {training.number}"
    ended = {"trial": fold, "outcome": str(Outcome.FINISHED), "message": message}
    journal.write("ended", {**ended, "time": training.ended})


def _finished(journal: Journal) -> list[TrialRecord]:
    trials = journal.history.in_order
    for trial in trials:
        if trial.outcome is not Outcome.FINISHED:
            said = f"{trial.outcome}: {trial.message}" if trial.outcome else "it has not finished"
            raise CheckpointError(
                f"Fold {trial.fold} was not retrained ({said}); mend the cause and run the retraining again."
            )
    return trials


def _checkpoint(trial: TrialRecord) -> Path:
    if trial.checkpoint is None or not Path(trial.checkpoint).is_dir():
        raise CheckpointError(f"The checkpoint of fold {trial.fold} is missing ({trial.checkpoint}).")
    return Path(trial.checkpoint)


def _read_scores(trial: TrialRecord) -> list[ImageScore]:
    entries = json.loads((_checkpoint(trial) / SCORES_FILE).read_text(encoding="utf-8"))
    return [
        ImageScore(
            name=entry["name"],
            timeofday=entry["timeofday"],
            iou=entry["iou"],
            confusion_CP=np.array(entry["confusion"], np.int64),
        )
        for entry in entries
    ]
