"""How a long search grows: time of a decision, memory of the driver, and how long a resume reads.

`python -m benchmarks.scale.growth --trials 5000 --epochs 40 --workers 1000`

The very objects of a search, its journal on disk and what Ray Tune keeps of each trial among them, without Ray's
processes: workers are simulated, each reports in its turn. What Ray adds in time is measured by `reports`.
"""

import argparse
import dataclasses
import heapq
import math
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from ray import tune
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial

from benchmarks.measuring import describe_machine
from benchmarks.scale.reports import METRICS
from search.folder import StageFolder
from search.judge.asha import Asha
from search.judge.progress import build_asha, find_nothing_but_failures
from search.memory.events import Opened, Started
from search.memory.history import TrialRecord
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.place import build_place
from search.propose.proposer import Proposer
from search.run.loop import build_proposer, choose_trial
from search.run.recorder import Recorder
from search.run.retries import Retries
from search.run.stage import Stage
from search.run.trial_job import TrialJob
from search.settings import SearchSettings, build_settings
from search.space.load import load_space
from segcore.data.dividing.split import FoldSplit

FACTS: Final = {"smallest_side": 1216}
_PARTS: Final = 4

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a search.

    Args:
        choice_ms: processor milliseconds that choosing a trial took, each time.
        verdict_ms: processor milliseconds from a report to what follows from it, each time.
        memory_mib: of the process at its end, the most so far.
    """

    choice_ms: list[float]
    verdict_ms: list[float]
    memory_mib: float


def main() -> None:
    """Run a search of simulated workers and print a line for each quarter of it, then how long a resume reads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--grace-epochs", type=int, default=18)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--storage", type=Path, help="folder for the journal; left out: the temporary files' disk")
    arguments = parser.parse_args()
    settings = build_settings(
        {
            **{"name": "growth", "space": "street", "objective": "iou", "trials": arguments.trials},
            **{"epochs": arguments.epochs, "grace_epochs": arguments.grace_epochs},
        }
    )
    print(describe_machine())
    with tempfile.TemporaryDirectory(dir=arguments.storage) as folder:
        stage = open_growing(settings, Path(folder))
        begun = time.perf_counter()
        for number, part in enumerate(grow(stage, arguments.workers), start=1):
            print(describe(number, part))
        seconds, size = time.perf_counter() - begun, stage.journal.file.stat().st_size
        told = f"{len(stage.journal.history.trials):,} trials, {count_reports(stage):,} reports, {size / 1e6:.0f} MB"
        print(f"in all: {told} of journal, {seconds:.0f} s for the driver's own work")
        stage.journal.close()
        begun = time.perf_counter()
        again = open_growing(settings, Path(folder))
        follow(again)
        print(f"a resume reads it in {time.perf_counter() - begun:.1f} s")


def open_growing(settings: SearchSettings, folder: Path) -> Stage:
    """Return a stage whose journal lies in a folder; its trials are never trained."""
    place = build_place({"data": folder, "storage": folder})
    job = TrialJob(
        data=str(folder),
        extra=(),
        cache_root=folder,
        cache_key="key",
        split=FoldSplit(folds=2, fold_of={}, block_of={}),
        cpus=1.0,
        gpus=0.0,
        metric=settings.metric,
    )
    root = folder / settings.name
    journal = Journal(root / "journal.jsonl", settings.metric)
    return Stage(settings=settings, place=place, folder=StageFolder(root=root), journal=journal, job=job)


def follow(stage: Stage) -> tuple[Asha, Proposer]:
    """Return what judges and what proposes, with all that the journal holds."""
    asha, proposer = build_asha(stage.settings), build_proposer(stage.settings, FACTS, load_space(stage.settings.space))
    stage.journal.follow(asha, proposer)
    return asha, proposer


def grow(stage: Stage, workers: int) -> Iterator[Part]:
    """Run a search whose workers each report in turn, and yield its quarters."""
    asha, proposer = follow(stage)
    recorder = Recorder(
        stage.journal, stage.folder, asha, Retries(stage.journal, 0, dict, set[str]().add, set[str]().add)
    )
    # Ray Tune keeps each until the search ends; a trial that goes on is one more.
    started, of_ray = time.time(), list[Trial]()
    stage.journal.write(Opened(cache_key="key"))

    def choose() -> int | None:
        return (
            None if find_nothing_but_failures(stage.journal.history, started) else choose_trial(stage, asha, proposer)
        )

    random, busy = np.random.default_rng(0), list[tuple[float, int, Trial]]()
    choice_ms, verdict_ms = list[float](), list[float]()
    ends = [stage.settings.trials * part // _PARTS for part in range(1, _PARTS)]
    clock, has_more = 0.0, True
    while busy or has_more:
        while len(busy) < workers and has_more:
            number, took_ms = timed(choose)
            choice_ms.append(took_ms)
            has_more = number is not None
            if number is not None:
                stage.journal.write(Started(trial=number))
                of_ray.append(Trial("none", stub=True, config={"trial": number}))
                heapq.heappush(busy, (clock + random.exponential(), number, of_ray[-1]))
        if busy:
            clock, number, trial = heapq.heappop(busy)
            goes_on, took_ms = timed(partial(report, stage, asha, recorder, trial))
            verdict_ms.append(took_ms)
            if goes_on:
                heapq.heappush(busy, (clock + random.exponential(), number, trial))
            # A trial that ends may let another go on that waits.
            has_more = has_more or not goes_on
        if ends and len(stage.journal.history.trials) >= ends[0]:
            ends.pop(0)
            yield Part(choice_ms=choice_ms, verdict_ms=verdict_ms, memory_mib=memory())
            choice_ms, verdict_ms = [], []
    yield Part(choice_ms=choice_ms, verdict_ms=verdict_ms, memory_mib=memory())


def timed(act: Callable[[], Result]) -> tuple[Result, float]:
    """Return what something gives, and the processor milliseconds that it took, whoever else uses the machine."""
    begun = time.process_time()
    result = act()
    return result, 1000 * (time.process_time() - begun)


def report(stage: Stage, asha: Asha, recorder: Recorder, trial: Trial) -> bool:
    """Do what follows from a worker's report, as Ray Tune has it done; say whether its trial goes on."""
    number, metric = trial.config["trial"], stage.settings.metric
    record = stage.journal.history.trials[number]
    epoch = record.last_epoch + 1
    score = score_of(record, epoch)
    metrics = {metric: score, **{f"iou/{index}": score for index in range(METRICS - 1)}}
    is_last = epoch == stage.settings.epochs
    result = {"epoch": epoch, "metrics": metrics, "outcome": Outcome.FINISHED.value if is_last else ""}
    # A worker sends its result once more with the checkpoint.
    again = {**result, "config": {**trial.config, "values": dict(record.values)}}
    goes_on = not asha.decide(number, epoch, score) and not is_last
    recorder.on_trial_result(0, [], trial, result)
    trial.update_last_result(result)
    place = stage.folder.ray / "run" / f"trial_{number:04d}" / "checkpoint"
    saved = tune.Checkpoint(str(place))
    recorder.on_checkpoint(0, [], trial, saved)
    trial.run_metadata.checkpoint_manager.register_checkpoint(_TrainingResult(saved, again))
    recorder.on_trial_save(0, [], trial)
    if not goes_on:
        recorder.on_trial_complete(0, [], trial)
    return goes_on


def score_of(trial: TrialRecord, epoch: int) -> float:
    """Return a made-up score: better near one rate, and with epochs."""
    return float(0.7 - 0.1 * abs(math.log10(_rate(trial.params)) + 3) - 0.4 / (1 + epoch))


def _rate(params: Mapping[str, Any]) -> float:
    return float(params.get("learning_rate", 1e-3))


def count_reports(stage: Stage) -> int:
    """Return how many epochs the journal knows."""
    return sum(len(trial.epochs) for trial in stage.journal.history.in_order)


def memory() -> float:
    """Return the most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def describe(number: int, part: Part) -> str:
    """Return a quarter in a line."""
    choices, verdicts = part.choice_ms or [0.0], part.verdict_ms or [0.0]
    return (
        f"quarter {number}: {len(part.choice_ms):6,} choices of {statistics.mean(choices):6.2f} ms, most "
        f"{max(choices):7.2f}; {len(part.verdict_ms):7,} reports of {statistics.mean(verdicts):6.2f} ms, most "
        f"{max(verdicts):7.2f}; memory {part.memory_mib:5.0f} MiB"
    )


if __name__ == "__main__":
    main()
