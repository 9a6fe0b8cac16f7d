"""How good the search is against others: `python -m benchmarks.quality --seeds 20 --workers 8`.

Real searchers and schedulers search recorded and made-up learning curves on simulated workers, see `quality`.

`--tasks design`, `choose` and `final` are the parts of `split`. `--search NAME` takes a search of the past from MLflow
as the task instead. What ASHA would have stopped in one under other settings is told by `python -m search replay`.

`python -m benchmarks.quality record --help` tells how a table of real trainings is made.
"""

import argparse
import itertools
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import optuna

from benchmarks.quality.arms import EpochsThenTop, Ours, Random, RandomOurAsha
from benchmarks.quality.paired import ABLATION, compare
from benchmarks.quality.peers import find_peers
from benchmarks.quality.recorded import read_searches
from benchmarks.quality.replay import Replay
from benchmarks.quality.report import STOCK, Score, describe, score_run
from benchmarks.quality.settled import load_settled
from benchmarks.quality.simulator import Arm, Run, Simulation
from benchmarks.quality.split import SPLIT
from benchmarks.quality.stock import OptunaAlone, StockPair
from benchmarks.quality.synthetic import load_synthetic
from benchmarks.quality.tables import load_tables
from benchmarks.quality.tasks import Task
from benchmarks.quality.trained import Trained
from benchmarks.quality.usual import make_usual
from benchmarks.quality.warm import make_warm_arm
from segcore.errors import ConfigError

_CURVES = Path(__file__).parents[3] / "shared" / "data" / "curves"
_WORKERS, _TRAININGS = 8, 30
_FIRST_ROUNDS = {"one-epoch-then-top": 1, "3-epochs-then-top": 3, "9-epochs-then-top": 9}

ArmMaker = Callable[[Task, int], Arm]


def main(words: Sequence[str]) -> None:
    """Play every arm on every task under every seed and print the tables."""
    arguments = _parse(words)
    if arguments.peers is not None:
        # Last, so that what both environments have is taken from this one.
        sys.path.append(str(arguments.peers))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    tasks = _load_tasks(arguments)
    if looked_at := {"choose", "final"} & set(arguments.tasks):
        seen = " and ".join(sorted(looked_at))
        print(f"A look at {seen}: count it in benchmarks/results/search.md.", file=sys.stderr)
    for workers, trainings in itertools.product(arguments.workers, arguments.trainings):
        print(f"{trainings} whole trainings, {workers} at a time, {arguments.seeds} seeds")
        scores = _play_all(tasks, arguments, workers, trainings)
        print(describe(scores), compare(scores, arguments.against), sep="\n\n", flush=True)


def _play_all(tasks: Sequence[Task], arguments: argparse.Namespace, workers: int, trainings: int) -> list[Score]:
    makers = _make_arms(trainings, arguments.refit_every) | {"ours+best": make_warm_arm(tasks, workers, trainings)}
    chosen = choose_arms(makers, arguments.arms)
    scores: list[Score] = []
    begun = time.monotonic()
    for task in tasks:
        for seed in range(arguments.seeds):
            start_seconds = arguments.start_epochs * task.whole_seconds / task.epochs
            scores += _play(task, seed, chosen, workers, trainings, start_seconds)
        print(f"{task.name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return scores


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--seeds", type=_count, default=20, help="searches per arm and task")
    parser.add_argument(
        "--workers",
        type=_count,
        nargs="+",
        help=f"simulated trainings at a time, one table for each; left out: {_WORKERS}, with --search 1",
    )
    parser.add_argument(
        "--trainings",
        type=_count,
        nargs="+",
        help="the budget: so many whole trainings of median length, one table for each; left out: "
        f"{_TRAININGS}, with --search as long as the recorded trainings took",
    )
    parser.add_argument("--start-epochs", type=float, default=0.0, help="a training's start takes as long as so many")
    parser.add_argument(
        "--tasks", nargs="*", default=[], help="parts of tasks' names, or: design, choose, final; left out: all"
    )
    parser.add_argument("--arms", nargs="*", default=[], help="arms; left out: all that are installed")
    parser.add_argument("--against", default=ABLATION, help="the arm that the others are compared with in pairs")
    parser.add_argument("--curves", type=Path, default=_CURVES, help="folder of recorded curves")
    parser.add_argument("--peers", type=Path, help="site-packages folder of an environment with requirements*.txt")
    parser.add_argument(
        "--refit-every", type=_count, default=1, help="results after which Syne Tune's slow models are fitted anew"
    )
    parser.add_argument("--table", type=Path, action="append", default=[], help="a further table; see quality.tables")
    parser.add_argument("--trained", type=Path, action="append", default=[], help="a table that 'record' wrote")
    _add_replay(parser)
    arguments = parser.parse_args(words)
    if not arguments.search:
        arguments.workers = arguments.workers or [_WORKERS]
        arguments.trainings = arguments.trainings or [_TRAININGS]
    return arguments


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: give at least 1")
    return number


def _add_replay(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("searches of the past")
    group.add_argument(
        "--search", action="append", default=[], metavar="NAME", help="play what MLflow has of this search; repeatable"
    )
    group.add_argument("--tracking-uri", default="", help="MLflow; left out: searches/mlflow.db")


def _load_replay(arguments: argparse.Namespace) -> Replay:
    task = Replay(read_searches(arguments.search, arguments.tracking_uri))
    arguments.workers = arguments.workers or [1]
    arguments.trainings = arguments.trainings or [max(1, round(task.spent_seconds / task.whole_seconds))]
    print(task.describe(), file=sys.stderr)
    return task


def _load_tasks(arguments: argparse.Namespace) -> Sequence[Task]:
    return [_load_replay(arguments)] if arguments.search else _select(_load(arguments), arguments.tasks)


def _load(arguments: argparse.Namespace) -> list[Task]:
    tasks: list[Task] = []
    if arguments.curves.is_dir():
        tasks += load_tables(arguments.curves)
    else:
        print(f"skipped: the recorded curves; there is no folder {arguments.curves}", file=sys.stderr)
    for path in arguments.table:
        tasks += load_tables(path)
    return tasks + [Trained(path) for path in arguments.trained] + load_synthetic() + load_settled()


def _select(tasks: list[Task], names: list[str]) -> list[Task]:
    def is_meant(task: Task, name: str) -> bool:
        return task.name in SPLIT[name] if name in SPLIT else name in task.name

    if unknown := [name for name in names if not any(is_meant(task, name) for task in tasks)]:
        there_are = ", ".join(task.name for task in tasks)
        raise ConfigError(f"--tasks {unknown[0]}: there is no such task; there are {there_are}.")
    return [task for task in tasks if any(is_meant(task, name) for name in names)] if names else tasks


def _make_arms(trainings: int, refit_every: int = 1) -> dict[str, ArmMaker]:
    def make_rounds(task: Task, seed: int, epochs: int) -> Arm:
        return EpochsThenTop(task, seed, epochs=epochs, round_seconds=trainings * task.whole_seconds / 2)

    return {
        "ours": Ours,
        "ours+usual": lambda task, seed: Ours(task, seed, first=[make_usual(task)]),
        **{f"ours, first rung x {times}": partial(Ours, first_rung_times=times) for times in (2, 4, 8)},
        "random": Random,
        "random+asha": partial(Random, stops=True),
        **{name: partial(make_rounds, epochs=epochs) for name, epochs in _FIRST_ROUNDS.items()},
        STOCK: StockPair,
        "optuna+halving": OptunaAlone,
        "random+our-asha": RandomOurAsha,
        "optuna-tpe+hyperband": partial(OptunaAlone, hyperband=True),
        "optuna-gp+halving": partial(OptunaAlone, gaussian=True),
        **find_peers(trainings, refit_every),
    }


def choose_arms(makers: Mapping[str, ArmMaker], names: Sequence[str]) -> dict[str, ArmMaker]:
    """Return the arms of these names, all without any.

    Raises:
        ConfigError: naming those that there are.
    """
    if unknown := [name for name in names if name not in makers]:
        there_are = ", ".join(sorted(makers))
        raise ConfigError(
            f"--arms {unknown[0]}: there is no such arm; there are {there_are}. "
            "--peers finds more, see benchmarks/requirements.txt and, for NePS, requirements-neps.txt."
        )
    return {name: makers[name] for name in names or makers}


def seed_arm(task: str, seed: int) -> int:
    """Return the seed of an arm on a task.

    Tasks of one family share their space, and often their configurations: under one seed plain random draws would try
    the same on all of them, and be lucky on all of them at once.

    Args:
        task: its name.
        seed: of the search, the same for all tasks.
    """
    return zlib.crc32(f"{task} {seed}".encode()) >> 1


def _play(
    task: Task, seed: int, makers: dict[str, ArmMaker], workers: int, trainings: int, start_seconds: float
) -> list[Score]:
    budget_seconds = trainings * task.whole_seconds / workers
    runs: dict[str, Run] = {}
    for name, make in makers.items():
        arm = make(task, seed_arm(task.name, seed))
        simulation = Simulation(
            task, arm, workers=workers, budget_seconds=budget_seconds, seed=seed, start_seconds=start_seconds
        )
        runs[name] = simulation.run()
    return [score_run(name, task, seed, run, runs.get(STOCK)) for name, run in runs.items()]
