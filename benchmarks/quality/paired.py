"""Compares every arm with one other on the same tasks and seeds: differences with intervals, and the chance of a loss.

Tasks are drawn anew first, then seeds within each of them, so an interval says what further tasks of the same kinds
would show, not only what further seeds would.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from benchmarks.quality.report import Score
from benchmarks.quality.tasks import Floats

ABLATION: Final = "random+our-asha"
"""This project without its model: what a model has to beat."""
_RESAMPLES: Final = 4000


def compare(scores: Sequence[Score], other: str = ABLATION) -> str:
    """Return a table of the differences to an arm, over all tasks and by family; empty without that arm.

    Args:
        scores: of every arm on the same tasks under the same seeds.
        other: the arm that the others are compared with.
    """
    arms = [arm for arm in dict.fromkeys(score.arm for score in scores) if arm != other]
    if not arms or all(score.arm != other for score in scores):
        return ""
    families = list(dict.fromkeys(_family(score.task) for score in scores))
    lines = [
        f"minus {other}, paired by task and seed, negative is better: mean (95 % interval), probability of being worse",
        f"{'arm':24}{'regret':>31}{'area':>31}" + "".join(f"{family + ', regret':>31}" for family in families),
    ]
    for arm in arms:
        cells = [_describe(scores, arm, other, measure) for measure in ("regret", "area")]
        for family in families:
            own = [score for score in scores if _family(score.task) == family]
            cells.append(_describe(own, arm, other, "regret"))
        lines.append(f"{arm:24}" + "".join(f"{cell:>31}" for cell in cells))
    return "\n".join(lines)


def resample_means(differences_TS: Floats) -> Floats:
    """Return means of differences under tasks drawn with replacement, and seeds with replacement in each of them.

    Args:
        differences_TS: by task and seed.
    """
    tasks, seeds = differences_TS.shape
    random = np.random.default_rng(0)
    drawn_BT1 = random.integers(tasks, size=(_RESAMPLES, tasks, 1))
    drawn_BTS = random.integers(seeds, size=(_RESAMPLES, tasks, seeds))
    means: Floats = differences_TS[drawn_BT1, drawn_BTS].mean(axis=(1, 2))
    return means


def _describe(scores: Sequence[Score], arm: str, other: str, measure: str) -> str:
    differences_TS = _measure(scores, arm, measure) - _measure(scores, other, measure)
    means = resample_means(differences_TS)
    low, high = np.percentile(means, [2.5, 97.5])
    worse = float((means > 0).mean() + (means == 0).mean() / 2)
    return f"{differences_TS.mean():+.3f} ({low:+.3f} {high:+.3f}) {worse:4.0%}"


def _measure(scores: Sequence[Score], arm: str, measure: str) -> Floats:
    values = {(score.task, score.seed): float(getattr(score, measure)) for score in scores if score.arm == arm}
    tasks, seeds = (dict.fromkeys(keys) for keys in zip(*values, strict=True))
    return np.array([[values[task, seed] for seed in seeds] for task in tasks])


def _family(task: str) -> str:
    return task.split("/")[0]
