"""Which metric decides: the names it may have, its default, and whether a training and its data give it at all.

What the metrics are, and their counts, is in `metrics`. Nothing here needs torch, so a search checks its settings in no
time.
"""

import difflib
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from segcore.data.classes import ClassTable
from segcore.errors import ConfigError

FIRST_METRIC: Final = "iou"
"""What decided before there was a choice: files that name none mean this one."""
BOUNDARY_IOU: Final = "boundary_iou"
METRICS: Final = (FIRST_METRIC, "miou", "miou_scored", BOUNDARY_IOU)
"""What may decide, beside the IoU of one class."""
CLASS_PREFIX: Final = "iou/"
"""What the metric of one class begins with, before the class's name."""
CONDITION_PREFIX: Final = "iou_at/"
"""What the metric of one condition begins with."""
METRIC_HELP: Final = (
    f"{', '.join(METRICS)} or {CLASS_PREFIX}CLASS; empty: iou for the contest's layout, miou for others"
)


def default_objective(layout: str) -> str:
    """Return the metric that decides unless another is asked for.

    Args:
        layout: name of the data's layout; the contest's own score is for data that is laid out like the contest's.
    """
    return FIRST_METRIC if layout == "contest" else "miou"


def describe_unknown(metric: str) -> str:
    """Say what is wrong with the name of a metric; empty when it may be one. Classes are not known here."""
    if metric in METRICS or (metric.startswith(CLASS_PREFIX) and metric != CLASS_PREFIX):
        return ""
    near = difflib.get_close_matches(metric.lower(), METRICS, n=2, cutoff=0.6)
    hint = f"use {' or '.join(near)}" if near else f"use {', '.join(METRICS)} or {CLASS_PREFIX}CLASS"
    return f"this is no metric; {hint}"


def require_metric(metric: str, classes: ClassTable) -> None:
    """Refuse a metric that is none, or is of a class that the data has not.

    Raises:
        ConfigError: with the nearest names.
    """
    if fault := describe_unknown(metric):
        raise ConfigError(f"--objective {metric}: {fault}.")
    name = metric.removeprefix(CLASS_PREFIX)
    if metric in METRICS or name in classes.names:
        return
    near = difflib.get_close_matches(name, classes.names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(classes.names)}."
    raise ConfigError(f"--objective {metric}: the data has no class {name!r}; {hint}")


def counted_classes(metric: str, classes: ClassTable) -> tuple[int, ...]:
    """Return the indices of the classes that a metric counts.

    Args:
        metric: one that `require_metric` lets pass.
        classes: the class table of the data.
    """
    if metric in ("iou", "miou_scored"):
        return classes.scored_indices
    if metric in METRICS:
        return tuple(range(len(classes)))
    return (classes.names.index(metric.removeprefix(CLASS_PREFIX)),)


def learns_every_class(labels: Literal["full", "scored"], classes: ClassTable) -> bool:
    """Say whether a network of these labels tells every class apart; where all but one are scored, any does."""
    # The background of scored labels is that one class, see `LabelMap`.
    return labels == "full" or len(classes.scored) >= len(classes) - 1


def require_learnt(metric: str, labels: Literal["full", "scored"], classes: ClassTable) -> None:
    """Refuse a training that does not learn what a metric counts, so that it would never report it.

    Args:
        metric: what decides.
        labels: of the training's configuration.
        classes: the class table of the data.

    Raises:
        ConfigError: naming classes that it does not learn.
    """
    if learns_every_class(labels, classes):
        return
    unlearnt = [index for index in counted_classes(metric, classes) if index not in classes.scored_indices]
    if unlearnt:
        names = ", ".join(classes.names[index] for index in unlearnt[:3]) + (", ..." if len(unlearnt) > 3 else "")
        raise ConfigError(
            f"--objective {metric} with labels=scored: such a network learns the scored classes alone, and the metric "
            f"also counts {names}; use --set labels=full, or --objective miou_scored."
        )


def require_counted(metric: str, pixels_C: npt.NDArray[np.int64], classes: ClassTable, fold: int) -> None:
    """Refuse a metric of which no validation image has a pixel: it would be 0, or nothing at all, for any network.

    Args:
        metric: what decides.
        pixels_C: pixels of each class in the images of a fold.
        classes: the class table of the data.
        fold: the fold.

    Raises:
        ConfigError: naming the classes.
    """
    counted = counted_classes(metric, classes)
    if not any(pixels_C[index] for index in counted):
        names = ", ".join(classes.names[index] for index in counted[:3]) + (", ..." if len(counted) > 3 else "")
        raise ConfigError(
            f"--objective {metric}: fold {fold} has no pixel of {names}, so nothing could be counted there; validate "
            "on another with --fold, use fewer --folds, --confirm 0 if it is a fold of the confirmation, or another "
            "objective."
        )
