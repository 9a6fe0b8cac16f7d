"""What a retraining reached on images that no scoring network had seen; it is measured in `stages.retrain`."""

from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """What the retraining reached on images that no scoring network had seen.

    Args:
        metrics: over all images of all folds together, see `segcore.scoring.metrics`.
        fold_ious: `iou` of each fold alone; where there is one fold, of each seed.
        images: how many images were scored.
        unseen_iou: `iou` without the folds that had a say in who won; the honest one; NaN where there is one fold.
        seen_folds: those folds; the search's alone where all had a say.
        single_class: the class that scores best when it is predicted everywhere.
        single_class_iou: what that guess scores on the same images.
        by: what the trainings differ in.
    """

    metrics: dict[str, float]
    fold_ious: dict[int, float]
    images: int
    unseen_iou: float
    seen_folds: tuple[int, ...]
    single_class: str
    single_class_iou: float
    by: Literal["fold", "seed"] = "fold"

    @property
    def spread(self) -> float:
        """Standard deviation of `iou` over folds or seeds; 0 for a single one."""
        return stdev(self.fold_ious.values()) if len(self.fold_ious) > 1 else 0.0

    @property
    def fold_mean(self) -> float:
        """Mean of `iou` over folds or seeds."""
        return mean(self.fold_ious.values())
