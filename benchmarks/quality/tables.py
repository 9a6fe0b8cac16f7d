"""Recorded learning curves as tasks: LCBench and TaskSet, and further tables of either shape.

Two shapes of file are read:

- `NAME_configs.parquet` beside `NAME_curves.parquet` (LCBench): the first has `config_id` and one column per parameter,
  the second `task`, `config_id`, `epoch` (from 1), `time_s` (seconds since the training began) and `val_accuracy`.
- `NAME.json` (TaskSet): a list of `{"hp": {parameter: number}, "valid": {"loss": [...]}}`, the first loss from before
  the training; the score is -log10 of the loss, and every epoch takes one second.

A proposal is trained as the recorded configuration nearest to it, by the distance in the unit cube; every parameter is
scaled linearly or by its logarithm, whichever spreads the recorded values more evenly.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pyarrow.parquet

from benchmarks.quality.tasks import Curve, Floats, Params, Task
from segcore.errors import ConfigError

_DECAYS = ("beta1", "beta2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A parameter of a table.

    Args:
        name: its name.
        low: lowest recorded value.
        high: highest recorded value.
        log: whether it is scaled by its logarithm.
        whole: whether all its values are whole numbers.
    """

    name: str
    low: float
    high: float
    log: bool
    whole: bool

    def scale(self, values: Floats) -> Floats:
        """Map values to [0, 1]."""
        if self.low == self.high:
            return np.zeros_like(values)
        if self.log:
            scaled: Floats = np.log(values / self.low) / np.log(self.high / self.low)
            return scaled
        return (values - self.low) / (self.high - self.low)

    def suggest(self, trial: optuna.Trial) -> None:
        """Draw a value."""
        if self.whole:
            trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        else:
            trial.suggest_float(self.name, self.low, self.high, log=self.log)


class Table:
    """A task of recorded curves.

    Args:
        name: the task's name.
        columns: values of every parameter, by configuration.
        scores_CE: score by configuration and epoch; what follows a value that is not finite counts as diverged.
        seconds_CE: how long each epoch took.
    """

    def __init__(self, name: str, columns: dict[str, Floats], scores_CE: Floats, seconds_CE: Floats) -> None:
        self.name = name
        self.epochs = scores_CE.shape[1]
        self.axes = [_fit_axis(column, values) for column, values in columns.items()]
        self._points_CA = np.stack([axis.scale(columns[axis.name]) for axis in self.axes], axis=1)
        diverged_CE = np.cumsum(~np.isfinite(scores_CE), axis=1) > 0
        self._scores_CE = np.where(diverged_CE, np.nan, scores_CE)
        self._seconds_CE = seconds_CE
        finals = self._scores_CE[:, -1]
        finals = finals[np.isfinite(finals)]
        self.best, self.middle, self.worst = (float(edge(finals)) for edge in (np.max, np.median, np.min))
        self.whole_seconds = float(np.median(seconds_CE.sum(axis=1)))

    def space(self, trial: optuna.Trial) -> None:
        """Draw every parameter between its lowest and highest recorded value."""
        for axis in self.axes:
            axis.suggest(trial)

    def train(self, params: Params, seed: int) -> Curve:
        """Return the recorded curve nearest to a configuration; the noise is in the record, whatever the seed."""
        row = self.nearest(params)
        scores = self._scores_CE[row]
        return Curve(scores=scores, seconds=self._seconds_CE[row], final=float(scores[-1]))

    def nearest(self, params: Params) -> int:
        """Return the recorded configuration that is nearest, the first of equals."""
        point = np.array([axis.scale(np.array(float(params[axis.name]))) for axis in self.axes])
        return int(np.argmin(((self._points_CA - point) ** 2).sum(axis=1)))


def load_tables(path: Path) -> list[Task]:
    """Read every table of a file or a folder.

    Args:
        path: a folder, a `*_curves.parquet` or a `.json` file.

    Raises:
        ConfigError: when nothing is there.
    """
    files = sorted([*path.glob("*_curves.parquet"), *path.glob("*.json")]) if path.is_dir() else [path]
    if not path.exists() or not files:
        raise ConfigError(f"{path}: no *_curves.parquet and no *.json; give a file or a folder that has them.")
    return [
        table for file in files for table in (_load_parquet(file) if file.suffix == ".parquet" else [_load_json(file)])
    ]


def _load_parquet(file: Path) -> list[Task]:
    configs = pyarrow.parquet.read_table(file.with_name(file.name.replace("_curves", "_configs"))).to_pydict()
    curves = {name: np.array(column) for name, column in pyarrow.parquet.read_table(file).to_pydict().items()}
    order = np.lexsort((curves["epoch"], curves["config_id"], curves["task"]))
    by_id = np.argsort(configs.pop("config_id"))
    columns = {name: np.array(values, dtype=float)[by_id] for name, values in configs.items()}
    tables: list[Task] = []
    for task in sorted(set(curves["task"])):
        rows = order[curves["task"][order] == task]
        scores_CE = curves["val_accuracy"][rows].astype(float).reshape(len(by_id), -1)
        clock_CE = curves["time_s"][rows].astype(float).reshape(len(by_id), -1)
        seconds_CE = np.maximum(np.diff(clock_CE, axis=1, prepend=0.0), 1e-6)
        tables.append(Table(f"lcbench/{task}", columns, scores_CE, seconds_CE))
    return tables


def _load_json(file: Path) -> Task:
    runs = json.loads(file.read_text(encoding="utf-8"))
    columns = {name: np.array([run["hp"][name] for run in runs], dtype=float) for name in runs[0]["hp"]}
    # The decay rates of Adam were drawn by the logarithm of what is missing to 1.
    columns = {
        f"1-{name}" if name in _DECAYS else name: 1 - column if name in _DECAYS else column
        for name, column in columns.items()
    }
    loss_CE = np.array([run["valid"]["loss"][1:] for run in runs], dtype=float)
    with np.errstate(all="ignore"):
        scores_CE = -np.log10(np.maximum(loss_CE, 1e-12))
    return Table(f"taskset/{file.stem.removeprefix('FixedText')}", columns, scores_CE, np.ones_like(scores_CE))


def _fit_axis(name: str, values: Floats) -> Axis:
    low, high = float(values.min()), float(values.max())
    log = low > 0 and high > low and _unevenness(np.log(values)) < _unevenness(values)
    return Axis(name=name, low=low, high=high, log=log, whole=bool(np.all(values == np.round(values))))


def _unevenness(values: Floats) -> float:
    """Return the greatest distance between the values' distribution and the even one (Kolmogorov-Smirnov)."""
    ordered = (np.sort(values) - values.min()) / (values.max() - values.min())
    return float(np.abs(ordered - np.linspace(0, 1, len(ordered))).max())
