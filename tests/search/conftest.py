"""Small parts of a search: settings, journals written event by event, processes of the command line."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from search.folder import SearchFolder, folder_of
from search.insight.record import Record
from search.insight.stops import Stops
from search.memory.best import Confirmation, Winner
from search.memory.events import Asked, CheckpointSaved, Closed, Ended, Epoch, Opened, parse_event
from search.memory.history import History
from search.memory.journal import Journal, read_history
from search.memory.moment import now
from search.memory.outcome import Outcome
from search.place import Place, build_place, write_place
from search.settings import SearchSettings, build_settings, write_settings
from segcore.config import TrainConfig
from segcore.data.dividing.split import FoldSplit, write_folds
from tests.nursery import spare_rays
from tests.preloaded import Preloaded, run_preloaded

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture
def make_settings() -> Callable[..., SearchSettings]:
    """Return a function that builds settings with the given changes."""

    def make(**values: Any) -> SearchSettings:
        return build_settings({"name": "streets", "search_id": "1d", "objective": "iou", **values})

    return make


@pytest.fixture
def make_place(tmp_path: Path) -> Callable[..., Place]:
    """Return a function that builds a place with a storage of its own, with the given changes."""

    def make(**values: Any) -> Place:
        return build_place({"data": tmp_path / "data", "storage": tmp_path / "searches", **values})

    return make


class Script:
    """Writes a journal as a search does, one line per event.

    Args:
        journal: the journal.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._time = 0.0

    def write(self, kind: str, **content: Any) -> None:
        """Write an event as its line says it; `time` is that of writing unless it is given."""
        # No two events of a search are within a millisecond, in which MLflow counts.
        self._time = max(now(), self._time + 0.002)
        line = json.dumps({"event": kind, "time": self._time, **content})
        self.journal.write(parse_event(line.encode()))

    def ask(
        self,
        trial: int,
        *,
        fold: int = 0,
        params: dict[str, Any] | None = None,
        source: int | None = None,
        **values: Any,
    ) -> None:
        """Propose a trial; `values` change the default configuration."""
        whole = TrainConfig.from_values(values).values()
        self.write("asked", trial=trial, fold=fold, values=whole, params=params or {}, source=source)

    def epochs(self, trial: int, *ious: float, first: int = 1) -> None:
        """Report epochs with these scores; None is an epoch without a score."""
        for epoch, iou in enumerate(ious, start=first):
            metrics = {"train_loss": 1 / epoch} if iou is None else {"iou": iou, "train_loss": 1 / epoch}
            self.write("epoch", trial=trial, epoch=epoch, metrics=metrics)

    def end(self, trial: int, outcome: str = "finished", message: str = "") -> None:
        """End a trial."""
        self.write("ended", trial=trial, outcome=outcome, message=message)


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    """A journal in an own folder, open for writing."""
    journal = Journal(tmp_path / "stage" / "journal.jsonl", "iou")
    yield Script(journal)
    journal.close()


@pytest.fixture
def open_script() -> Callable[[Path], AbstractContextManager[Script]]:
    """Return a context manager that opens a journal for writing, and continues one that is there."""

    @contextmanager
    def opened(file: Path) -> Iterator[Script]:
        journal = Journal(file, "iou")
        yield Script(journal)
        journal.close()

    return opened


@pytest.fixture
def make_history(tmp_path: Path) -> Callable[..., History]:
    """Return a function that writes a journal as `write(script)` says, and reads it back from disk."""

    def make(write: Callable[[Script], None]) -> History:
        journal = Journal(tmp_path / "history" / "journal.jsonl", "iou")
        write(Script(journal))
        journal.close()
        return read_history(journal.file, "iou")

    return make


@pytest.fixture
def searched(make_settings, make_place, make_history, tmp_path) -> SearchFolder:
    """A search of three trials whose best two are to be confirmed on fold 1."""

    def write(script):
        for trial, iou in enumerate((0.5, 0.7, 0.6)):
            script.ask(trial, batch_size=trial + 1, epochs=1)
            metrics = {"iou": iou, "latency_ms": 10.0 * (trial + 1)}
            content = {"trial": trial, "epoch": 1, "metrics": metrics, "picture": None, "verdict": ""}
            script.journal.write(Epoch(**content))
            script.end(trial)

    settings = make_settings(trials=3, confirm=2, folds=2)
    folder, place = folder_of(settings, make_place()), make_place(max_concurrent=3)
    folder.root.mkdir(parents=True)
    make_history(write)
    (tmp_path / "history" / "journal.jsonl").rename(folder.search_stage.journal)
    write_settings(settings, folder.settings)
    write_place(place, folder.place)
    write_folds(FoldSplit(folds=2, fold_of={"a": 0, "b": 1}, block_of={"a": "x", "b": "y"}), folder.folds)
    return folder


def build_trials(*trials: dict) -> History:
    """Trials of params, epochs (iou by epoch, ten seconds each) and an outcome; each begins when the last one ended."""
    history, now = History("iou"), 1000.0
    history.apply(Opened(cache_key="key", time=now))
    for number, trial in enumerate(trials):
        params, drawable = trial.get("params", {}), trial.get("drawable", True)
        values = trial.get("values", TrainConfig.from_values({"epochs": 4}).values())
        history.apply(Asked(trial=number, fold=0, values=values, params=params, drawable=drawable, time=now))
        for epoch, iou in enumerate(trial["ious"], start=1):
            now += 10
            metrics = {} if iou is None else {"iou": iou}
            history.apply(Epoch(trial=number, epoch=epoch, metrics=metrics, time=now))
        if trial.get("outcome", "finished"):
            now += 1
            history.apply(Ended(trial=number, outcome=Outcome(trial.get("outcome", "finished")), time=now))
    return history


@pytest.fixture
def make_trials() -> Callable[..., History]:
    """Return a function that builds a search of the given trials, see `build_trials`."""
    return build_trials


@pytest.fixture
def make_record(tmp_path: Path) -> Callable[..., Record]:
    """Return a function that builds what is known of a search; what is left out is empty."""

    def make(history: History, **parts: Any) -> Record:
        root = tmp_path / "searches" / "streets"
        given = {"name": "streets", "search_id": "1d", "objective": "iou", "epochs": 4, "trials": 4, "folds": 3}
        place = {"data": "DATA", "storage": root.parent, **parts.pop("place", {})}
        known = {
            "settings": build_settings({**given, **parts.pop("settings", {})}),
            "place": build_place(place),
            "stops": Stops(),
            "confirmation": History("iou"),
            "retraining": History("iou"),
            "best": None,
        }
        return Record(folder=SearchFolder(root=root), history=history, **{**known, **parts})

    return make


@pytest.fixture
def make_best() -> Callable[..., Winner]:
    """Return a function that builds a winner."""

    def make(trial: int = 0, iou: float = 0.6, rivals: list[int] | None = None, **confirmation: Any) -> Winner:
        values = TrainConfig.from_values({"epochs": 4}).values()
        known = {
            "told": "confirmed on 2 further folds", "score": 0.5, "interval": (0.4, 0.6), "folds": [1, 2],
            "optimism": 0.1, "best_of": 2, "choice_bias": 0.01, "rivals": rivals, "contenders": [],
        }  # fmt: skip
        return Winner(
            search="streets",
            trial=trial,
            fold=0,
            epoch=4,
            metrics={"iou": iou},
            values=values,
            trials=4,
            confirmation=None if rivals is None else Confirmation(**{**known, **confirmation}),
        )

    return make


# Pixels of car and signal by truth (rows) and prediction (columns; the last: background).
_GOOD, _BAD = [[9, 1, 0], [0, 10, 0]], [[5, 5, 0], [10, 0, 0]]
_FOLDS = (
    [("a", "day", 0.9, _GOOD), ("b", "night", 0.3, _BAD)],
    [("c", "day", 0.7, _GOOD), ("d", "night", 0.1, _BAD), ("e", "", 0.5, _GOOD)],
)


@pytest.fixture
def retrained_record(
    make_record: Callable[..., Record], make_best: Callable[..., Winner], make_trials: Callable[..., History]
) -> Record:
    """A search that was retrained on two folds, with what each image scored."""
    retraining = History("iou")
    known = make_record(make_trials({"ious": [0.5]}), best=make_best(rivals=[]), retraining=retraining)
    root = known.folder.retrain_stage.root
    for fold, images in enumerate(_FOLDS):
        place = root / "ray" / str(fold)
        place.mkdir(parents=True)
        keys = ("name", "condition", "iou", "confusion")
        (place / "scores.json").write_text(json.dumps([dict(zip(keys, image, strict=True)) for image in images]))
        retraining.apply(Asked(trial=fold, fold=fold, values=known.best.values, params={}))
        retraining.apply(Epoch(trial=fold, epoch=1, metrics={"iou": 0.5}))
        retraining.apply(CheckpointSaved(trial=fold, epoch=1, path=f"ray/{fold}"))
        retraining.apply(Ended(trial=fold, outcome=Outcome.FINISHED))
    retraining.apply(Closed(metrics={"iou": 0.5, "iou/car": 0.5, "iou/signal": 0.5}, note=""))
    known.folder.model.mkdir()
    classes = {"classes": [{"name": "car", "rgb": [0, 0, 255]}, {"name": "signal", "rgb": [255, 255, 0]}]}
    (known.folder.model / "ensemble.json").write_text(json.dumps({"classes": {**classes, "scored": ["signal"]}}))
    names = "abcde"
    split = FoldSplit(
        folds=2, fold_of={name: int(name > "b") for name in names}, block_of=dict(zip(names, names, strict=True))
    )
    write_folds(split, known.folder.folds)
    return known


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A small Ray in this process, with GPUs that it only pretends to have."""
    # `search` says how Ray proves itself, which Ray reads when it is imported: so Ray comes second.
    import ray

    with pytest.MonkeyPatch.context() as patch:
        spare_rays(patch)
        ray.init(address="local", num_cpus=3, num_gpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def start_cli() -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts `python -m search` in a process group of its own."""

    def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
        path = os.pathsep.join(filter(None, [environment.pop("PYTHONPATH", ""), str(ROOT)]))
        return subprocess.Popen(
            [sys.executable, "-m", "search", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def start_preloaded() -> Callable[..., Preloaded]:
    """Return a function that starts `python -m search` without its imports, in a process group of its own.

    A local Ray that it starts has no processes that watch it, and its workers are forks, too.
    """

    def start(*arguments: object, **environment: str) -> Preloaded:
        path = environment.pop("PYTHONPATH", "")
        return Preloaded("search", *arguments, python_path=path, environment=environment)

    return start


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `python -m search` to its end."""

    def run(
        *arguments: object, timeout: float = 480, python_path: Path | str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return run_preloaded("search", *arguments, timeout=timeout, python_path=python_path, environment=environment)

    return run


@pytest.fixture(scope="session")
def find_free_port() -> Callable[[], int]:
    """Return a function that finds a port nothing listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Return a function that waits for a condition, and fails when it does not come in time."""

    def wait(condition: Callable[[], bool], what: str, seconds: float = 900) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds} s: {what}")
            time.sleep(0.05)

    return wait


@pytest.fixture(scope="session")
def mlflow_server(wait_until: Callable[..., None]) -> Callable[[Path, int], AbstractContextManager[None]]:
    """Return a context manager that runs a real MLflow server; its whole process group dies at the end."""

    @contextmanager
    def serve(folder: Path, port: int) -> Iterator[None]:
        command = [BIN / "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
        with (folder / "server.log").open("ab") as log:
            server = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), "the MLflow server answers")
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    return serve


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=20).close()
    except OSError:
        return False
    return True
