"""Compares configurations over folds and validation images: differences with intervals, from scores alone.

Two intervals answer two questions. `compare_over_folds` covers everything that another fold would change: images,
training images and the luck of a training; it needs two folds at least, and is wide with few. `compare_over_images`
covers only which streets were looked at, with the trained networks as they are; one fold is enough.
Where there is one fold, scores are by seed instead: they cover the luck of a training alone.
What follows from them is decided in `race`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import mean
from typing import Final

import numpy as np
from scipy.special import ndtr, stdtrit  # type: ignore[import-untyped]

from segcore.errors import CheckpointError

CONFIDENCE: Final = 0.95
FOLDS_METHOD: Final = (
    "paired t-interval over folds; residual spread pooled over the configurations, widened for the training images "
    "that folds share"
)
IMAGES_METHOD: Final = (
    "t-interval over blocks of neighbouring validation images, the trained networks as they are; of a metric over "
    "classes, by how much each image moves it"
)
SEEDS_METHOD: Final = (
    "t-interval over seeds; spread pooled over the configurations, training and validation images as they are"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its confidence interval.

    Args:
        estimate: in units of the metric that decides.
        low: lower end.
        high: upper end.
    """

    estimate: float
    low: float
    high: float

    @property
    def score_ends(self) -> tuple[float, float]:
        """Its ends as those of a score: no metric is below 0 or above 1, however little few images say."""
        return max(0.0, self.low), min(1.0, self.high)


def compare_over_folds(
    scores: Mapping[int, Mapping[int, float]], other: int, leader: int, *, folds: int, comparisons: int = 1
) -> Interval | None:
    """Return the mean difference `other` minus `leader` over the folds that both have.

    Scores are taken as configuration effect plus fold effect plus rest (a randomized block design: Montgomery, Design
    and Analysis of Experiments, chapter 4). The rest is assumed to be alike for all configurations and estimated from
    all together, since two or three folds of one pair say next to nothing of its spread. The variance of the mean is
    widened by test size over training size, because the folds' trainings share most of their images (Nadeau and Bengio,
    Inference for the Generalization Error, 2003). Seeds of one fold have no effect in common, and what they say holds
    for its images: nothing is widened.

    Args:
        scores: by configuration and fold, or seed.
        other: a configuration.
        leader: the configuration to compare it to.
        folds: parts the data is divided into; gives the share of images that trainings have in common. 1: scores are by
            further seed.
        comparisons: intervals that hold together (Bonferroni).

    Returns:
        None when there are too few scores to tell the rest from the effects.
    """
    common = sorted(set(scores[other]) & set(scores[leader]))
    variance, freedom = _residual_variance(scores, folds)
    if not common or freedom == 0:
        return None
    estimate = mean(scores[other][fold] - scores[leader][fold] for fold in common)
    error = math.sqrt(2 * variance * (1 / len(common) + _share(folds)))
    return _interval(estimate, error, freedom, comparisons)


def estimate_choice_bias(scores: Mapping[int, Mapping[int, float]], *, folds: int) -> float | None:
    """Return by how much the best mean over folds would be above the truth if all configurations were equally good.

    The best of several looks better than it is, on any fold. Were they equal, their means would differ by chance alone:
    the best would be above by the expected maximum of so many normal draws of that spread (see `compare_over_folds`).
    Where they differ, the better ones win by merit and the bias is smaller. So this is the most to be expected.

    Args:
        scores: by configuration and fold.
        folds: parts the data is divided into.

    Returns:
        None with fewer than two configurations, or when there are too few scores to tell chance from effects.
    """
    variance, freedom = _residual_variance(scores, folds)
    if len(scores) < 2 or freedom == 0:
        return None
    rounds = max(map(len, scores.values()))
    return expect_maximum(len(scores)) * math.sqrt(variance * (1 / rounds + _share(folds)))


def expect_maximum(draws: int) -> float:
    """Return the expected largest of so many draws from the standard normal distribution."""
    x = np.linspace(0, 9, 9001)
    tails = 1 - ndtr(x) ** draws - ndtr(-x) ** draws
    return float(np.trapezoid(tails, x))


def compare_over_images(
    differences: Mapping[int, Mapping[str, float]], block_of: Mapping[str, str], *, comparisons: int = 1
) -> Interval | None:
    """Return the mean over folds of the mean over a fold's images, with an interval over blocks of images.

    Neighbouring frames look alike, so whole blocks are the units: the cluster-robust variance of a mean, with the t
    distribution of blocks less folds (Cameron and Miller, A Practitioner's Guide to Cluster-Robust Inference, 2015).

    No image has a metric over classes by itself. Its numbers are then by how much each image moves the metric (see
    `segcore.scoring.metrics.divide_metric`), whose mean is the metric and whose variance is its own to first order.
    Drawing images anew (a bootstrap) would say the same, and need every image's counts in the journal.

    Args:
        differences: by fold and image; differences of two configurations, or the numbers of one.
        block_of: block of each image.
        comparisons: intervals that hold together (Bonferroni).

    Returns:
        None when a fold has fewer than two blocks.
    """
    estimates, variance, freedom = [], 0.0, 0
    for of_image in differences.values():
        blocks = _group(of_image, block_of)
        if len(blocks) < 2:
            return None
        centre, images = mean(of_image.values()), len(of_image)
        squares = sum((sum(block) - centre * len(block)) ** 2 for block in blocks)
        estimates.append(centre)
        variance += squares / images**2 * len(blocks) / (len(blocks) - 1) / len(differences) ** 2
        freedom += len(blocks) - 1
    return _interval(mean(estimates), math.sqrt(variance), freedom, comparisons) if estimates else None


def average_images(scores: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each image that every one of several trainings scored."""
    every = list(scores)
    common = set(every[0]).intersection(*every[1:]) if every else set()
    return {name: mean(of_image[name] for of_image in every) for name in sorted(common)}


def _interval(estimate: float, error: float, freedom: int, comparisons: int) -> Interval:
    quantile = float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / (2 * comparisons)))
    return Interval(estimate=estimate, low=estimate - quantile * error, high=estimate + quantile * error)


def _share(folds: int) -> float:
    """Return test size over training size, of which trainings on several folds share most; 0 with one fold."""
    return 1 / (folds - 1) if folds > 1 else 0.0


def _residual_variance(scores: Mapping[int, Mapping[int, float]], folds: int) -> tuple[float, int]:
    """Return the variance that configuration and fold leave unexplained, and its degrees of freedom."""
    found = sorted(set(chain.from_iterable(scores.values())))
    # Seeds of one fold are interchangeable, and stand in one column.
    columns = {fold: position if folds > 1 else 0 for position, fold in enumerate(found)}
    rows: list[tuple[int, int, float]] = [
        (row, columns[fold], score) for row, of_fold in enumerate(scores.values()) for fold, score in of_fold.items()
    ]
    design = np.zeros((len(rows), len(scores) + len(found)))
    for position, (row, column, _) in enumerate(rows):
        design[position, [row, len(scores) + column]] = 1
    scores_R = np.array([score for _, _, score in rows])
    effects, _, rank, _ = np.linalg.lstsq(design, scores_R, rcond=None)
    freedom = len(rows) - int(rank)
    return (float(np.sum((scores_R - design @ effects) ** 2)) / freedom if freedom else 0.0), freedom


def _group(of_image: Mapping[str, float], block_of: Mapping[str, str]) -> Sequence[Sequence[float]]:
    blocks: dict[str, list[float]] = {}
    for name, value in of_image.items():
        if name not in block_of:
            raise CheckpointError(
                f"folds.json has no case {name!r}, on which trials were scored; restore it or start a new search."
            )
        blocks.setdefault(block_of[name], []).append(value)
    return list(blocks.values())
