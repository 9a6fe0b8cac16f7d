"""What a command costs before it does anything: processor seconds of those that only look.

`python -m benchmarks.scale.startup --runs 5`

Each is a process of its own, the commands turn about, and children of a process count with it. Beside them stand what
Python takes by itself and what importing Ray or MLflow takes, which these commands do without.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from search.folder import SearchFolder, folder_of
from search.memory.events import Asked, Ended, Epoch, Halted, Opened
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.place import build_place, write_place
from search.settings import build_settings, write_settings
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit, write_folds

_FEW_TRIALS: Final = 10
"""Too few to say what mattered."""
_MANY_TRIALS: Final = 80
_EPOCHS: Final = 9
_ROOT: Final = Path(__file__).parents[2]


def main() -> None:
    """Start every command so often, and print the median of its processor seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="starts of each command")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        commands = list_commands(Path(scratch))
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(runs + 1):
            for name, command in commands.items():
                times[name].append(measure(command))
    print(f"processor seconds of {runs} starts each, the first left out: median, range")
    for name, seconds in times.items():
        rest = seconds[1:]
        print(f"{name:34} {statistics.median(rest):6.2f}   {min(rest):.2f} to {max(rest):.2f}")


def list_commands(scratch: Path) -> Mapping[str, Sequence[str]]:
    """Write two searches, and return what is started by its name.

    Args:
        scratch: folder for them.
    """
    for name, trials in (("few", _FEW_TRIALS), ("many", _MANY_TRIALS)):
        write_search(scratch, name, trials)
    search = [sys.executable, "-m", "search"]
    where = ["--storage", str(scratch)]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "search --help": [*search, "--help"],
        f"search status, {_FEW_TRIALS} trials": [*search, "status", "few", *where],
        f"search status, {_MANY_TRIALS} trials": [*search, "status", "many", *where],
        f"search best, {_MANY_TRIALS} trials": [*search, "best", "many", *where],
        "import optuna": [sys.executable, "-c", "import optuna"],
        "import ray": [sys.executable, "-c", "import ray"],
        "import mlflow": [sys.executable, "-c", "import mlflow"],
    }


def write_search(storage: Path, name: str, trials: int) -> SearchFolder:
    """Write a search that has ended as one of so many trials would."""
    settings = build_settings({"name": name, "trials": trials, "epochs": _EPOCHS, "objective": "iou"})
    place = build_place({"data": storage, "storage": storage})
    folder = folder_of(settings, place)
    folder.root.mkdir(parents=True)
    write_settings(settings, folder.settings)
    write_place(place, folder.place)
    cases = {str(number): number for number in range(settings.folds)}
    split = FoldSplit(folds=settings.folds, fold_of=cases, block_of={name: name for name in cases})
    write_folds(split, folder.folds)
    journal, random = Journal(folder.search_stage.journal, settings.metric), np.random.default_rng(0)
    journal.write(Opened(cache_key="none"))
    for trial in range(trials):
        params = {"learning_rate": float(10 ** random.uniform(-4, -2)), "loss": str(random.choice(["ce", "focal"]))}
        values = TrainConfig.from_values(params).values()
        journal.write(Asked(trial=trial, fold=0, values=values, params=params))
        epochs = _EPOCHS if trial % 2 else 1
        for epoch in range(1, epochs + 1):
            metrics = {"iou": float(random.uniform(0.3, 0.7)), "seconds": 60.0}
            journal.write(Epoch(trial=trial, epoch=epoch, metrics=metrics))
        journal.write(Ended(trial=trial, outcome=Outcome.FINISHED if epochs == _EPOCHS else Outcome.STOPPED))
    journal.write(Halted())
    journal.close()
    return folder


def measure(command: Sequence[str]) -> float:
    """Run a command and return its processor seconds.

    Raises:
        CalledProcessError: when it fails.
    """
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
