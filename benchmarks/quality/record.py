"""Records curves of real trainings: `python -m benchmarks.quality record --data DIR --out FILE.parquet`.

Draws configurations from a space at random, trains each to its end on some folds under some seeds, and keeps score,
seconds and memory of every epoch in one table, without an image of the data. A second start trains only what is
missing. `trained` makes a task of the table. Trainings are small by few epochs and by what is set for all of them, such
as `--set input_mode=resize --set scale=0.25`.
"""

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow
import pyarrow.parquet

from search.run.loop import space_facts
from search.settings import SearchSettings
from search.space.draw import Draw, draw, draw_config, load_space
from segcore.config import TrainConfig, parse_assignments
from segcore.data.caching.build import prepare_cache
from segcore.data.caching.cache import PixelCache
from segcore.data.dataset import read_dataset
from segcore.data.dividing.folds import make_folds
from segcore.data.labels import build_label_map
from segcore.errors import ConfigError, DeviceMemoryError, NonFiniteLossError
from segcore.machine import Machine, detect_machine
from segcore.scoring.objective import FIRST_METRIC
from segcore.training.state import new_state
from segcore.training.train import EpochResult, train_epochs

DIVERGED: Final = "diverged"
OUT_OF_MEMORY: Final = "out of memory"
_DRAWS: Final = 100
_COLUMNS: Final[Mapping[str, pyarrow.DataType]] = {
    "configuration": pyarrow.int32(),
    "fold": pyarrow.int8(),
    "seed": pyarrow.int8(),
    "params": pyarrow.string(),
    "epoch": pyarrow.int16(),
    "score": pyarrow.float32(),
    "seconds": pyarrow.float32(),
    "memory_gib": pyarrow.float32(),
    "ended": pyarrow.string(),
}
"""`params` is what the space drew, as JSON; `ended` says in a further row what ended a training early."""

Row = dict[str, Any]


def main(words: Sequence[str]) -> None:
    """Train what is missing of a table."""
    arguments = _parse(words)
    dataset = read_dataset(arguments.data)
    cache = PixelCache(prepare_cache(dataset, arguments.cache.expanduser()))
    head, rows = _open_table(arguments, cache)
    known = {(row["configuration"], row["fold"], row["seed"]) for row in rows}
    folds, machine = make_folds(dataset.cases, arguments.folds), detect_machine(arguments.cpus)
    planned = itertools.product(range(arguments.configurations), range(arguments.seeds), arguments.fold)
    for configuration, seed, fold in planned:
        if (configuration, fold, seed) in known:
            continue
        found = draw_configuration(head, configuration)
        config = TrainConfig.from_values({**found.values, "seed": seed})
        trained = list(train_rows(config, cache, folds.split(cache.names, fold), machine))
        marks = {"configuration": configuration, "fold": fold, "seed": seed, "params": json.dumps(found.params)}
        rows += [{**marks, **row} for row in trained]
        write_table(arguments.out, head, rows)
        print(f"configuration {configuration}, fold {fold}, seed {seed}: {trained[-1]}", file=sys.stderr)


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


def train_rows(
    config: TrainConfig, cache: PixelCache, split: tuple[list[int], list[int]], machine: Machine
) -> Iterator[Row]:
    """Train a configuration to its end and yield a row for each epoch, and one more for what ended it early.

    Args:
        config: what is trained.
        cache: the decoded data.
        split: cases to train on and cases to validate on.
        machine: where to train.
    """
    epoch = 0
    try:
        state = new_state(config, build_label_map(cache.classes, config.labels).outputs, machine)
        for result in train_epochs(state, cache, *split, machine):
            epoch = result.epoch
            yield _describe(result)
    except (DeviceMemoryError, NonFiniteLossError) as error:
        ended = OUT_OF_MEMORY if isinstance(error, DeviceMemoryError) else DIVERGED
        yield {"epoch": epoch + 1, "score": None, "seconds": None, "memory_gib": None, "ended": ended}


def write_table(file: Path, head: Row, rows: Sequence[Row]) -> None:
    """Write a table, whole or not at all."""
    schema = pyarrow.schema(_COLUMNS, metadata={"head": json.dumps(head)})
    table = pyarrow.Table.from_pylist(list(rows), schema=schema)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    pyarrow.parquet.write_table(table, temporary, compression="zstd")
    temporary.replace(file)


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
    parser.add_argument("--cpus", type=int, default=2, help="processor cores")
    return parser.parse_args(words)


def _open_table(arguments: argparse.Namespace, cache: PixelCache) -> tuple[Row, list[Row]]:
    """Return head and rows of the table so far, in a folder that is there; one of other trainings is refused."""
    head = {"space": arguments.space, "epochs": arguments.epochs, "folds": arguments.folds}
    head |= {"fixed": parse_assignments(tuple(arguments.set)), "facts": space_facts(cache)}
    # What cannot be written is known before hours of training.
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    if not arguments.out.exists():
        return head, []
    known, rows = read_table(arguments.out)
    if known != head:
        raise ConfigError(f"{arguments.out} holds trainings of {known}, not of {head}; give another --out.")
    return head, rows


def _describe(result: EpochResult) -> Row:
    return {
        "epoch": result.epoch,
        "score": result.metrics[FIRST_METRIC],
        "seconds": result.train_seconds + result.validation_seconds,
        "memory_gib": result.peak_memory_gib,
        "ended": "",
    }
