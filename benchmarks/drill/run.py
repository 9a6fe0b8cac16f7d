"""One search through one fault: launch, strike, wait, go on as often as need be, and count what is left."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlflow import MlflowClient

from benchmarks.drill.account import (
    LOST,
    Account,
    count_points,
    count_repeated,
    count_unended,
    describe_confirmed,
    describe_model,
    describe_winner,
    list_left,
)
from benchmarks.drill.disks import own_disk
from benchmarks.drill.driver import CLOCK, NODE
from benchmarks.drill.faults import UNDISTURBED, Fault, can_submit
from benchmarks.drill.nodes import DrillError, UnfitError
from benchmarks.drill.processes import list_session
from benchmarks.drill.scene import METRIC, Scene, open_scene
from search.memory.history import History
from search.memory.journal import read_events
from segcore.errors import CheckpointError

ARMS: Final = ("ours", "stock")
LATER: Final = {"confirm": ("--top", "2"), "retrain": ("--members", "2")}
"""The stages after the search, with the options of their commands."""
_RESUMES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a drill's search is.

    Args:
        trials: configurations.
        epochs: of a trial.
        folds: of the data.
        seconds: most that one driver may take.
    """

    trials: int = 4
    epochs: int = 4
    folds: int = 2
    seconds: float = 400.0


LATER_SIZE: Final = Size(trials=3, folds=3, seconds=900)


def hold(fault: Fault, arm: str, size: Size, data: Path, root: Path) -> Account:
    """Run one search through one fault.

    Args:
        fault: what is done to it.
        arm: ours or stock.
        size: of the search.
        data: the data set.
        root: empty folder of this drill; the caches of its parent are shared.

    Raises:
        UnfitError: when the fault cannot be struck here.
        DrillError: when the search does not come to where it is to be struck.
    """
    data, cache = _spoilable(data, root) if fault.own_data else (data, root.parent / "cache")
    if fault.submitted and not can_submit():
        raise UnfitError("jobs need ray[default], which clusters install")
    opened = open_scene(root, data, cache, served=fault.served, takes_jobs=fault.submitted)
    with opened as scene, own_disk(scene, fault.disk):
        started = time.monotonic()
        codes = _run(scene, fault, arm, size)
        return take_account(scene, tuple(codes), time.monotonic() - started)


def hold_later(fault: Fault, size: Size, data: Path, root: Path, *, in_bucket: bool) -> Iterator[tuple[str, Account]]:
    """Run one search undisturbed, then its confirmation and its retraining through a fault each; yield both accounts.

    Args:
        fault: what is done to them.
        size: of the search.
        data: the data set.
        root: empty folder of this drill; the caches of its parent are shared.
        in_bucket: whether the storage lies in a bucket.

    Raises:
        UnfitError: when the fault cannot be struck here.
        DrillError: when a stage does not come to where it is to be struck.
    """
    opened = open_scene(root, data, root.parent / "cache", served=True, takes_jobs=False, in_bucket=in_bucket)
    with opened as scene:
        if (code := _run(scene, UNDISTURBED, "ours", size)[-1]) != 0:
            raise DrillError(f"the search itself ended with {code}; see {scene.outputs[-1]}")
        for stage in LATER:
            scene.stage, began, started = stage, len(scene.outputs), time.monotonic()
            codes = _run(scene, fault, "ours", size)
            yield stage, take_account(scene, tuple(codes), time.monotonic() - started, began)


def _run(scene: Scene, fault: Fault, arm: str, size: Size) -> list[int | None]:
    struck, codes = False, list[int | None]()
    environment = {CLOCK: str(scene.clock)} if fault.clocked else {}
    scene.set_clock(0)
    for number in range(1 + _RESUMES):
        command = _command(scene, fault, arm, size, again=number > 0)
        if fault.elsewhere:
            environment[NODE] = scene.nodes[0].node_id
        scene.start_driver([*scene.submit, *command] if fault.submitted else command, **environment)
        if not struck:
            is_due = scene.wait_for(lambda: scene.journal.exists() and fault.is_due(scene.history()), size.seconds)
            if not is_due and scene.driver is not None and scene.driver.poll() is None:
                raise DrillError(f"the search did not get there within {size.seconds:g} s; is the machine too busy?")
            scene.again = _command(scene, fault, arm, size, again=True)
            fault.strike(scene)
            struck = True
        codes.append(scene.wait_for_driver(size.seconds))
        if codes[-1] == 0:
            break
    return codes


def _command(scene: Scene, fault: Fault, arm: str, size: Size, *, again: bool) -> list[str]:
    where = ["--storage", scene.storage, "--address", scene.address, "--tracking-uri", scene.tracking_uri]
    sizes = [
        "--trials",
        str(size.trials),
        "--epochs",
        str(size.epochs),
        "--folds",
        str(size.folds),
        "--max-concurrent",
        "1",
    ]
    data = ["--data", str(scene.data), "--cache", str(scene.cache)]
    if arm == "stock":
        return [sys.executable, "-m", "benchmarks.drill.stock", *where, *data, *sizes, "--space", fault.space]
    search = [sys.executable, "-m", "benchmarks.drill.driver" if fault.elsewhere or fault.clocked else "search"]
    if scene.stage in LATER:
        return [*search, scene.stage, "drill", *where, *LATER[scene.stage]]
    if again and (scene.journal.parent / "settings.json").exists():
        return [*search, "resume", "drill", *where]
    begin = [*search, "launch", "--name", "drill", *where, *data, *sizes, *fault.options]
    space = f"benchmarks.drill.space:{fault.space}"
    return [*begin, "--space", space, "--grace-epochs", "1", "--reduction-factor", "2", "--confirm", "0"]


def take_account(scene: Scene, codes: tuple[int | None, ...], seconds: float, began: int = 0) -> Account:
    """Count what a stage of a search has come to.

    Args:
        scene: where it ran.
        codes: how its drivers ended.
        seconds: from the first one's start to the last one's end.
        began: how many drivers there were before the stage's first.
    """
    events = list(read_events(scene.journal)) if scene.journal.exists() else []
    try:
        history = scene.history()
    except (CheckpointError, OSError):
        events, history = [], scene.history()
    client = MlflowClient(scene.tracking_uri)
    points = count_points(client, "drill", history.in_order, METRIC, scene.stage)
    left = list_left(scene.temporary)
    if scene.driver is not None:
        left += tuple(f"process {pid}" for pid in list_session(scene.driver.pid))
    printed = "".join(file.read_text(encoding="utf-8", errors="replace") for file in scene.outputs[began:])
    return Account(
        exit_codes=codes,
        trials=len(history.trials),
        unended=count_unended(events),
        lost=sum(trial.outcome in LOST for trial in history.in_order),
        repeated_epochs=count_repeated(events),
        runs=points.runs,
        running=points.running,
        doubled_points=points.doubled,
        missing_points=points.missing,
        winner=_describe(scene, history, client),
        traceback="Traceback (most recent call last)" in printed,
        left=left,
        seconds=seconds,
    )


def _describe(scene: Scene, history: History, client: MlflowClient) -> str:
    if scene.stage == "search":
        return describe_winner(history)
    return describe_confirmed(scene.search) if scene.stage == "confirm" else describe_model(scene.search, client)


def find_faults(account: Account, fault: Fault, undisturbed: str | None, printed: str = "") -> Sequence[str]:
    """Say what of an account is not as it should be; nothing when all is well.

    Args:
        account: what was found.
        fault: what was struck.
        undisturbed: winner of a search that nothing happened to; None: not compared.
        printed: what the drivers said.
    """
    checks = {
        f"ended with {account.exit_codes[-1]}": account.exit_codes[-1] != 0,
        f"{account.unended} trials without an end": account.unended > 0,
        f"{account.lost} trials lost": account.lost > fault.lost,
        f"{account.repeated_epochs} epochs trained again": account.repeated_epochs > 1,
        f"{account.doubled_runs:+d} runs in MLflow": account.doubled_runs != 0,
        f"{account.running} runs RUNNING": account.running > 0,
        f"{account.doubled_points} points doubled": account.doubled_points > 0,
        f"{account.missing_points} points missing": account.missing_points > 0,
        f"another winner: {account.winner}": fault.same_winner and undisturbed not in (None, account.winner),
        "a traceback": account.traceback,
        f"left: {', '.join(account.left)}": bool(account.left),
        f"nothing said of {fault.said!r}": fault.said not in printed,
        "a log of Ray's among what is said": "(raylet)" in printed,
    }
    return [text for text, wrong in checks.items() if wrong]


def _spoilable(data: Path, root: Path) -> tuple[Path, Path]:
    copy = root.with_name(f"{root.name}-data")
    shutil.copytree(data, copy)
    return copy, root.with_name(f"{root.name}-cache")
