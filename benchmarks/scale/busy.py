"""How busy workers are kept: sixteen of them, whose epochs do nothing but last.

`python -m benchmarks.scale.busy --workers 16 --trials 64 --epoch-seconds 30`

Everything but the training is real: Ray, the journal, ASHA with its promotions, MLflow. A worker is busy while an epoch
lasts; it is not while it waits for its next trial, reports or hands over a checkpoint. What counts is from the first to
the last time that all of them were: that workers start one after the other, and that in the end fewer trials are left
than workers, is not the driver's fault.
"""

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ray import tune

from benchmarks.measuring import describe_machine
from benchmarks.scale.reports import Load, make_metrics, run_search_of
from search.run.trial import STATE_FILE
from search.run.trial_job import TrialJob

Span = tuple[float, float]
"""When an epoch began and ended."""
SPANS: Final = "spans"
SECONDS: Final = "epoch_seconds"


def main() -> None:
    """Run a search of lasting epochs and print how busy its workers were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--epoch-seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        load = Load(trials=arguments.trials, epochs=arguments.epochs, concurrent=arguments.workers, folder=Path(folder))
        spans = run(load, arguments.epoch_seconds)
    (begun, ended), most = find_steady(spans)
    share = busy_share(spans, begun, ended, arguments.workers)
    print(
        f"{arguments.workers} workers, {len(spans)} epochs of {arguments.epoch_seconds:g} s: "
        f"{100 * share:.1f} % busy over the {ended - begun:.0f} s between the first and the last time that {most} were"
    )


def run(load: Load, epoch_seconds: float) -> list[Span]:
    """Run the search, and return the epochs of its trials."""
    (load.folder / SPANS).mkdir()
    (load.folder / SECONDS).write_text(str(epoch_seconds), encoding="utf-8")
    run_search_of(load, last, tune.Callback(), grace_epochs=1)
    lines = (line for file in (load.folder / SPANS).iterdir() for line in file.read_text().splitlines())
    return [(begun, ended) for begun, ended in map(json.loads, lines)]


def last(config: Mapping[str, Any], job: TrialJob) -> None:
    """Report after each epoch, which lasts as long as is asked and does nothing."""
    folder = job.cache_root.parent
    epochs, seconds = config["values"]["epochs"], float((folder / SECONDS).read_text(encoding="utf-8"))
    with (folder / SPANS / uuid.uuid4().hex).open("w", encoding="utf-8") as spans:
        for epoch in range(config["after_epoch"] + 1, epochs + 1):
            begun = time.time()
            time.sleep(seconds)
            print(json.dumps([begun, time.time()]), file=spans, flush=True)
            metrics = make_metrics(epoch) | {"iou": 0.5 + 0.01 * epoch + 0.001 * (config["trial"] * 7 % 13)}
            told = {"epoch": epoch, "outcome": "finished" if epoch == epochs else "", "message": "", "metrics": metrics}
            with tempfile.TemporaryDirectory() as checkpoint:
                (Path(checkpoint) / STATE_FILE).write_bytes(b"")
                tune.report(told, checkpoint=tune.Checkpoint.from_directory(checkpoint))


def find_steady(spans: Sequence[Span]) -> tuple[Span, int]:
    """Return the first and the last moment at which most epochs ran at a time, and how many these were."""
    running = {at: sum(begun <= at < ended for begun, ended in spans) for at, _ in spans}
    most = max(running.values())
    moments = [at for at, count in running.items() if count == most]
    return (min(moments), max(moments)), most


def busy_share(spans: Iterable[Span], begun: float, ended: float, workers: int) -> float:
    """Return which share of the workers' time between two moments lies within epochs."""
    within = sum(max(0.0, min(end, ended) - max(begin, begun)) for begin, end in spans)
    return within / (workers * (ended - begun)) if ended > begun else 1.0


if __name__ == "__main__":
    main()
