"""How early the ranks of a recorded table settle: `python -m benchmarks.quality settle FILE.parquet`.

What a first rung can know, and what a second fold would say: rank correlations of the scores after each epoch with
those at the end, on the same fold and on another. Trainings that did not get to the end are counted and left out.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata  # type: ignore[import-untyped]

from benchmarks.quality.record import read_table
from benchmarks.quality.recording_job import Row
from benchmarks.quality.tasks import Floats
from segcore.errors import ConfigError

Key = tuple[int, int, int]
"""Configuration, fold, seed."""


def main(words: Sequence[str]) -> None:
    """Print what a table says of its own ranks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality settle", description=__doc__)
    parser.add_argument("table", type=Path, help="that 'record' wrote")
    arguments = parser.parse_args(words)
    head, rows = read_table(arguments.table)
    print(describe(rows, int(head["epochs"])))


def describe(rows: Sequence[Row], epochs: int) -> str:
    """Return a table of correlations by epoch, below a line that says what they are of.

    Args:
        rows: of a recorded table.
        epochs: of a whole training.

    Raises:
        ConfigError: when no training got to its end.
    """
    scores, seconds = _collect(rows, "score"), _collect(rows, "seconds")
    whole = {key: curve for key, curve in scores.items() if len(curve) == epochs}
    if not whole:
        raise ConfigError(f"None of {len(scores)} trainings got to its end; go on with 'record'.")
    spent = [sum(seconds[key]) for key in whole]
    low, middle, high = np.quantile(spent, (0.1, 0.5, 0.9))
    numbers, cut = len({key[0] for key in scores}), len(scores) - len(whole)
    lines = [
        f"{numbers} configurations, {len(scores)} trainings, {cut} not to the end; seconds of a whole one: median "
        f"{middle:.1f}, tenths {low:.1f} and {high:.1f}",
        "rank correlation with the scores at the end",
        "epoch   of the same training   on another fold",
    ]
    for epoch in range(1, epochs + 1):
        same, other = correlate(whole, epoch)
        lines.append(f"{epoch:5}   {same:20.2f}   {other:15.2f}")
    return "\n".join(lines)


def correlate(curves: Mapping[Key, Sequence[float]], epoch: int) -> tuple[float, float]:
    """Return the mean rank correlation of scores after an epoch with the last ones, on the same fold and on others.

    Args:
        curves: scores by epoch of whole trainings.
        epoch: finished epochs.

    Returns:
        Spearman's coefficients; NaN for the second where a table has one fold.
    """
    parts = sorted({key[1:] for key in curves})
    same, other = [], []
    for part, against in itertools.product(parts, parts):
        shared = [key[0] for key in curves if key[1:] == part and (key[0], *against) in curves]
        early = np.array([curves[number, *part][epoch - 1] for number in shared])
        late = np.array([curves[number, *against][-1] for number in shared])
        if part == against:
            same.append(_spearman(early, late))
        elif part[0] != against[0]:
            other.append(_spearman(early, late))
    return float(np.mean(same)), float(np.mean(other)) if other else float("nan")


def _collect(rows: Sequence[Row], name: str) -> dict[Key, list[float]]:
    """Return a column by training, in the order of epochs; a training that ended at once has an empty one."""
    found: dict[Key, list[float]] = {}
    for row in sorted(rows, key=lambda row: row["epoch"]):
        values = found.setdefault((row["configuration"], row["fold"], row["seed"]), [])
        if not row["ended"]:
            values.append(row[name])
    return found


def _spearman(first: Floats, second: Floats) -> float:
    # Equals share a rank: in the order in which they stand they would agree with each other.
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])
