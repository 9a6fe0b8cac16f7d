"""What a search brought, read from its journal, and how its choice does when trained anew on further folds."""

import json
import math
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

from benchmarks.duel.terms import Terms
from search.insight.spending import account, score_against_time
from search.memory.history import History
from search.memory.outcome import Outcome
from segcore.config import TrainConfig
from segcore.data.caching.cache import open_cache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.data.labels import build_label_map
from segcore.errors import CheckpointError, TrainingError
from segcore.machine import detect_machine
from segcore.training.state import new_state
from segcore.training.train import train_epochs

_SCORES: Final = ("iou", "miou")
FoldScores = dict[str, dict[str, float]]
"""`iou` and `miou` of a training's last epoch by its fold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What the process of a search took.

    Args:
        seconds: from its start to its end: imports, Ray's start and MLflow's last word included.
        load: the machine's mean number of busy processes over the last minute; far above the number of workers, others
            took their time.
    """

    seconds: float
    load: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one arm brought in one round.

    Args:
        round: number of the round, from 1.
        arm: name of the arm.
        trials: how many were begun.
        finished: how many were trained to their last epoch.
        course: each new best score of any epoch with the seconds since the search's start; the last is its result.
        stopped_share: share of the time of all finished epochs that was spent on trials that ASHA had stopped in the
            end, 0 to 1; the project's may still go on when there is more time.
        busy_share: share of the workers' time that was spent on epochs that were finished, 0 to 1.
        effort: what its process took.
        values: the `TrainConfig` values that it chose.
        fold_scores: their scores on further folds.
    """

    round: int
    arm: str
    trials: int
    finished: int
    course: list[tuple[float, float]]
    stopped_share: float
    busy_share: float
    effort: Effort
    values: dict[str, Any]
    fold_scores: FoldScores

    @property
    def search_iou(self) -> float:
        """The best score in the search."""
        return self.course[-1][1]

    @property
    def best_seconds(self) -> float:
        """When the search had its best score."""
        return self.course[-1][0]

    @property
    def iou(self) -> float:
        """Mean over the further folds."""
        return mean(scores["iou"] for scores in self.fold_scores.values())

    @property
    def miou(self) -> float:
        """Mean over the further folds."""
        return mean(scores["miou"] for scores in self.fold_scores.values())

    def seconds_to(self, iou: float) -> float:
        """Return when the search first had a score at least this high; infinity: never."""
        return next((seconds for seconds, reached in self.course if reached >= iou), math.inf)


def measure_search(
    history: History,
    terms: Terms,
    *,
    arm: str,
    number: int,
    effort: Effort,
    values: dict[str, Any],
    fold_scores: FoldScores,
) -> Row:
    """Return what a search brought.

    Args:
        history: its journal.
        terms: what it was given.
        arm: its name.
        number: of the round, from 1.
        effort: what its process took.
        values: what it chose.
        fold_scores: the choice's scores on further folds.

    Raises:
        CheckpointError: when no epoch has a score.
    """
    course = score_against_time(history)
    if not course:
        raise CheckpointError(f"{arm} had no score after {terms.seconds:g} s; give it more with --seconds.")
    spending = {each.end: each.seconds for each in account(history)}
    trained = sum(spending.values())
    return Row(
        round=number,
        arm=arm,
        trials=len(history.trials),
        finished=history.count(Outcome.FINISHED),
        course=course,
        stopped_share=spending.get(str(Outcome.STOPPED), 0.0) / trained,
        busy_share=trained / (terms.seconds * terms.max_concurrent),
        effort=effort,
        values=values,
        fold_scores=fold_scores,
    )


def confirm(choices: Sequence[Mapping[str, Any]], terms: Terms) -> list[FoldScores]:
    """Train configurations anew to their end on further folds, equal ones once, as many at a time as a search does.

    Args:
        choices: `TrainConfig` values.
        terms: data, resources and folds are used.

    Returns:
        The scores of each choice.
    """
    texts = [json.dumps(values, sort_keys=True) for values in choices]
    folds = terms.further_folds
    jobs = [(text, fold) for text in dict.fromkeys(texts) for fold in folds]
    with ProcessPoolExecutor(terms.max_concurrent, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(train_fold, *zip(*jobs, strict=True), [terms] * len(jobs)))
    scores = dict(zip(jobs, found, strict=True))
    return [{str(fold): scores[text, fold] for fold in folds} for text in texts]


def train_fold(text: str, fold: int, terms: Terms) -> dict[str, float]:
    """Train a configuration to its end and return the last epoch's `iou` and `miou`.

    NaN stands for one that it has not, 0 for both where it cannot be trained: such a choice is worth nothing.

    Args:
        text: `TrainConfig` values as JSON.
        fold: fold to validate on.
        terms: data and resources are used.
    """
    machine = detect_machine(max(1, int(terms.cpus_per_trial)), use_gpu=terms.gpus_per_trial > 0)
    cache = open_cache(terms.cache, terms.cache_key)
    split = make_folds(read_dataset(Path(terms.data)).cases, terms.folds)
    config = TrainConfig.from_values(json.loads(text))
    state = new_state(config, build_label_map(cache.classes, config.labels).outputs, machine)
    try:
        *_, last = train_epochs(state, cache, *split.split(cache.names, fold), machine)
    except TrainingError:
        return dict.fromkeys(_SCORES, 0.0)
    return {name: last.metrics.get(name, math.nan) for name in _SCORES}
