"""The stock pair, `python -m benchmarks.duel.stock TERMS ROUND`: Ray's OptunaSearch, ASHA and MLflow logger.

What an engineer writes who follows Ray's documentation and has `segcore` for the training. Its rungs are not the
project's: what Ray's ASHA stops is lost, so it looks later. Only the journal is added: it says what happened and when,
in the words of the project's own, and changes nothing.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import optuna
import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.duel.terms import FOLD, Terms, complete_config, read_terms
from search.memory.events import Asked, Ended, Epoch, Halted, Opened, Started
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.space.load import load_space
from segcore.data.caching.cache import PixelCache, open_cache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.data.labels import build_label_map
from segcore.machine import detect_machine
from segcore.training.state import new_state
from segcore.training.train import train_epochs
from spaces import Space

_RECORDED: Final = ("iou", "miou", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What all trials share.

    Args:
        terms: what both searches are given.
        seed: of the round.
        train_indices: cases to train on.
        valid_indices: cases to validate on.
    """

    terms: Terms
    seed: int
    train_indices: list[int]
    valid_indices: list[int]


def main() -> None:
    """Search, and write the best configuration where the project's search writes its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("terms", type=Path, help="terms.json")
    parser.add_argument("round", type=int, help="number of the round, from 1")
    parser.add_argument("--arm", default="stock", help="name of the folder and of the MLflow experiment")
    parser.add_argument("--reuse-actors", action="store_true", help="keep worker processes from trial to trial")
    arguments = parser.parse_args()
    terms = read_terms(arguments.terms)
    cache = open_cache(terms.cache, terms.cache_key)
    split = make_folds(read_dataset(Path(terms.data)).cases, terms.folds)
    train_indices, valid_indices = split.split(cache.names, FOLD)
    seed = terms.seed + arguments.round - 1
    task = Task(terms=terms, seed=seed, train_indices=train_indices, valid_indices=valid_indices)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    try:
        search(task, cache, f"{arguments.arm}-{arguments.round}", reuse_actors=arguments.reuse_actors)
    finally:
        ray.shutdown()


def search(task: Task, cache: PixelCache, name: str, *, reuse_actors: bool) -> None:
    """Run Ray Tune until the time is spent.

    Args:
        task: what all trials share.
        cache: the decoded data, of which the space knows the smallest side.
        name: of the MLflow experiment and of the search's folder.
        reuse_actors: whether worker processes are kept from trial to trial; Ray's default is that they are not.
    """
    terms = task.terms
    folder = terms.storage / name
    journal = Journal(folder / "journal.jsonl", "iou")
    resources = {"cpu": terms.cpus_per_trial, "gpu": terms.gpus_per_trial}
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, task=task), resources),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(
                space=partial(draw, space=load_space(terms.space), smallest_side=cache.usual_side),
                metric="iou",
                mode="max",
                seed=task.seed,
            ),
            scheduler=make_scheduler(terms),
            num_samples=-1,
            max_concurrent_trials=terms.max_concurrent,
            time_budget_s=terms.seconds,
            reuse_actors=reuse_actors,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            callbacks=[
                JournalWriter(journal, task),
                MLflowLoggerCallback(tracking_uri=terms.tracking_uri, experiment_name=name),
            ],
        ),
    )
    journal.write(Opened(cache_key=terms.cache_key))
    results = tuner.fit()
    journal.write(Halted())
    best = results.get_best_result(metric="iou", mode="max", scope="all")
    values = complete_config(best.config, terms, task.seed).values()
    (folder / "best.json").write_text(json.dumps({"values": values}, indent=1), encoding="utf-8")


def make_scheduler(terms: Terms) -> ASHAScheduler:
    """Return Ray's ASHA with its first rung at a ninth of the epochs; of three trials at a rung one goes on."""
    return ASHAScheduler(
        time_attr="training_iteration",
        metric="iou",
        mode="max",
        max_t=terms.epochs,
        grace_period=max(1, round(terms.epochs / 9)),
        reduction_factor=3,
    )


def draw(trial: optuna.Trial, *, space: Space, smallest_side: int) -> dict[str, object] | None:
    """Draw from the space, which is told of the data what the project's search tells it."""
    if not trial.study.user_attrs:
        trial.study.set_user_attr("smallest_side", smallest_side)
    return space(trial)


def train(config: Mapping[str, Any], task: Task) -> None:
    """Train a configuration and report every epoch."""
    terms = task.terms
    machine = detect_machine(max(1, int(terms.cpus_per_trial)), use_gpu=terms.gpus_per_trial > 0)
    cache = open_cache(terms.cache, terms.cache_key)
    train_config = complete_config(config, terms, task.seed)
    state = new_state(train_config, build_label_map(cache.classes, train_config.labels).outputs, machine)
    for result in train_epochs(state, cache, task.train_indices, task.valid_indices, machine):
        seconds = result.train_seconds + result.validation_seconds
        tune.report({**result.metrics, "train_loss": result.train_loss, "seconds": seconds})


class JournalWriter(tune.Callback):  # type: ignore[misc]
    """Writes what happens into a journal.

    Args:
        journal: where events go.
        task: what all trials share.
    """

    def __init__(self, journal: Journal, task: Task) -> None:
        self._journal = journal
        self._task = task
        self._numbers: dict[str, int] = {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a worker has taken a trial."""
        number = self._numbers.setdefault(trial.trial_id, len(self._numbers))
        values = complete_config(trial.config, self._task.terms, self._task.seed).values()
        self._journal.write(Asked(trial=number, fold=FOLD, values=values, params=dict(trial.config)))
        self._journal.write(Started(trial=number))

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any]) -> None:
        """Write an epoch."""
        metrics: dict[str, float] = {name: float(result[name]) for name in _RECORDED if name in result}
        self._journal.write(
            Epoch(trial=self._numbers[trial.trial_id], epoch=result["training_iteration"], metrics=metrics)
        )

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write whether a trial reached its last epoch or ASHA stopped it; Ray says nothing of those that time ends."""
        whole = trial.last_result["training_iteration"] >= self._task.terms.epochs
        self._end(trial, Outcome.FINISHED if whole else Outcome.STOPPED)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a trial failed."""
        self._end(trial, Outcome.FAILED)

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        self._journal.write(Ended(trial=self._numbers[trial.trial_id], outcome=outcome))


if __name__ == "__main__":
    main()
