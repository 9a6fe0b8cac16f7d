"""Validation pictures: of the best, the median and the worst trial, and of the winner's retraining."""

from pathlib import Path
from typing import Final

from search.folder import StageFolder
from search.insight.conditions import read_classes
from search.insight.shown import Shown, choose_shown
from search.report.matter import Matter
from segcore.errors import CheckpointError
from segcore.insight.page import Markup, Section, class_legend, element, join, paragraph
from segcore.insight.page_pictures import picture
from segcore.regular import read_regular

_MOST_BYTES: Final = 400_000


def pictures(matter: Matter) -> Section:
    """Return the pictures that are there."""
    found = [drawn for shown in choose_shown(matter.record) if (drawn := _draw(matter, shown)) is not None]
    classes = read_classes(matter.record)
    parts = [*([class_legend(classes)] if classes is not None else []), element("div", join(found), "cards")]
    content = join(parts) if found else paragraph("No picture is in the search's folder yet.")
    hint = "From left to right: image, truth, prediction, on the first image of the fold."
    return Section(title="Pictures", hint=hint, content=content)


def _draw(matter: Matter, shown: Shown) -> Markup | None:
    content = _read(shown.stage, shown.epoch.picture or "")
    if content is None:
        return None
    score = shown.epoch.score if shown.epoch.score == shown.epoch.score else shown.trial.best_score
    return picture(content, "jpeg", f"{shown.says}: {matter.metric} {score:.4f} after epoch {shown.epoch.epoch}")


def _read(stage: StageFolder, stored: str) -> bytes | None:
    """Return a picture; None for one that is not there, or too large for a page."""
    try:
        file: Path = stage.resolve(stored)
        return read_regular(file) if file.stat().st_size <= _MOST_BYTES else None
    except (OSError, CheckpointError):
        return None
