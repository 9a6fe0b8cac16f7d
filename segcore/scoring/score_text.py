"""The scores of validation images as JSON, which outlives a training.

    [{"name": "a", "condition": "night", "iou": 0.5, "confusion": [[9, 1, 0], [0, 8, 2]], "boundary": [[3, 5], [2, 4]]}]

Who reads it needs no torch, and whoever can write where a search lies may have changed it.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Final, Protocol

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from segcore.scoring.overlaps import Confusion, Overlaps

SCORES_FILE: Final = "scores.json"
"""The file beside a checkpoint: a worker writes it there, later stages of a search read it."""

Count = Annotated[int, Field(ge=0, lt=2**40)]
"""Of pixels; of as many as there may be sums fit into 64 bits."""


class Score(Protocol):
    """What was counted on one image, as `metrics.ImageScore` says it."""

    @property
    def name(self) -> str:
        """The case's name."""

    @property
    def condition(self) -> str:
        """The case's condition."""

    @property
    def iou(self) -> float | None:
        """The contest's score of this image, 0 to 1; None when its truth has no scored class."""

    @property
    def confusion_CP(self) -> Confusion:
        """Pixels by true class and predicted class."""

    @property
    def boundary_C2(self) -> Overlaps | None:
        """Pixels of each class along its borders; None where they were not counted, as in older files."""


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="ignore", strict=True, allow_inf_nan=False))
class StoredScore:
    """A `Score` as it was read; the arguments are the keys of the file."""

    name: str
    condition: str
    iou: Annotated[float, Field(ge=0, le=1)] | None
    confusion: list[list[Count]]
    boundary: list[tuple[Count, Count]] | None = None

    @property
    def confusion_CP(self) -> Confusion:
        """Pixels by true class and predicted class."""
        return np.array(self.confusion, np.int64)

    @property
    def boundary_C2(self) -> Overlaps | None:
        """Pixels of each class along its borders; None where they were not counted, as in older files."""
        return None if self.boundary is None else np.array(self.boundary, np.int64)

    def fits(self, classes: int) -> bool:
        """Say whether it counts so many classes."""
        sizes = [len(row) for row in self.confusion]
        return sizes == [classes + 1] * classes and (self.boundary is None or len(self.boundary) == classes)


_ADAPTER: Final = TypeAdapter(list[StoredScore])


def encode_scores(scores: Sequence[Score]) -> str:
    """Return the scores of images as JSON: a list with the name, condition, IoU and confusion of each."""
    return json.dumps(
        [
            {
                "name": score.name,
                "condition": score.condition,
                "iou": score.iou,
                "confusion": score.confusion_CP.tolist(),
                "boundary": None if score.boundary_C2 is None else score.boundary_C2.tolist(),
            }
            for score in scores
        ]
    )


def decode_scores(content: bytes, classes: int) -> list[StoredScore]:
    """Return what `encode_scores` wrote.

    Args:
        content: of the file.
        classes: how many there are.

    Raises:
        ValueError: when it is something else, or counts other classes.
    """
    scores = _ADAPTER.validate_json(content)
    if unlike := [score.name for score in scores if not score.fits(classes)]:
        raise ValueError(f"the counts of image {unlike[0]!r} are not of {classes} classes")
    return scores
