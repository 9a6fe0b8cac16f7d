"""What a retraining reached on images that no scoring network had seen; it is measured in `stages.retrain`."""

import math
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Final, Literal

MOST_NETWORKS: Final = 30
"""That a chosen ensemble may have: each is run for every image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenMember:
    """A candidate of an ensemble, and how often it counts.

    Args:
        trial: the search's trial whose configuration it has.
        snapshot: which of the networks of each training, 0-based.
        weight: how often it counts; 0: it was not chosen.
        alone: its score alone, out of fold.
    """

    trial: int
    snapshot: int
    weight: int
    alone: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleVerdict:
    """What a selection among several configurations found.

    Args:
        kept: whether something beat the winner's networks alone; else they are the members.
        members: every candidate.
        metric: what decided.
        metrics: of the members together, over all images.
        plain: score of the winner's networks alone.
        nested: that of members that were chosen without the images that they are scored on.
        networks: how many networks the model has.
        failures: why configurations had no say.
    """

    kept: bool
    members: tuple[ChosenMember, ...]
    metric: str
    metrics: dict[str, float]
    plain: float
    nested: float
    networks: int
    failures: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Of the members together; where they were chosen it flatters."""
        return self.metrics.get(self.metric, math.nan)

    @property
    def expected(self) -> float:
        """What to expect on other images: a score that nothing was chosen by."""
        return self.nested if self.kept else self.plain


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
        ensemble: what a selection among several configurations found; None where there was none.
    """

    metric: str
    metrics: dict[str, float]
    fold_scores: dict[int, float]
    images: int
    unseen_score: float
    seen_folds: tuple[int, ...]
    single_class: tuple[str, float] | None
    by: Literal["fold", "seed"] = "fold"
    ensemble: EnsembleVerdict | None = None

    @property
    def expected(self) -> dict[str, float]:
        """The metrics of the model that was made; of an ensemble what decided is that of choices made without it."""
        if self.ensemble is None or not self.ensemble.kept:
            return self.metrics
        return {**self.ensemble.metrics, self.ensemble.metric: self.ensemble.expected}

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
