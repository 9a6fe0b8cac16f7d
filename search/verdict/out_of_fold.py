"""What a retraining reached on images that no scoring network had seen; it is measured in `stages.retrain`."""

import math
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """What the retraining reached on images that no scoring network had seen.

    Args:
        metric: what decides, see `segcore.scoring.objective`.
        metrics: over all images of all folds together, see `segcore.scoring.metrics`.
        fold_scores: that of each fold alone, of those that have one; where there is one fold, of each seed.
        images: how many images were scored.
        unseen_score: that without the folds that had a say in who won; the honest one; NaN where there is one fold.
        seen_folds: those folds; the search's alone where all had a say.
        single_class: the class that scores best when it is predicted everywhere, and its score on the same images; None
            where nothing tells.
        by: what the trainings differ in.
    """

    metric: str
    metrics: dict[str, float]
    fold_scores: dict[int, float]
    images: int
    unseen_score: float
    seen_folds: tuple[int, ...]
    single_class: tuple[str, float] | None
    by: Literal["fold", "seed"] = "fold"

    @property
    def score(self) -> float:
        """Over all images together; NaN when there was nothing to count."""
        return self.metrics.get(self.metric, math.nan)

    @property
    def spread(self) -> float:
        """Standard deviation of the score over folds or seeds; 0 for a single one."""
        return stdev(self.fold_scores.values()) if len(self.fold_scores) > 1 else 0.0

    @property
    def fold_mean(self) -> float:
        """Mean of the score over folds or seeds."""
        return mean(self.fold_scores.values()) if self.fold_scores else math.nan
