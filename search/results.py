"""What a search has found, for notebooks and programs: tables of pandas, arrays, and the finished model.

    import search

    found = search.load("first")                  # as --storage gives it: search.load("first", storage="s3://BUCKET/FOLDER")
    found.trials.sort_values("score")             # a row for each trial: what was drawn, how far it got, its best score
    found.curves.query("trial == 3")              # a row for each epoch of each trial, with every metric
    for answer in found.answers(): print(answer.question, answer.sentence, answer.certainty)
    classes_HW = found.load_ensemble().predict(image_HW3)

A search that runs may be loaded; it is read once, so load it again for what is new. Neither Ray nor MLflow is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from search.finding import find_folder
from search.folder import StageFolder
from search.insight.answer import Answer
from search.insight.answers import answer_questions
from search.insight.record import Record, read_record
from search.insight.spending import worker_seconds
from search.memory.best import describe_winner
from search.memory.history import History, TrialRecord
from search.storage import locate_storage
from segcore.counting import count_words
from segcore.data.decoding import decode_rgb
from segcore.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from segcore.prediction.ensemble import Ensemble

_STOP_COLUMNS: Final = ("trial", "epoch", "reason", "time", "taken_up")
_CONFIRMED_COLUMNS: Final = ("trial", "fold", "score")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Results:
    """A search as it was read.

    Args:
        name: of the search.
        metric: what decides; every `score` is of it.
        trials: a row for each trial by its number: state, epochs, score, best_epoch, seconds (of its worker), rank (NaN
            for one that has no score, or failed), message, and a column for each hyperparameter that was drawn.
        curves: a row for each epoch of each trial: trial, epoch, score, time (UTC), and a column for each metric.
        stops: a row for each time that ASHA stopped a trial: trial, epoch, reason, time, and taken_up, when it went on
            (NaT while it waits).
        confirmation: a row for each training of the best on a further fold, or with a further seed: trial, fold, score
            after its last epoch.
        winner: what `best.json` holds: trial, epoch, metrics, values (every `TrainConfig` value), and `confirmation`
            once there is one; None before a trial has a score.
        record: all of it, as the report reads it.
    """

    name: str
    metric: str
    trials: pd.DataFrame
    curves: pd.DataFrame
    stops: pd.DataFrame
    confirmation: pd.DataFrame
    winner: dict[str, Any] | None
    record: Record

    def __repr__(self) -> str:
        # Notebooks show it, and the record alone fills pages.
        best = self.trials.loc[self.trials["rank"] == 1, "score"].max()
        told = f"best {self.metric} {best:.4f}" if best == best else "no score yet"
        return (
            f"<search {self.name!r}: {count_words(len(self.trials), 'trial')}, "
            f"{told}; see .trials, .curves, .stops, .winner>"
        )

    def answers(self) -> list[Answer]:
        """Return the six questions with their answers; it takes some seconds."""
        return answer_questions(self.record)

    def picture(self, trial: int, epoch: int | None = None) -> npt.NDArray[np.uint8]:
        """Return a validation picture: image, truth and prediction beside each other, RGB (H, W, 3).

        Args:
            trial: its number.
            epoch: finished epochs; None: the last one with a picture.

        Raises:
            CheckpointError: when there is no such trial or picture.
        """
        known = self.record.history.trials.get(trial)
        if known is None:
            raise CheckpointError(f"Search {self.name!r} has no trial {trial}; there are {len(self.trials)}, from 0.")
        shown = {each: record.picture for each, record in known.epochs.items() if record.picture is not None}
        chosen = max(shown, default=0) if epoch is None else epoch
        if chosen not in shown:
            there_are = ", ".join(map(str, shown)) or "none"
            raise CheckpointError(f"Trial {trial} has no picture of epoch {chosen}; epochs with one: {there_are}.")
        return _read_picture(self.record.folder.search_stage, shown[chosen])

    def load_ensemble(self, *, use_gpu: bool = True) -> "Ensemble":
        """Return the retrained model; its `predict` takes an RGB image (H, W, 3) and returns class indices (H, W).

        Args:
            use_gpu: whether it may be put on a GPU.

        Raises:
            CheckpointError: when the search was not retrained, or the model is in a bucket.
        """
        # Torch takes seconds to import, and tables need none of it.
        from segcore.machine import detect_machine
        from segcore.prediction.ensemble_files import load_ensemble

        folder = self.record.folder
        if not folder.model.exists():
            where = folder.find_model()
            remedy = f"copy it from {where}, and load it by segcore" if where else f"run '{folder.command('retrain')}'"
            raise CheckpointError(f"{folder.model} is not there; {remedy}.")
        return load_ensemble(folder.model, detect_machine(1, use_gpu=use_gpu))


def load_results(name: str, storage: str | Path) -> Results:
    """Read a search.

    Args:
        name: of the search.
        storage: folder of all searches, or the address of one in a bucket.

    Raises:
        CheckpointError: when there is none of that name, or its files are damaged.
        ConfigError: when the storage is no path and no address.
        StorageError: when a bucket cannot be read.
    """
    record = read_record(find_folder(locate_storage(storage), name))
    return Results(
        name=name,
        metric=record.metric,
        trials=tabulate_trials(record.history),
        curves=tabulate_curves(record.history),
        stops=_tabulate_stops(record),
        confirmation=_tabulate_confirmation(record.confirmation),
        winner=describe_winner(record.best) if record.best is not None else None,
        record=record,
    )


def tabulate_trials(history: History) -> pd.DataFrame:
    """Return a row for each trial, see `Results.trials`."""
    ranks = {trial.number: rank for rank, trial in enumerate(history.eligible, start=1)}
    choices = sorted({name for trial in history.in_order for name in trial.params})
    rows = [_describe(trial, ranks.get(trial.number), choices) for trial in history.in_order]
    table = pd.DataFrame(rows, columns=["trial", *_describe_columns(), *choices])
    return table.set_index("trial")


def tabulate_curves(history: History) -> pd.DataFrame:
    """Return a row for each epoch of each trial, see `Results.curves`."""
    rows = [
        {"trial": trial.number, "epoch": epoch, "score": record.score, "time": record.time, **record.metrics}
        for trial in history.in_order
        for epoch, record in sorted(trial.epochs.items())
    ]
    metrics = list(dict.fromkeys(name for row in rows for name in row))
    table = pd.DataFrame(rows, columns=metrics or ["trial", "epoch", "score", "time"])
    return table.assign(time=_moments(table["time"]))


def _describe_columns() -> Sequence[str]:
    return ("state", "epochs", "score", "best_epoch", "seconds", "rank", "message")


def _describe(trial: TrialRecord, rank: int | None, choices: Sequence[str]) -> list[Any]:
    best = trial.best
    score, epoch = (best.score, best.epoch) if best is not None else (np.nan, np.nan)
    told = [trial.state, trial.last_epoch, score, epoch, worker_seconds(trial), rank if rank is not None else np.nan]
    return [trial.number, *told, trial.message, *(trial.params.get(choice) for choice in choices)]


def _tabulate_stops(record: Record) -> pd.DataFrame:
    rows = [[getattr(stop, name) for name in _STOP_COLUMNS] for stop in record.stops.all]
    table = pd.DataFrame(rows, columns=list(_STOP_COLUMNS))
    return table.assign(time=_moments(table["time"]), taken_up=_moments(table["taken_up"]))


def _tabulate_confirmation(trainings: History) -> pd.DataFrame:
    rows = [
        (training.source, training.fold, training.epochs[training.last_epoch].score if training.epochs else np.nan)
        for training in trainings.in_order
    ]
    return pd.DataFrame(rows, columns=list(_CONFIRMED_COLUMNS))


def _moments(seconds: "pd.Series[float]") -> Any:
    return pd.to_datetime(seconds.astype(float), unit="s", utc=True)


def _read_picture(stage: StageFolder, stored: str) -> npt.NDArray[np.uint8]:
    file = stage.resolve(stored)
    try:
        return decode_rgb(file)
    except DataError as error:
        raise CheckpointError(f"{file} cannot be read ({error}); restore it, or take another.") from error
