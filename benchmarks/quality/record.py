"""Records curves of real trainings: `python -m benchmarks.quality record --data DIR --out FILE.parquet`.

Draws configurations from a space at random, trains each to its end on some folds under some seeds, and keeps scores,
seconds and memory of every epoch in one table, without an image of the data. A second start trains only what is
missing. `trained` makes a task of the table. Trainings are small by few epochs, by --every, and by what is set for all
of them, such as `--set input_mode=resize --set scale=0.25`.

Where a training has one core and no GPU (`--cpus 1`), its seconds are processor time, alike on a busy and on a quiet
machine. Else they are those of the clock, on a machine that several may share; the table says which of each training.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pyarrow
import pyarrow.parquet
import torch

from benchmarks.pool import Ended, run_jobs
from benchmarks.quality.recording_job import RecordingJob, Row, do_recording
from search.settings import SearchSettings
from search.space.draw import Draw, draw, draw_config, space_facts
from search.space.load import load_space
from segcore.config import TrainConfig, parse_assignments
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.errors import ConfigError, TrainingError
from segcore.machine import Machine, name_device
from segcore.replacing import replacing

_DRAWS: Final = 100
_WRITE_SECONDS: Final = 3.0
"""Between two writings of the table, so that a large one is not written hundreds of times a minute."""
_MOST_FAILURES: Final = 5
_COLUMNS: Final[Mapping[str, pyarrow.DataType]] = {
    "configuration": pyarrow.int32(),
    "fold": pyarrow.int8(),
    "seed": pyarrow.int8(),
    "params": pyarrow.string(),
    "epoch": pyarrow.int16(),
    "score": pyarrow.float32(),
    "miou": pyarrow.float32(),
    "seconds": pyarrow.float32(),
    "memory_gib": pyarrow.float32(),
    "ended": pyarrow.string(),
    "run": pyarrow.int16(),
}
"""`params` is what the space drew, as JSON; `ended` says in a further row what ended a training early; `run` is the
place of the start that it belongs to among the head's `runs`."""


def main(words: Sequence[str]) -> None:
    """Train what is missing of a table."""
    begun = time.monotonic()
    arguments = _parse(words)
    folder = prepare_cache(read_dataset(arguments.data), arguments.cache.expanduser())
    head, rows = _open_table(arguments, PixelCache(folder))
    jobs = _plan(arguments, folder, head, {(row["configuration"], row["fold"], row["seed"]) for row in rows})
    _tell(f"{arguments.at_once} at a time on {head['runs'][-1]['device']}, {len(rows)} rows so far")
    left = begun + 60 * arguments.minutes - time.monotonic()
    with closing(run_jobs(do_recording, jobs, at_once=arguments.at_once, seconds=left)) as ends:
        try:
            _record(arguments.out, head, rows, ends)
        except KeyboardInterrupt:
            _tell("ended by the keyboard")
    _tell(f"{len({(row['configuration'], row['fold'], row['seed']) for row in rows})} trainings in {arguments.out}")


def _record(file: Path, head: Row, rows: list[Row], ends: Iterable[Ended[RecordingJob, list[Row]]]) -> None:
    """Add the rows of trainings to a table as they come.

    Raises:
        TrainingError: when trainings fail one after the other.
    """
    written, failures = float("-inf"), 0
    try:
        for ended in ends:
            marks, trained = ended.job.marks, ended.result or []
            _tell(
                f"configuration {marks['configuration']}, fold {marks['fold']}, seed {marks['seed']}: "
                f"{ended.error or _sum(trained)}"
            )
            failures = failures + 1 if ended.error else 0
            if failures == _MOST_FAILURES:
                raise TrainingError(f"{failures} trainings in a row failed; mend what the last says and start again.")
            rows += trained
            if time.monotonic() - written > _WRITE_SECONDS:
                write_table(file, head, rows)
                written = time.monotonic()
    finally:
        if rows:
            write_table(file, head, rows)


def _plan(
    arguments: argparse.Namespace, folder: Path, head: Row, known: set[tuple[int, int, int]]
) -> Iterator[RecordingJob]:
    """Yield what is missing, one whole configuration after the other, so that what was cut off has few half ones."""
    cache = PixelCache(folder)
    folds = make_folds(read_dataset(arguments.data).cases, arguments.folds)
    for configuration in range(arguments.configurations):
        found = draw_configuration(head, configuration)
        for seed, fold in itertools.product(range(arguments.seeds), arguments.fold):
            if (configuration, fold, seed) in known:
                continue
            train_indices, valid_indices = folds.split(cache.names, fold)
            marks = {"configuration": configuration, "fold": fold, "seed": seed, "params": json.dumps(found.params)}
            yield RecordingJob(
                marks={**marks, "run": len(head["runs"]) - 1},
                config=TrainConfig.from_values({**found.values, "seed": seed}),
                cache=folder,
                train_indices=train_indices[:: arguments.every],
                valid_indices=valid_indices[:: arguments.every],
                cpus=arguments.cpus,
                at_once=arguments.at_once,
            )


def draw_configuration(head: Row, number: int) -> Draw:
    """Return a configuration of a table, the first that the space allows.

    Args:
        head: what all trainings of the table share.
        number: of the configuration.

    Raises:
        ConfigError: when the space draws nothing that can be trained.
    """
    space = load_space(head["space"])
    settings = SearchSettings(name="record", space=head["space"], epochs=head["epochs"], fixed=head["fixed"])
    for attempt in range(_DRAWS):
        try:
            return draw(
                lambda trial: draw_config(space, trial, settings).values(),
                head["facts"],
                seed=number * _DRAWS + attempt,
            )
        except ConfigError as error:
            problem = error
    raise ConfigError(f"{_DRAWS} draws gave no configuration; the last: {problem}")


def write_table(file: Path, head: Row, rows: Sequence[Row]) -> None:
    """Write a table, whole or not at all."""
    schema = pyarrow.schema(_COLUMNS, metadata={"head": json.dumps(head)})
    table = pyarrow.Table.from_pylist(list(rows), schema=schema)
    with replacing(file) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def read_table(file: Path) -> tuple[Row, list[Row]]:
    """Return what all trainings of a table share, and its rows.

    Raises:
        ConfigError: when the file is no such table.
    """
    try:
        table = pyarrow.parquet.read_table(file)
        return json.loads(table.schema.metadata[b"head"]), table.to_pylist()
    except (OSError, pyarrow.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{file} is no table of trainings ({error!r}); record one by --out NEW_FILE.") from error


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality record", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data-set folder")
    parser.add_argument("--out", type=Path, required=True, help="the table, a .parquet file; goes on where it is")
    parser.add_argument("--space", default="street", help="street, demo, or package.module:function")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="value of every training")
    parser.add_argument("--configurations", type=int, default=300, help="how many are drawn")
    parser.add_argument("--epochs", type=int, default=9, help="of a training")
    parser.add_argument("--folds", type=int, default=5, help="parts the data is divided into")
    parser.add_argument("--fold", type=int, nargs="+", default=[0, 1], help="those that are validated on, in turn")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each configuration on each fold")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/street-search"), help="folder of decoded images")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth image of a fold")
    parser.add_argument("--cpus", type=int, default=1, help="processor cores of a training")
    parser.add_argument("--at-once", type=int, default=1, help="trainings at a time, each in a process of its own")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="end then; what is being trained is not recorded"
    )
    arguments = parser.parse_args(words)
    for name in ("every", "cpus", "at_once", "configurations", "folds", "seeds", "epochs"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give at least 1")
    return arguments


def _open_table(arguments: argparse.Namespace, cache: PixelCache) -> tuple[Row, list[Row]]:
    """Return head and rows of the table so far, in a folder that is there; one of other trainings is refused."""
    wanted = {"space": arguments.space, "epochs": arguments.epochs, "folds": arguments.folds, "every": arguments.every}
    wanted |= {"fixed": parse_assignments(tuple(arguments.set)), "facts": space_facts(cache)}
    # What cannot be written is known before hours of training.
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    run = {"at_once": arguments.at_once, "cpus": arguments.cpus, "device": _find_device(), "torch": torch.__version__}
    if not arguments.out.exists():
        return {**wanted, "runs": [run]}, []
    known, rows = read_table(arguments.out)
    runs = known.pop("runs", [])
    if known != wanted:
        raise ConfigError(f"{arguments.out} holds trainings of {known}, not of {wanted}; give another --out.")
    return {**wanted, "runs": [*runs, run]}, rows


def _find_device() -> str:
    return name_device(Machine(device="cuda:0" if torch.cuda.is_available() else "cpu"))


def _sum(rows: Sequence[Row]) -> str:
    last, seconds = rows[-1], sum(row.get("seconds") or 0.0 for row in rows)
    return last["ended"] or f"{last['score']:.3f} after {last['epoch']} epochs in {seconds:.1f} s"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
