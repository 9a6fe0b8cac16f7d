"""What each choice of a training does to the score at equal steps: `python -m benchmarks.throughput.choices DATA`.

Every row changes one thing of its group's base and trains it on the same fold; seeds show the noise. Rows are kept in
a file as they end, so that a second start trains only what is missing. The table is Markdown.
"""

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from benchmarks.pool import run_jobs
from benchmarks.throughput.choices.groups import CPU_GROUPS, GPU_GROUPS, GROUPS, Group, Values, describe
from benchmarks.throughput.choices.rows import FOLD, FOLDS, Row, Task, add_row, identify, read_rows, train_row
from benchmarks.throughput.choices.table import format_row, format_table
from segcore.config import parse_assignments
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.errors import ConfigError, StreetError
from segcore.machine import detect_machine, name_device


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the rows that are missing while there is time, and print the table."""
    until = time.monotonic()
    told = _parse(arguments)
    until += 60 * told.minutes
    groups = {name: GROUPS[name].rebase(told.set) for name in told.groups}
    told.out.mkdir(parents=True, exist_ok=True)
    file = told.out / "rows.jsonl"
    device = name_device(detect_machine(1))
    task, rows = _build_task(told), list(read_rows(file))
    if any(row.get("data") != task.cache.key for row in rows):
        raise ConfigError(f"--out {told.out} holds rows of other data than {told.data}; give another folder.")
    known = {identify(row["device"], row["changes"]): row for row in rows}
    missing = find_missing(groups, device, known)
    print(f"{len(missing)} trainings are missing on {device}; {told.at_once} at once", flush=True)
    if missing and told.minutes > 0:
        run = partial(train_row, task)
        # Closed in any case: processes that go on would keep this one from its end.
        with closing(run_jobs(run, missing, at_once=told.at_once, seconds=until - time.monotonic())) as ends:
            for ended in ends:
                if ended.result is None:
                    print(f"{describe(ended.job)}: failed: {ended.error}", file=sys.stderr, flush=True)
                else:
                    _take(ended.result, known, file)
    table = "\n".join(format_table(groups, known))
    (told.out / "table.md").write_text(table + "\n", encoding="utf-8")
    print(table)


def find_missing(groups: Mapping[str, Group], device: str, known: Mapping[tuple[str, ...], Row]) -> list[Values]:
    """Return the trainings that no row is of, each once."""
    wanted = {identify(device, values): values for group in groups.values() for values in group.trainings()}
    return [values for key, values in wanted.items() if key not in known]


def _take(row: Row, known: dict[tuple[str, ...], Row], file: Path) -> None:
    add_row(file, row)
    known[identify(row["device"], row["changes"])] = row
    print(format_row(row), flush=True)


def _build_task(told: argparse.Namespace) -> Task:
    dataset = read_dataset(told.data)
    cache = PixelCache(prepare_cache(dataset, told.cache.expanduser()))
    train_indices, valid_indices = make_folds(dataset.cases, FOLDS).split(cache.names, FOLD)
    return Task(
        cache=cache,
        train_indices=tuple(train_indices),
        valid_indices=tuple(valid_indices),
        cpus=max(1, told.cpus // told.at_once),
        at_once=told.at_once,
        models=told.out / "models" if told.keep_models else None,
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    usual = GPU_GROUPS if torch.cuda.is_available() else CPU_GROUPS
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput.choices", description=__doc__)
    add = parser.add_argument
    add("data", type=Path, help="data-set folder")
    add("--out", type=Path, default=Path("choices"), help="folder for rows.jsonl, table.md and models")
    add("--cache", type=Path, default=Path("~/.cache/street-search"), help="folder of decoded images")
    add("--groups", type=_parse_groups, default=list(usual), help=f"joined by commas, of {', '.join(GROUPS)}")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="changes of every group's base")
    add("--cpus", type=int, default=os.cpu_count() or 1, help="processor cores, of all trainings together")
    add("--at-once", type=int, default=1, help="trainings at a time")
    add("--minutes", type=float, default=math.inf, help="after which what is under way is cut off; 0: only the table")
    add("--keep-models", action="store_true", help="keep each network as a model directory")
    told = parser.parse_args(arguments)
    try:
        told.set = parse_assignments(tuple(told.set))
    except ConfigError as error:
        parser.error(str(error))
    return told


def _parse_groups(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no group; write names of {', '.join(GROUPS)}")
    return names


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except StreetError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; rows that ended are kept, and a second start trains the others")
