"""A table of real trainings as a task: every proposal is trained as the recorded configuration nearest to it.

`record` writes such tables. A configuration was trained on several folds under several seeds: the seed of a search
decides which of these trainings it sees, and what a configuration is worth is the mean of all of them.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import optuna

from benchmarks.quality.placing import PlacedSpace
from benchmarks.quality.record import read_table
from benchmarks.quality.recording_job import OUT_OF_MEMORY, Row
from benchmarks.quality.tasks import Curve, Params
from search.space.load import load_space
from segcore.errors import ConfigError


class Trained:
    """The task of a recorded table.

    Args:
        file: the table.

    Raises:
        ConfigError: when the file is no such table, or no training of it got to its end.
    """

    def __init__(self, file: Path) -> None:
        head, rows = read_table(file)
        self.name = f"trained/{file.stem}"
        self.epochs = int(head["epochs"])
        groups = _group_rows(rows)
        self._placed = PlacedSpace(load_space(head["space"]), head["facts"], head["fixed"])
        self._points_CF = np.stack([self._placed.place(json.loads(group[0]["params"])) for group in groups])
        curves = [_build_curves(group, self.epochs) for group in groups]
        finals = np.array([_mean_final(each) for each in curves])
        if not np.isfinite(finals).any():
            raise ConfigError(f"{file}: no configuration was trained to its end; go on with 'record'.")
        self._curves = [_judge(each, final) for each, final in zip(curves, finals.tolist(), strict=True)]
        whole = finals[np.isfinite(finals)]
        self.best, self.middle, self.worst = (float(edge(whole)) for edge in (np.max, np.median, np.min))
        seconds = [each.seconds.sum() for known in self._curves for each in known if np.isfinite(each.final)]
        self.whole_seconds = float(np.median(seconds))

    def space(self, trial: optuna.Trial) -> None:
        """Draw a configuration from the space that the table was drawn from."""
        self._placed.draw(trial)

    def train(self, params: Params, seed: int) -> Curve:
        """Return a training of the nearest configuration; the seed decides which."""
        nearest = int(np.argmin(((self._points_CF - self._placed.place(params)) ** 2).sum(axis=1)))
        return self._curves[nearest][seed % len(self._curves[nearest])]


def _build_curves(rows: list[Row], epochs: int) -> list[Curve]:
    """Return the curves of a configuration's trainings, each with its own last score as what it is worth."""
    curves: list[Curve] = []
    for _, group in itertools.groupby(rows, key=lambda row: (row["fold"], row["seed"])):
        known = list(group)
        scores = np.array([row["score"] for row in known if not row["ended"]], dtype=float)
        seconds = np.array([row["seconds"] for row in known if not row["ended"]], dtype=float)
        if ended := known[-1]["ended"]:
            # How long the epochs would have taken that it does not have is seen from those that it has.
            missing = epochs - len(scores)
            scores = np.concatenate([scores, np.full(missing, np.nan)])
            seconds = np.concatenate([seconds, np.full(missing, np.median(seconds) if len(seconds) else 1.0)])
        out_of_memory = ended == OUT_OF_MEMORY
        curves.append(Curve(scores=scores, seconds=seconds, final=float(scores[-1]), out_of_memory=out_of_memory))
    return curves


def list_best(file: Path, count: int) -> list[Params]:
    """Return the parameters of a table's best configurations, by the mean of their trainings' last scores.

    Args:
        file: the table.
        count: most configurations.

    Raises:
        ConfigError: when the file is no such table.
    """
    head, rows = read_table(file)
    groups = _group_rows(rows)
    finals = [_mean_final(_build_curves(group, int(head["epochs"]))) for group in groups]
    ranked = sorted((-final, place) for place, final in enumerate(finals) if np.isfinite(final))
    return [json.loads(groups[place][0]["params"]) for _, place in ranked[:count]]


def _group_rows(rows: list[Row]) -> list[list[Row]]:
    """Return the rows of each configuration, by training and epoch."""
    rows.sort(key=lambda row: (row["configuration"], row["fold"], row["seed"], row["epoch"]))
    return [list(group) for _, group in itertools.groupby(rows, key=lambda row: row["configuration"])]


def _mean_final(curves: list[Curve]) -> float:
    """Return what a configuration is worth; NaN when one of its trainings did not get to the end."""
    return float(np.mean([curve.final for curve in curves]))


def _judge(curves: list[Curve], final: float) -> list[Curve]:
    return [
        Curve(scores=each.scores, seconds=each.seconds, final=final, out_of_memory=each.out_of_memory)
        for each in curves
    ]
