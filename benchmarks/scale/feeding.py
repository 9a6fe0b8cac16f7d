"""How fast a journal gets into MLflow: points a second, into a database and through a server.

`python -m benchmarks.scale.feeding --trials 40 --epochs 25`

What a search wrote meanwhile waits in the journal; nothing waits for MLflow. Each epoch has as many numbers as twenty
classes give. A picture an epoch, which a search sends too, costs more than all of them: it is measured apart.
"""

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.measuring import describe_machine
from benchmarks.scale.reports import METRICS
from benchmarks.serving import find_free_port, start_server, wait_for_server
from search.folder import SearchFolder, StageFolder
from search.memory.events import Asked, Closed, Ended, Epoch, Opened, Started
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.place import build_place
from search.settings import SearchSettings, build_settings
from search.tracking.follower import Tracker
from search.tracking.store import open_client
from segcore.config import TrainConfig
from segcore.data.picture_files import encode_jpeg

_POLL_SECONDS: Final = 0.05
_PICTURE_SIDE: Final = 256


def main() -> None:
    """Write journals and feed them, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=25)
    arguments = parser.parse_args()
    print(describe_machine())
    for pictures in (False, True):
        for store in ("sqlite", "server"):
            with tempfile.TemporaryDirectory() as folder, _open_store(store, Path(folder)) as uri:
                settings, stage = write_journal(Path(folder), arguments.trials, arguments.epochs, pictures=pictures)
                seconds = feed(settings, stage, uri)
            points = arguments.trials * arguments.epochs * METRICS
            told = f"{points / seconds:6,.0f} points a second"
            if pictures:
                told += f", {arguments.trials * arguments.epochs / seconds:5.1f} pictures a second with them"
            print(f"{store:8} {points:,} points in {seconds:5.1f} s: {told}", flush=True)


def write_journal(root: Path, trials: int, epochs: int, *, pictures: bool) -> tuple[SearchSettings, StageFolder]:
    """Write the journal of a search whose trials took turns, four at a time.

    Args:
        root: storage.
        trials: in all.
        epochs: of each.
        pictures: whether each epoch has one.

    Returns:
        The search's settings and the files of its first stage.
    """
    settings = build_settings(
        {"name": "feeding", "space": "demo", "objective": "iou", "trials": trials, "epochs": epochs}
    )
    stage = SearchFolder(root=root / settings.name).search_stage
    stage.root.mkdir(parents=True)
    picture = stage.root / "picture.jpg"
    noise_HWC = np.random.default_rng(0).integers(0, 255, (_PICTURE_SIDE, _PICTURE_SIDE, 3), np.uint8)
    picture.write_bytes(encode_jpeg(noise_HWC))
    shown = stage.relative(picture) if pictures else None
    journal = Journal(stage.journal, settings.metric)
    journal.write(Opened(cache_key="key"))
    values = TrainConfig().values()
    for first in range(0, trials, 4):
        group = range(first, min(trials, first + 4))
        for number in group:
            journal.write(Asked(trial=number, fold=0, values=values, params={}))
            journal.write(Started(trial=number))
        for epoch in range(1, epochs + 1):
            for number in group:
                metrics = {"iou": epoch / 100, **{f"iou/{index}": 0.5 for index in range(METRICS - 1)}}
                journal.write(Epoch(trial=number, epoch=epoch, metrics=metrics, picture=shown))
        for number in group:
            journal.write(Ended(trial=number, outcome=Outcome.FINISHED))
    journal.write(Closed(metrics={}, note=""))
    journal.close()
    return settings, stage


def feed(settings: SearchSettings, stage: StageFolder, uri: str) -> float:
    """Follow a journal into a store until it has everything; return the seconds it took once there is a store."""
    open_client(uri)
    place = build_place({"data": stage.root, "storage": stage.root.parents[1], "tracking_uri": uri})
    begun = time.monotonic()
    tracker = Tracker(settings, place, "search", stage)
    while tracker.unsent_bytes:
        time.sleep(_POLL_SECONDS)
    seconds = time.monotonic() - begun
    tracker.close()
    return seconds


@contextmanager
def _open_store(store: str, folder: Path) -> Iterator[str]:
    if store == "sqlite":
        yield f"sqlite:///{folder / 'mlflow.db'}"
        return
    port = find_free_port()
    address = f"http://127.0.0.1:{port}"
    server = start_server(folder, port)
    try:
        wait_for_server(address)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    main()
