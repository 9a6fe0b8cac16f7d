"""Validation pictures: of the best, the median and the worst trial, and of the winner's retraining."""

from pathlib import Path
from typing import Final

from search.folder import StageFolder
from search.insight.conditions import read_classes
from search.memory.history import EpochRecord, TrialRecord
from search.report.matter import Matter, score_of
from segcore.errors import CheckpointError
from segcore.insight.page import Markup, Section, class_legend, element, join, paragraph, picture

_MOST_BYTES: Final = 400_000
_MOST_RETRAINED: Final = 4


def pictures(matter: Matter) -> Section:
    """Return the pictures that are there."""
    record = matter.record
    ranked = [trial for trial in matter.history.ranked if trial.best is not None]
    middle = ranked[len(ranked) // 2 :][:1] if len(ranked) > 2 else []
    chosen = [("the best", ranked[:1]), ("the median", middle), ("the worst", ranked[-1:] if len(ranked) > 1 else [])]
    shown = [
        _show(matter, record.folder.search_stage, trial, trial.best, f"trial {trial.number}, {word} of {len(ranked)}")
        for word, trials in chosen
        for trial in trials
    ]
    for trial in matter.record.retraining.in_order[:_MOST_RETRAINED]:
        told = (
            f"retrained, fold {trial.fold}" if record.settings.folds > 1 else f"retrained, seed {trial.values['seed']}"
        )
        last = trial.epochs.get(trial.last_epoch)
        shown.append(_show(matter, record.folder.retrain_stage, trial, last, told))
    found = [each for each in shown if each]
    classes = read_classes(record)
    parts = [*([class_legend(classes)] if classes is not None else []), element("div", join(found), "cards")]
    content = join(parts) if found else paragraph("No picture is in the search's folder yet.")
    hint = "From left to right: image, truth, prediction, on the first image of the fold; black is void."
    return Section(title="Pictures", hint=hint, content=content)


def _show(
    matter: Matter, stage: StageFolder, trial: TrialRecord, record: EpochRecord | None, told: str
) -> Markup | None:
    known = [each for each in trial.epochs.values() if each.picture is not None]
    near = record if record is not None and record.picture is not None else known[-1] if known else None
    content = _read(stage, near.picture) if near is not None and near.picture is not None else None
    if near is None or content is None:
        return None
    score = near.score if near.score == near.score else score_of(trial)
    return picture(content, "jpeg", f"{told}: {matter.metric} {score:.4f} after epoch {near.epoch}")


def _read(stage: StageFolder, stored: str) -> bytes | None:
    """Return a picture; None for one that is not there, or too large for a page."""
    try:
        file: Path = stage.resolve(stored)
        return file.read_bytes() if file.stat().st_size <= _MOST_BYTES else None
    except (OSError, CheckpointError):
        return None
