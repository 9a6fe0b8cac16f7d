"""The winner on all folds: one training per fold, the score out of fold, the ensemble, the model registry.

Each case is predicted by the one network that never saw it, and no fold steers its own training (no early stopping,
epochs from the search). The search chose the configuration on some of the folds, so the score without them is given
too. A fold that the confirmation trained for as many epochs is taken over; a training for other epochs is another one.

Where there is one fold, the winner is trained on it with each seed of the confirmation, and scored on its validation
images: as published numbers are made, with a score that the search was steered by.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from search.folder import CONFIRM_FOLDER, SearchFolder, StageFolder
from search.judge.progress import RETRIED
from search.memory.best import confirmation_folds, score_of
from search.memory.events import Asked, CheckpointSaved, Closed, Ended, Epoch, Reopened
from search.memory.history import History, TrialRecord
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.memory.scores import SCORES_FILE
from search.run.loop import run_folds
from search.run.trial import STATE_FILE
from search.stages.confirm import find_confirmed
from search.stages.stage import OpenStage
from search.verdict.notes import out_of_fold_note
from search.verdict.out_of_fold import OutOfFold
from search.verdict.rounds import retraining_seeds
from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import ClassTable
from segcore.data.dividing.split import read_folds
from segcore.errors import CheckpointError
from segcore.prediction.ensemble import save_ensemble
from segcore.scoring.metrics import ImageScore, best_single_class, summarise_scores
from segcore.scoring.objective import learns_every_class
from segcore.training.state import read_member_weights


def plan_folds(
    journal: Journal,
    best: dict[str, Any],
    folds: int,
    confirmed: Mapping[tuple[int, int], TrialRecord] | None = None,
    seeds: Sequence[int] = (),
) -> None:
    """Ask for one training per fold that the journal has not; one that failed goes on, one that diverged begins anew.

    Args:
        journal: the retraining's memory.
        best: the winner.
        folds: number of folds.
        confirmed: by fold and seed, what the confirmation trained already; it is taken over as it is.
        seeds: where there is one fold, those to train it with; else it is the winner's own.

    Raises:
        CheckpointError: when the journal is of another winner.
    """
    places = [(0, seed) for seed in seeds] or [(fold, best["values"]["seed"]) for fold in range(folds)]
    for number, (fold, seed) in enumerate(places):
        known, values = journal.history.trials.get(number), {**best["values"], "seed": seed}
        if known is not None and known.values != values:
            raise CheckpointError(
                f"{journal.file.parent} retrains another winner than best.json names now; "
                "move that folder away to retrain the new one."
            )
        if known is not None and known.outcome in RETRIED:
            journal.write(Reopened(trial=number))
        elif known is None or known.outcome not in (None, Outcome.FINISHED):
            training = (confirmed or {}).get((fold, seed))
            asked = Asked(trial=number, fold=fold, values=values, params={})
            if training is None:
                journal.write(asked)
            else:
                _take_over(journal, asked, training)


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
    trials = _finished(history)
    # Of several folds each is trained once.
    over_seeds = len({trial.fold for trial in trials}) == 1
    scores_of_fold = {
        trial.values["seed"] if over_seeds else trial.fold: _read_scores(folder, trial) for trial in trials
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
        unseen_score=summarise(unseen).get(metric, float("nan")) if unseen else float("nan"),
        seen_folds=tuple(sorted(seen)),
        single_class=best_single_class(pooled, classes, metric),
    )


def build_ensemble(
    folder: SearchFolder, history: History, cache: PixelCache, result: OutOfFold, best: dict[str, Any]
) -> None:
    """Write the ensemble of all folds' networks into the search's model directory."""
    trials, split = _finished(history), read_folds(folder.folds)
    left_out: list[int] = []

    def weights() -> Iterator[dict[str, Tensor]]:
        for trial in trials:
            for tensors in read_member_weights(_fetch(folder.retrain_stage, trial, STATE_FILE)):
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
            "metric": result.metric,
            f"{result.by}_scores": {str(key): score for key, score in result.fold_scores.items()},
            "folds": [trial.fold for trial in trials],
            "split": split.kind,
            # Filled as the members are written: a training may give several.
            "left_out": left_out,
            "extra": list(cache.extra_names),
        },
        split=split,
    )


def _take_over(journal: Journal, asked: Asked, training: TrialRecord) -> None:
    """Write what the confirmation trained as if it had been trained here, with its own times."""
    number, above = asked.trial, f"../{CONFIRM_FOLDER}/"
    journal.write(replace(asked, time=training.started, copy_of=training.number))
    for epoch, record in sorted(training.epochs.items()):
        picture = above + record.picture if record.picture is not None else None
        shown = {key: above + file for key, file in record.pictures.items()}
        journal.write(
            Epoch(trial=number, epoch=epoch, metrics=record.metrics, picture=picture, pictures=shown, time=record.time)
        )
    if training.checkpoint is not None:
        journal.write(CheckpointSaved(trial=number, epoch=training.checkpoint_epoch, path=above + training.checkpoint))
    message = f"trained in the confirmation, as its trial {training.number}"
    ended = training.ended if training.ended is not None else training.started
    journal.write(Ended(trial=number, outcome=Outcome.FINISHED, message=message, time=ended))


def _finished(history: History) -> list[TrialRecord]:
    trials = history.in_order
    for trial in trials:
        if trial.outcome is not Outcome.FINISHED:
            said = f"{trial.outcome}: {trial.message}" if trial.outcome else "it has not finished"
            raise CheckpointError(
                f"Fold {trial.fold} was not retrained ({said}); mend the cause and run the retraining again."
            )
    return trials


def _fetch(folder: StageFolder, trial: TrialRecord, file: str) -> Path:
    if trial.checkpoint is None or not folder.has(trial.checkpoint, file):
        raise CheckpointError(f"The checkpoint of fold {trial.fold} is missing ({trial.checkpoint}).")
    return folder.fetch(trial.checkpoint, file)


def _read_scores(folder: StageFolder, trial: TrialRecord) -> list[ImageScore]:
    entries = json.loads(_fetch(folder, trial, SCORES_FILE).read_text(encoding="utf-8"))
    return [
        ImageScore(
            name=entry["name"],
            condition=entry["condition"],
            iou=entry["iou"],
            confusion_CP=np.array(entry["confusion"], np.int64),
            boundary_C2=np.array(entry["boundary"], np.int64) if entry.get("boundary") is not None else None,
        )
        for entry in entries
    ]


def run_retraining(opened: OpenStage, folder: SearchFolder, cache: PixelCache, winner: dict[str, Any]) -> OutOfFold:
    """Train the winner on all folds, or with all further seeds on the only one, score it, and build the ensemble.

    Args:
        opened: the retraining's stage.
        folder: the search's files.
        cache: the decoded data.
        winner: what `best.json` holds.

    Raises:
        InterruptedSearchError: when it was stopped from outside.
        CheckpointError: when the stage retrains another winner, or a fold failed.
    """
    stage = opened.stage
    metric = stage.settings.metric
    confirmed = find_confirmed(folder.confirm_stage, winner["trial"], winner["values"], metric)
    seeds = retraining_seeds(winner["values"], stage.settings)
    plan_folds(stage.journal, winner, stage.job.split.folds, confirmed, seeds)
    run_folds(stage, "retrain")
    history, confirm_folds = stage.journal.history, confirmation_folds(winner)
    result = measure_out_of_fold(stage.folder, history, cache.classes, winner["fold"], confirm_folds)
    build_ensemble(folder, history, cache, result, winner)
    note = out_of_fold_note(result, score_of(winner))
    stage.journal.write(Closed(metrics=result.metrics, note=note))
    return result
