"""How many reports a second a driver takes: the project's, plain Ray Tune without loggers, and the stock combination.

`python -m benchmarks.scale.reports --trials 60 --epochs 20 --concurrent 4`

The training is left out: a trial reports at once, with as many numbers as twenty classes give and a checkpoint each
time. Everything else is real: Ray, the journal, ASHA, MLflow. The rate counts from when every worker has
reported, since processes that start take the processors from those that report, to the last report; beside it
stands the driver's own processor time, which says more on a machine that others use. Ray Tune alone is measured
twice: with the last checkpoint kept, as people set it, and with all of them, which is faster and fills the disk.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import numpy as np
import optuna
import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.measuring import describe_machine
from search.folder import SearchFolder
from search.place import build_place, write_place
from search.run import cluster, tuning
from search.run.trial import STATE_FILE
from search.run.trial_job import TrialJob
from search.settings import build_settings, write_settings
from search.stages.search import run_search
from search.stages.stage import ReadySearch, open_stage
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.data.dividing.split import write_folds
from segcore.data.extra import prepare_caches
from segcore.data.picture_files import encode_jpeg
from segcore.streets.synthetic import write_streets

METRICS: Final = 28
"""Numbers of a report, as many as twenty classes give."""
CHECKPOINT_BYTES: Final = 100_000
PICTURE_SIDE: Final = 128
OUTPUT: Final = "output.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What every arm is given.

    Args:
        trials: in all.
        epochs: of each, a report after each; none is stopped early, so that every arm has as many.
        concurrent: trials at a time.
        folder: for everything that is written.
    """

    trials: int
    epochs: int
    concurrent: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What an arm took.

    Args:
        reports: taken since every worker had begun.
        seconds: that they took.
        driver_seconds: processor time of the driver meanwhile and around it.
    """

    reports: int
    seconds: float
    driver_seconds: float


class Clock(tune.Callback):  # type: ignore[misc]
    """Notes when reports come.

    Args:
        file: where it writes how many came after the last worker's first one, and the time that they took.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._times: list[float] = []
        self._before_all_reported: dict[int, int] = {}

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any]) -> None:
        """Note one."""
        self._before_all_reported.setdefault(result["pid"], len(self._times))
        self._times.append(time.monotonic())

    def on_experiment_end(self, trials: list[Trial]) -> None:
        """Write down what was noted."""
        counted = self._times[max(self._before_all_reported.values()) :]
        self._file.write_text(json.dumps([len(counted) - 1, counted[-1] - counted[0]]), encoding="utf-8")


def main() -> None:
    """Run each arm in a process of its own and print the rates and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--concurrent", type=int, default=4)
    arguments = parser.parse_args()
    print(describe_machine())
    rates: dict[str, Rate] = {}
    # Workers find functions by the name of their module, which this one has not while it is the program.
    from benchmarks.scale import reports

    for name, arm in reports.ARMS.items():
        with tempfile.TemporaryDirectory() as folder:
            sizes = {"trials": arguments.trials, "epochs": arguments.epochs, "concurrent": arguments.concurrent}
            rates[name] = measure(arm, Load(**sizes, folder=Path(folder)))
        rate = rates[name]
        print(
            f"{name:34} {rate.reports:5} reports, {rate.reports / rate.seconds:6.1f} a second, "
            f"{1000 * rate.driver_seconds / rate.reports:6.1f} ms of the driver's processor time each",
            flush=True,
        )
    ours, plain, hoarding, stock = (each.reports / each.seconds for each in rates.values())
    print(
        f"the project: {ours / plain:.2f} of the rate of Ray Tune without loggers ({ours / hoarding:.2f} of that which "
        f"keeps every checkpoint), {ours / stock:.1f} times the stock combination's"
    )


def measure(arm: Callable[[Load], None], load: Load) -> Rate:
    """Run an arm in a process of its own."""
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = multiprocessing.get_context("spawn").Process(target=_run_quietly, args=(arm, load))
    process.start()
    process.join()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.exitcode:
        raise RuntimeError(f"the arm ended with {process.exitcode}; {(load.folder / OUTPUT).read_text()[-4000:]}")
    reports, seconds = json.loads((load.folder / "clock.json").read_text(encoding="utf-8"))
    used = (ended.ru_utime - begun.ru_utime) + (ended.ru_stime - begun.ru_stime)
    return Rate(reports=reports, seconds=seconds, driver_seconds=used)


def _run_quietly(arm: Callable[[Load], None], load: Load) -> None:
    """Run an arm with what its libraries print in a file: Ray Tune warns of its own state at every checkpoint."""
    with (load.folder / OUTPUT).open("wb") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    arm(load)


def run_ours(load: Load) -> None:
    """Run a search of the project with everything on."""
    run_search_of(load, report_as_ours, Clock(load.folder / "clock.json"), grace_epochs=load.epochs)


def run_search_of(load: Load, trial: Callable[..., None], clock: tune.Callback, grace_epochs: int) -> None:
    """Run a search of the project whose trials are something else than trainings.

    Args:
        load: how large.
        trial: what a worker runs, given what it is given for a training.
        clock: notes when reports come.
        grace_epochs: before which none is stopped.
    """
    write_streets(load.folder / "streets", cases=12, height=64, width=96, test_cases=0)
    dataset = read_dataset(load.folder / "streets")
    storage = load.folder / "searches"
    where = {"data": load.folder / "streets", "cache": load.folder / "cache", "storage": storage}
    place = build_place({**where, "max_concurrent": load.concurrent, "cpus_per_trial": min(0.25, 1 / load.concurrent)})
    sizes = {"trials": load.trials, "epochs": load.epochs, "grace_epochs": grace_epochs, "folds": 2}
    settings = build_settings({"name": "reports", "space": "demo", "objective": "iou", **sizes})
    folder = SearchFolder(root=storage / "reports")
    cache, split = prepare_caches(dataset, (), place.cache), make_folds(dataset.cases, 2)
    folder.root.mkdir(parents=True)
    write_folds(split, folder.folds)
    write_place(place, folder.place)
    write_settings(settings, folder.settings)
    with (
        cluster.connected(place) as capacity,
        mock.patch.object(tuning, "run_trial", trial),
        mock.patch.object(tuning, "Watchdog", lambda *given: clock),
        open_stage(ReadySearch(settings=settings, capacity=capacity, folder=folder, cache=cache), "search") as opened,
    ):
        run_search(opened, None)


def run_plain(load: Load) -> None:
    """Run Ray Tune with nothing that logs, searches or stops."""
    _run_tune(load, callbacks=[Clock(load.folder / "clock.json")], search_alg=None, scheduler=None)


def run_hoarding(load: Load) -> None:
    """Run the same with every checkpoint kept."""
    clock = Clock(load.folder / "clock.json")
    _run_tune(load, callbacks=[clock], search_alg=None, scheduler=None, kept_checkpoints=None)


def run_stock(load: Load) -> None:
    """Run Ray Tune with Optuna, ASHA and MLflow's callback."""
    uri = f"sqlite:///{load.folder / 'mlflow.db'}"
    logger = MLflowLoggerCallback(tracking_uri=uri, experiment_name="reports")
    search = OptunaSearch(space=_draw, metric="iou", mode="max")
    asha = ASHAScheduler(metric="iou", mode="max", max_t=load.epochs, grace_period=load.epochs)
    _run_tune(load, callbacks=[logger, Clock(load.folder / "clock.json")], search_alg=search, scheduler=asha)


def _draw(trial: optuna.Trial) -> None:
    trial.suggest_float("learning_rate", 0.0, 1.0)


def _run_tune(
    load: Load, *, callbacks: list[Any], search_alg: Any, scheduler: Any, kept_checkpoints: int | None = 1
) -> None:
    quiet = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_MAX_PENDING_TRIALS_PG": "100000"}
    os.environ.update(quiet if search_alg is None else {})
    environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}}
    ray.init(address="local", include_dashboard=False, log_to_driver=False, runtime_env=environment)
    tune.Tuner(
        tune.with_resources(tune.with_parameters(report_plainly, epochs=load.epochs), {"cpu": 0.25}),
        tune_config=tune.TuneConfig(
            num_samples=load.trials,
            max_concurrent_trials=load.concurrent,
            search_alg=search_alg,
            scheduler=scheduler,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="reports",
            storage_path=str(load.folder),
            callbacks=callbacks,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=kept_checkpoints),
            verbose=0,
        ),
    ).fit()
    ray.shutdown()


def make_metrics(epoch: int) -> dict[str, float]:
    """Return the numbers of a report."""
    return {"iou": 0.5 + epoch / 1000, **{f"iou/{index}": 0.5 for index in range(METRICS - 1)}}


def report_plainly(config: Mapping[str, Any], epochs: int) -> None:
    """Report at once, with a checkpoint each time."""
    for epoch in range(1, epochs + 1):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / STATE_FILE).write_bytes(bytes(CHECKPOINT_BYTES))
            tune.report(make_metrics(epoch), checkpoint=tune.Checkpoint.from_directory(folder))


def report_as_ours(config: Mapping[str, Any], job: TrialJob) -> None:
    """Report at once what a trial of the project reports."""
    epochs = config["values"]["epochs"]
    pictures = {"typical": encode_jpeg(np.zeros((PICTURE_SIDE, PICTURE_SIDE, 3), np.uint8))}
    for epoch in range(config["after_epoch"] + 1, epochs + 1):
        outcome = "finished" if epoch == epochs else ""
        told = {"epoch": epoch, "outcome": outcome, "message": "", "metrics": make_metrics(epoch), "pictures": pictures}
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / STATE_FILE).write_bytes(bytes(CHECKPOINT_BYTES))
            tune.report(told, checkpoint=tune.Checkpoint.from_directory(folder))


ARMS: Final = {
    "the project, everything on": run_ours,
    "Ray Tune without loggers": run_plain,
    "the same, every checkpoint kept": run_hoarding,
    "OptunaSearch + ASHA + MLflow logger": run_stock,
}

if __name__ == "__main__":
    main()
