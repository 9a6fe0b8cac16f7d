"""What a model's directory says of its training: which folds its members left out, what decided, what it scored.

`train` and a retraining write it as `notes` of `ensemble.json`, see `ensemble_files`; notes of older models say less,
and notes that were edited may say anything. Who may predict an image by them is decided in `held_out`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segcore.prediction.ensemble_files import read_ensemble_notes
from segcore.scoring.objective import FIRST_METRIC


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingNotes:
    """What is known of how a model was trained.

    Args:
        members: how many networks it has.
        left_out: the fold that each of them left out; empty where the notes do not say.
        folds: number of folds; 0 where the notes do not say.
        split: how the images were divided, a kind of `FoldSplit`; None where the notes are older than kinds.
        extra: names of images that every member trained on beside the folds.
        extra_is_known: whether those are all.
        metric: what decided.
        score: of `metric` on all held-out images; None where the notes have none.
        search: the search that made the model; empty: none, or it is not known.
        trial: the search's trial whose configuration was trained.
        run: address of the training's run in MLflow, or empty.
    """

    members: int
    left_out: tuple[int, ...] = ()
    folds: int = 0
    split: str | None = None
    extra: frozenset[str] = frozenset()
    extra_is_known: bool = True
    metric: str = FIRST_METRIC
    score: float | None = None
    search: str = ""
    trial: int = 0
    run: str = ""


def read_notes(model: Path) -> TrainingNotes:
    """Read what a model's directory says of its training.

    Raises:
        CheckpointError: when there is no model, or its `ensemble.json` cannot be read.
    """
    document = read_ensemble_notes(model)
    members = document.get("members")
    return parse_notes(document.get("notes"), len(members) if isinstance(members, list) else 0)


def parse_notes(notes: object, members: int) -> TrainingNotes:
    """Return what the notes of a model say; what they do not say, or not in a form that is known, is left out.

    Args:
        notes: `notes` of its ensemble.json.
        members: how many networks it has.
    """
    known: Mapping[str, Any] = notes if isinstance(notes, dict) else {}
    left_out, folds = _parse_folds(known, members)
    extra, extra_is_known = _parse_extra(known)
    metric, split = known.get("metric"), known.get("split")
    metric = metric if isinstance(metric, str) else FIRST_METRIC
    search, trial, run = known.get("search"), known.get("trial"), known.get("run")
    is_of_search = isinstance(search, str) and isinstance(trial, int)
    return TrainingNotes(
        members=members,
        left_out=left_out,
        folds=folds,
        split=split if isinstance(split, str | None) else "",
        extra=extra,
        extra_is_known=extra_is_known,
        metric=metric,
        score=_parse_score(known, metric),
        search=str(search) if is_of_search else "",
        trial=int(trial) if is_of_search and trial is not None else 0,
        run=run if isinstance(run, str) else "",
    )


def _parse_folds(notes: Mapping[str, Any], members: int) -> tuple[tuple[int, ...], int]:
    fold, folds, left_out = notes.get("fold"), notes.get("folds"), notes.get("left_out")
    if left_out is None:
        # Older models have one member per fold, and their notes no left_out.
        left_out = [fold] if isinstance(folds, int) else folds
    if not members or not isinstance(left_out, list) or len(left_out) != members:
        return (), 0
    if not all(isinstance(one, int) for one in left_out):
        return (), 0
    # Several members may have left out one fold.
    stated = folds if isinstance(folds, int) else len(set(map(str, folds))) if isinstance(folds, list) else 0
    return tuple(left_out), max(stated, max(left_out) + 1)


def _parse_extra(notes: Mapping[str, Any]) -> tuple[frozenset[str], bool]:
    names = notes.get("extra")
    if isinstance(names, list):
        return frozenset(name for name in names if isinstance(name, str)), True
    # Older notes hold the number alone.
    return frozenset(), not notes.get("extra_cases")


def _parse_score(notes: Mapping[str, Any], metric: str) -> float | None:
    out_of_fold, scores = notes.get("out_of_fold"), notes.get("scores", notes.get("ious"))
    if isinstance(out_of_fold, dict):
        value = out_of_fold.get(metric)
    else:
        value = scores[-1] if isinstance(scores, list) and scores else None
    return float(value) if isinstance(value, int | float) else None
