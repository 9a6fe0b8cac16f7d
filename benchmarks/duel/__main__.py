"""The project's search against plain Ray Tune on real data: `python -m benchmarks.duel DATA --seconds 600`.

Both draw from one space, train on one fold with one training and have the same time, workers and MLflow; the rungs of
ASHA are each one's own. They take turns, and each round has another seed. What each chooses is trained anew on folds
that neither saw. Rounds are kept in the output folder as they end, so that a second start runs only what is missing.

What trainings on other data taught is given to the project's search by `--known TABLE --arms project-knowing stock`: it
tries the table's best configurations first. The stock pair cannot be given any in a define-by-run space.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from mlflow import MlflowClient

from benchmarks.duel.measure import Effort, Row, confirm, measure_search
from benchmarks.duel.table import HEADER, STOCK, compare, format_row
from benchmarks.duel.terms import FOLD, Terms, read_terms, write_terms
from benchmarks.measuring import describe_machine
from benchmarks.quality.trained import list_best
from search.memory.journal import read_history
from segcore.config import TrainConfig, parse_assignments
from segcore.data.caching.build import prepare_cache
from segcore.data.dataset import read_dataset
from segcore.errors import CheckpointError, ConfigError, StreetError
from segcore.streets.synthetic import write_streets

PROJECT: Final = "project"
KNOWING: Final = "project-knowing"
STOCK_REUSING: Final = "stock-reusing"
ARMS: Final = (PROJECT, KNOWING, STOCK, STOCK_REUSING)
"""`project-knowing` tries what is known from other data first; `stock-reusing` is the stock pair that keeps its worker
processes, which Ray does only when told so."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_UNLIMITED_TRIALS: Final = 100_000
_KNOWN: Final = 3
"""Configurations of a table that are tried first, as many as `--warm-start` takes from an earlier search."""


def main() -> None:
    """Run the rounds that are missing and print the table."""
    arguments = _parse()
    # Ended from outside, it ends the search that it waits for.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        _run(arguments)
    except StreetError as error:
        sys.exit(str(error))


def _run(arguments: argparse.Namespace) -> None:
    terms = settle_terms(arguments)
    file = Path(terms.output) / "rows.jsonl"
    rows = list(read_rows(file))
    print(describe_machine())
    print(f"MLflow: {terms.tracking_uri}")
    print("\n".join([HEADER, *map(format_row, rows)]), flush=True)
    for number in range(1, arguments.rounds + 1):
        known = {row.arm for row in rows if row.round == number}
        missing = [arm for arm in arguments.arms if arm not in known]
        found = run_round(number, missing, terms) if missing else []
        with file.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(asdict(row)) + "\n" for row in found)
        rows += found
        for row in found:
            print(format_row(row), flush=True)
    print("\n".join(["", *compare(rows)]))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="data-set folder; left out: drawn streets of 192x128")
    parser.add_argument("--space", default="benchmarks.duel.space:small", help="name, or package.module:function")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE for every trial of both")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long each search may take")
    parser.add_argument("--epochs", type=int, default=4, help="most epochs of a trial")
    parser.add_argument("--rounds", type=int, default=1, help="searches of each arm")
    parser.add_argument("--folds", type=int, default=5, help="parts that the data is divided into")
    parser.add_argument("--confirm-folds", type=int, default=2, help="further folds that each choice is trained on")
    parser.add_argument("--max-concurrent", type=int, default=2, help="trials at a time; the machine must hold them")
    parser.add_argument("--cpus-per-trial", type=float, default=1.0, help="processor cores per trial")
    parser.add_argument("--gpus-per-trial", type=float, default=0.0, help="0.5 lets two trials share a GPU")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=[PROJECT, STOCK], help="who searches")
    parser.add_argument("--known", type=Path, help=f"recorded table of other data; {KNOWING} tries its best first")
    parser.add_argument("--tracking-uri", default="", help="MLflow of all arms; left out: a file in the output folder")
    parser.add_argument("--output", type=Path, required=True, help="folder of searches, caches and results")
    return parser.parse_args()


def settle_terms(arguments: argparse.Namespace) -> Terms:
    """Prepare data, cache and MLflow, so that neither arm's time goes into them, and write what both are given.

    Raises:
        ConfigError: when there are not as many further folds, or nothing is known that an arm is to try.
        CheckpointError: when the output folder holds rounds on other terms.
    """
    if not 1 <= arguments.confirm_folds < arguments.folds:
        raise ConfigError(
            f"--confirm-folds {arguments.confirm_folds}: beside the fold that is searched on there are "
            f"{arguments.folds - 1}; use 1 to {arguments.folds - 1}, or more --folds."
        )
    if (KNOWING in arguments.arms) != (arguments.known is not None):
        raise ConfigError(f"--known and --arms {KNOWING} belong together; give both, or neither.")
    known = [] if arguments.known is None else list_best(arguments.known, _KNOWN)
    output = arguments.output.expanduser().resolve()
    output.mkdir(parents=True, exist_ok=True)
    data = arguments.data
    if data is None:
        data = output / "streets"
        if not data.exists():
            write_streets(data)
    cache = prepare_cache(read_dataset(data), output / "cache")
    terms = Terms(
        data=str(data.expanduser().resolve()),
        output=str(output),
        cache_key=cache.name,
        space=arguments.space,
        fixed=parse_assignments(tuple(arguments.set)),
        seconds=arguments.seconds,
        epochs=arguments.epochs,
        folds=arguments.folds,
        confirm_folds=arguments.confirm_folds,
        max_concurrent=arguments.max_concurrent,
        cpus_per_trial=arguments.cpus_per_trial,
        gpus_per_trial=arguments.gpus_per_trial,
        seed=arguments.seed,
        tracking_uri=arguments.tracking_uri or f"sqlite:///{output / 'mlflow.db'}",
        known=known,
    )
    if terms.file.exists() and read_terms(terms.file) != terms:
        raise CheckpointError(f"{output} holds rounds on other terms (terms.json); give another folder with --output.")
    write_terms(terms)
    # The first to open a new database waits for its tables.
    MlflowClient(terms.tracking_uri).search_experiments()
    return terms


def run_round(number: int, arms: Sequence[str], terms: Terms) -> list[Row]:
    """Let every arm search, then train all choices on further folds.

    Args:
        number: of the round, from 1.
        arms: who searches.
        terms: what all are given.
    """
    efforts = {arm: run_arm(arm, number, terms) for arm in take_turns(arms, number)}
    choices = [_read_choice(terms.folder(arm, number).best) for arm in arms]
    return [
        measure_search(
            read_history(terms.folder(arm, number).search_stage.journal, "iou"),
            terms,
            arm=arm,
            number=number,
            effort=efforts[arm],
            values=values,
            fold_scores=scores,
        )
        for arm, values, scores in zip(arms, choices, confirm(choices, terms), strict=True)
    ]


def _read_choice(best: Path) -> dict[str, Any]:
    # The stock pair knows of its winner no more than the values.
    return TrainConfig.from_values(json.loads(best.read_text(encoding="utf-8"))["values"]).values()


def take_turns(arms: Sequence[str], number: int) -> list[str]:
    """Return the arms in the order of a round: each round another one begins."""
    first = (number - 1) % len(arms)
    return [*arms[first:], *arms[:first]]


def run_arm(arm: str, number: int, terms: Terms) -> Effort:
    """Run a search in a process of its own, and return what the process took.

    Raises:
        CheckpointError: when it failed, with the end of what it said.
    """
    folder = terms.folder(arm, number).root
    # Left by a round that was interrupted.
    shutil.rmtree(folder, ignore_errors=True)
    log = terms.storage / f"{folder.name}.log"
    log.parent.mkdir(exist_ok=True)
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "NO_ALBUMENTATIONS_UPDATE": "1"}
    command = [sys.executable, "-m", *_command(arm, number, terms)]
    started = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        process.wait()
    finally:
        # Interrupted: killed at once it would leave its Ray behind.
        process.terminate()
        process.wait()
    if process.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise CheckpointError(
            f"{arm} failed in round {number}:\n{said}\nMend the cause, or give more than {terms.seconds:g} --seconds."
        )
    return Effort(seconds=time.monotonic() - started, load=os.getloadavg()[0])


def _command(arm: str, number: int, terms: Terms) -> list[str]:
    if arm not in (PROJECT, KNOWING):
        reuse = ["--reuse-actors"] if arm == STOCK_REUSING else []
        return ["benchmarks.duel.stock", str(terms.file), str(number), "--arm", arm, *reuse]
    options: dict[str, Any] = {
        "data": terms.data,
        "name": f"{arm}-{number}",
        "space": terms.space,
        "trials": _UNLIMITED_TRIALS,
        "epochs": terms.epochs,
        "folds": terms.folds,
        "fold": FOLD,
        "seed": terms.seed + number - 1,
        "gpus-per-trial": terms.gpus_per_trial,
        "cpus-per-trial": terms.cpus_per_trial,
        "max-concurrent": terms.max_concurrent,
        "confirm": 0,
        # What is known of the project's own spaces the stock pair cannot be given.
        "known": 0,
        "objective": "iou",
        "time-budget": f"{terms.seconds:.1f}s",
        "tracking-uri": terms.tracking_uri,
        "storage": terms.storage,
        "cache": terms.cache,
    }
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    fixed = [text for name, value in terms.fixed.items() for text in ("--set", f"{name}={value}")]
    known = [text for file in _write_known(terms) for text in ("--seed-config", str(file))] if arm == KNOWING else []
    return ["search", "launch", *given, *fixed, *known]


def _write_known(terms: Terms) -> list[Path]:
    files = [Path(terms.output) / f"known-{place}.json" for place in range(len(terms.known))]
    for file, values in zip(files, terms.known, strict=True):
        file.write_text(json.dumps(values), encoding="utf-8")
    return files


def read_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of earlier starts."""
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            course = [tuple(point) for point in values["course"]]
            yield Row(**{**values, "course": course, "effort": Effort(**values["effort"])})


if __name__ == "__main__":
    main()
