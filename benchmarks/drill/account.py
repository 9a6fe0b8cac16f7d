"""What is found after a drill: trials, runs and points counted in the journal and in MLflow, and what is left behind.

Plain functions over what was written; striking and waiting is done in `run`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Run

from search.folder import SearchFolder
from search.memory.best import read_best
from search.memory.events import Asked, Ended, Epoch, Event
from search.memory.history import History, TrialRecord
from search.memory.outcome import Outcome
from segcore.prediction.ensemble_files import read_ensemble_notes

LOST: Final = (Outcome.FAILED,)
SCRATCH: Final = "street-search-scratch-"
"""How the names of temporary folders begin, of either arm."""
_FETCHED: Final = "checkpoint_tmp_"
"""How those begin into which Ray itself fetches a checkpoint from a bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of a search.

    Args:
        exit_codes: of each driver, in order; None for one that had to be killed.
        trials: begun.
        unended: of these, without an end.
        lost: of these, given up for a failure.
        repeated_epochs: reported again after a restart or a resume.
        runs: of trials in MLflow.
        running: of these, said to run although nobody runs them.
        doubled_points: values of a metric at a step that MLflow has more than once.
        missing_points: values that the journal has and MLflow has not.
        winner: configuration and score of the best, to be compared with an undisturbed search.
        traceback: whether a driver printed one.
        left: processes and temporary files that nobody needs any more.
        seconds: from the first driver's start to the last one's end.
    """

    exit_codes: tuple[int | None, ...]
    trials: int
    unended: int
    lost: int
    repeated_epochs: int
    runs: int
    running: int
    doubled_points: int
    missing_points: int
    winner: str
    traceback: bool
    left: tuple[str, ...]
    seconds: float

    @property
    def doubled_runs(self) -> int:
        """Runs that MLflow has beyond one a trial; below 0 where some are missing."""
        return self.runs - self.trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """What MLflow has of a search's trials.

    Args:
        runs: of trials.
        running: of these, said to run.
        doubled: points more than one at the same step.
        missing: points of the journal that it has not.
    """

    runs: int
    running: int
    doubled: int
    missing: int


def count_repeated(events: Iterable[Event]) -> int:
    """Return how many epochs were reported again; those of a trial that is asked for anew count too."""
    seen: Counter[tuple[int, int]] = Counter()
    for event in events:
        if isinstance(event, Epoch):
            seen[event.trial, event.epoch] += 1
    return sum(count - 1 for count in seen.values())


def count_unended(events: Sequence[Event]) -> int:
    """Return how many trials were asked for and never ended."""
    asked = {event.trial for event in events if isinstance(event, Asked)}
    return len(asked - {event.trial for event in events if isinstance(event, Ended)})


def describe_winner(history: History) -> str:
    """Return the best trial's rate, all that the drill's spaces draw, and its score, equal for equal searches."""
    best = next(iter(history.eligible), None)
    if best is None or best.best is None:
        return "none"
    return f"learning_rate={best.params['learning_rate']:.6g} {history.metric}={best.best.score:.6f}"


def describe_confirmed(search: SearchFolder) -> str:
    """Return what a confirmation came to, equal for equal ones."""
    best = read_best(search.best)
    told = best.confirmation
    scores = [] if told is None else [f"{each.trial}: {_tell_scores(each.fold_scores)}" for each in told.contenders]
    return f"trial {best.trial} for {best.values['epochs']} epochs ({'; '.join(scores)})"


def describe_model(search: SearchFolder, client: MlflowClient) -> str:
    """Return what a retraining came to, equal for equal ones: its networks, their score and its registered versions."""
    document = read_ensemble_notes(search.model)
    notes, versions = document["notes"], client.search_model_versions(f"name = '{search.name}'")
    return (
        f"{len(document['members'])} networks of folds {notes['left_out']}, {notes['metric']} "
        f"{notes['out_of_fold'][notes['metric']]:.6f} out of fold, registered versions: {len(versions)}"
    )


def _tell_scores(scores: Mapping[int, float]) -> str:
    return " ".join(f"{score:.6f}" for _, score in sorted(scores.items()))


def count_points(
    client: MlflowClient, experiment: str, trials: Sequence[TrialRecord], metric: str, stage: str = "search"
) -> Points:
    """Compare the metric that decides in MLflow's runs with a journal's trials.

    Args:
        client: of the store.
        experiment: its name.
        trials: of the journal.
        metric: name of the metric.
        stage: of the project's search; the stock combination has but one.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return Points(runs=0, running=0, doubled=0, missing=sum(len(trial.epochs) for trial in trials))
    runs = [run for run in client.search_runs([found.experiment_id]) if _is_trial(run, stage)]
    points = [
        Counter((point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric))
        for run in runs
    ]
    steps = [Counter(step for step, _ in each.elements()) for each in points]
    # By their values, for a run too many has none of what another lacks.
    known = Counter(_name_point(*point) for each in points for point in each)
    wanted = Counter(
        _name_point(epoch, record.metrics.get(metric, math.nan))
        for trial in trials
        for epoch, record in trial.epochs.items()
    )
    return Points(
        runs=len(runs),
        running=sum(run.info.status == "RUNNING" for run in runs),
        doubled=sum(count - 1 for each in steps for count in each.values()),
        missing=(wanted - known).total(),
    )


def _name_point(step: int, value: float) -> str:
    # No NaN is equal to another.
    return f"{step} {value:.9g}"


def _is_trial(run: Run, stage: str) -> bool:
    # The project's runs of trials have a parent; those of the stock combination have no such tag at all.
    tags = run.data.tags
    return "search.stage" not in tags or ("mlflow.parentRunId" in tags and tags["search.stage"] == stage)


def list_left(temporary: Path) -> tuple[str, ...]:
    """Return temporary files and folders of trainings that nobody cleaned."""
    return tuple(sorted(file.name for name in (SCRATCH, _FETCHED) for file in temporary.glob(f"*{name}*")))
