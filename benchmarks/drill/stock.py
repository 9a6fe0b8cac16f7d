"""The stock combination's driver, `python -m benchmarks.drill.stock`, as Ray's documentation has it.

Tuner, OptunaSearch, ASHAScheduler, MLflowLoggerCallback, a checkpoint an epoch, failures retried, and `Tuner.restore`
when it is started again. Only the journal is added: it says what happened, and changes nothing.
"""

import argparse
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.drill import space as spaces
from benchmarks.drill.account import SCRATCH
from search.memory.events import Asked, CheckpointSaved, Ended, Epoch, Opened, Started
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from segcore.config import TrainConfig
from segcore.data.caching.cache import open_cache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.data.extra import prepare_caches
from segcore.data.labels import build_label_map
from segcore.machine import detect_machine
from segcore.training.checkpoint import load_state, save_state
from segcore.training.state import new_state
from segcore.training.train import train_epochs

STATE_FILE: Final = "state.pt"
FAILURES: Final = 3
_ID: Final = "trial_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What all trials share.

    Args:
        cache_root: folder of decoded images.
        cache_key: name of the data's own in it.
        train_indices: cases to train on.
        valid_indices: cases to validate on.
        epochs: of a trial.
    """

    cache_root: Path
    cache_key: str
    train_indices: list[int]
    valid_indices: list[int]
    epochs: int


def main() -> None:
    """Search, or go on with a search that was begun."""
    arguments = _parse()
    logging.getLogger("ray").setLevel(logging.ERROR)
    dataset = read_dataset(arguments.data)
    cache = prepare_caches(dataset, (), arguments.cache)
    train_indices, valid_indices = make_folds(dataset.cases, arguments.folds).split(cache.names, 0)
    task = Task(
        cache_root=arguments.cache,
        cache_key=cache.key,
        train_indices=train_indices,
        valid_indices=valid_indices,
        epochs=arguments.epochs,
    )
    root = str(Path(__file__).resolve().parents[2])
    ray.init(address=arguments.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": root}})
    journal = Journal(arguments.storage / "drill" / "journal.jsonl", "iou")
    journal.write(Opened(cache_key=cache.key))
    try:
        _build(arguments, task, journal).fit()
    finally:
        ray.shutdown()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "storage"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("address", "tracking-uri", "space"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("trials", "epochs", "folds", "max-concurrent"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


def _build(arguments: argparse.Namespace, task: Task, journal: Journal) -> tune.Tuner:
    trainable = tune.with_resources(tune.with_parameters(train, task=task), {"cpu": 1})
    folder = arguments.storage / "drill" / "ray"
    if tune.Tuner.can_restore(str(folder)):
        return tune.Tuner.restore(str(folder), trainable, resume_unfinished=True, resume_errored=True)
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(space=getattr(spaces, arguments.space), metric="iou", mode="max", seed=0),
            scheduler=ASHAScheduler(metric="iou", mode="max", max_t=task.epochs, grace_period=1, reduction_factor=2),
            num_samples=arguments.trials,
            max_concurrent_trials=arguments.max_concurrent,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder.parent),
            failure_config=tune.FailureConfig(max_failures=FAILURES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[
                MLflowLoggerCallback(tracking_uri=arguments.tracking_uri, experiment_name="drill"),
                JournalWriter(journal),
            ],
        ),
    )


def train(config: Mapping[str, Any], task: Task) -> None:
    """Train a configuration from its checkpoint on, and report every epoch with a checkpoint."""
    machine = detect_machine(1, use_gpu=False)
    cache = open_cache(task.cache_root, task.cache_key)
    train_config = TrainConfig.from_values({**config, "epochs": task.epochs})
    saved = tune.get_checkpoint()
    if saved is None:
        state = new_state(train_config, build_label_map(cache.classes, train_config.labels).outputs, machine)
    else:
        with saved.as_directory() as folder:
            state = load_state(Path(folder) / STATE_FILE, train_config, machine)
    for result in train_epochs(state, cache, task.train_indices, task.valid_indices, machine):
        with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder:
            save_state(state, Path(folder) / STATE_FILE)
            tune.report({"iou": result.metrics["iou"]}, checkpoint=tune.Checkpoint.from_directory(folder))


class JournalWriter(tune.Callback):  # type: ignore[misc]
    """Writes what happens in the project's words.

    Args:
        journal: where events go.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a worker has taken a trial."""
        if self._number(trial) == len(self._journal.history.trials):
            values = TrainConfig.from_values(trial.config).values()
            params = {**trial.config, _ID: trial.trial_id}
            self._journal.write(Asked(trial=self._number(trial), fold=0, values=values, params=params))
        self._journal.write(Started(trial=self._number(trial)))

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any]) -> None:
        """Write an epoch."""
        epoch = result["training_iteration"]
        self._journal.write(Epoch(trial=self._number(trial), epoch=epoch, metrics={"iou": float(result["iou"])}))

    def on_checkpoint(self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: tune.Checkpoint) -> None:
        """Write that a trial can go on."""
        epoch = (trial.last_result or {}).get("training_iteration", 0)
        self._journal.write(CheckpointSaved(trial=self._number(trial), epoch=epoch, path=checkpoint.path))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a trial ended."""
        self._journal.write(Ended(trial=self._number(trial), outcome=Outcome.FINISHED))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial) -> None:
        """Write that a trial failed."""
        self._journal.write(Ended(trial=self._number(trial), outcome=Outcome.FAILED))

    def _number(self, trial: Trial) -> int:
        """Return a trial's number: that of its name in the journal, or the next."""
        known = [record.params[_ID] for record in self._journal.history.in_order]
        return known.index(trial.trial_id) if trial.trial_id in known else len(known)


if __name__ == "__main__":
    main()
