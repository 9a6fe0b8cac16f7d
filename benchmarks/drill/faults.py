"""The faults: when each strikes, what it does to the scene, and what is right afterwards.

A fault strikes once a trial is in the middle of an epoch and has a checkpoint to go on from. What it needs beyond the
scene, such as the right to mount a disk, it says by raising `UnfitError`.
"""

import importlib.util
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.drill.clocks import jump_clock
from benchmarks.drill.disks import Disk, fill_disk, lock_disk, slow_disk
from benchmarks.drill.nodes import UnfitError
from benchmarks.drill.processes import freeze_busiest_thread
from benchmarks.drill.scene import Scene
from search.memory.history import History

AWAY_SECONDS: Final = 20.0
PATIENCE_SECONDS: Final = 600.0
STATE_FILE: Final = "state.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that happens to a search.

    Args:
        name: as the table shows it.
        strike: does it.
        is_due: says of the journal whether to strike now.
        space: what the search draws from, a function of `benchmarks.drill.space`.
        served: whether the MLflow server runs from the start.
        own_data: whether the fault spoils the data or the cache, so that it is given copies.
        options: of the launch, beside the drill's.
        said: what the project's driver must print.
        same_winner: whether the search must end as an undisturbed one.
        lost: trials that may be lost.
        stock: whether it can be struck at the stock combination too.
        submitted: whether the driver is a job of the cluster.
        disk: what the storage lies on.
        clocked: whether the driver's clock can be set.
        elsewhere: whether the driver runs on the machine of the first worker node, not on the head's.
        in_bucket: whether the storage must lie in a bucket.
    """

    name: str
    strike: Callable[[Scene], None]
    is_due: Callable[[History], bool] = lambda history: is_midway(history)
    space: str = "draw"
    served: bool = True
    own_data: bool = False
    options: tuple[str, ...] = ()
    said: str = ""
    same_winner: bool = True
    lost: int = 0
    stock: bool = True
    submitted: bool = False
    disk: Disk = ""
    clocked: bool = False
    elsewhere: bool = False
    in_bucket: bool = False

    @property
    def is_of_any_stage(self) -> bool:
        """Whether it needs nothing of the search itself, and can be struck at the stages after it."""
        needs = (self.own_data, self.submitted, self.disk, self.clocked, self.elsewhere, self.options)
        return self.served and self.space == "draw" and not any(needs)


def is_midway(history: History) -> bool:
    """Say whether a trial has a checkpoint, further epochs to go, and another has ended before it."""
    half = [trial for trial in history.unfinished if trial.running and trial.checkpoint_epoch == trial.last_epoch >= 1]
    return bool(half) and any(trial.outcome is not None for trial in history.in_order)


def kill_worker(scene: Scene) -> None:
    """Kill the process that trains."""
    # Between two trials there may be none for a moment.
    scene.wait_for(scene.has_worker, PATIENCE_SECONDS)
    pid, _ = scene.find_worker()
    os.kill(pid, signal.SIGKILL)


def stop_worker(scene: Scene) -> None:
    """Stop the process that trains, as a network file system or a GPU that no longer answers does."""
    pid, _ = scene.find_worker()
    os.kill(pid, signal.SIGSTOP)


def freeze_training(scene: Scene) -> None:
    """Stop the thread that trains, while all else of its process lives and answers."""
    pid, _ = scene.find_worker()
    try:
        freeze_busiest_thread(pid)
    except PermissionError as error:
        raise UnfitError("this machine lets no process stop threads of another") from error


def starve_node(scene: Scene) -> None:
    """Kill whatever trains on one node, again and again, as the kernel does where memory runs out."""
    node = scene.nodes[0]
    while scene.wait_for(lambda: bool(scene.list_workers(node)), PATIENCE_SECONDS):
        for pid in scene.list_workers(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def starve_worker(scene: Scene) -> None:
    """Let the process that trains have no more memory than it has."""
    pid, _ = scene.find_worker()
    with Path(f"/proc/{pid}/statm").open(encoding="ascii") as stream:
        pages = int(stream.read().split()[0])
    resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize(),) * 2)


def lose_node(scene: Scene, number: int = signal.SIGKILL) -> None:
    """Kill the node that trains."""
    scene.wait_for(scene.has_worker, PATIENCE_SECONDS)
    _, node = scene.find_worker()
    scene.lose_node(node, number)


def lose_and_gain_node(scene: Scene) -> None:
    """Kill the node that trains; another joins."""
    lose_node(scene)
    scene.add_node()


def lose_all_nodes(scene: Scene) -> None:
    """Kill every node that can hold a trial; another joins after a while."""
    for node in list(scene.nodes):
        scene.lose_node(node, signal.SIGKILL)
    scene.wait_for(lambda: False, AWAY_SECONDS)
    scene.add_node()


def lose_own_node(scene: Scene) -> None:
    """Kill the node that the driver is on; the driver itself is left to see it."""
    scene.lose_node(scene.nodes[0], signal.SIGKILL)


def preempt_node(scene: Scene) -> None:
    """Tell the node that trains to end."""
    lose_node(scene, signal.SIGTERM)


def kill_driver(scene: Scene) -> None:
    """Kill the driver."""
    scene.kill_driver()


def lose_node_and_job(scene: Scene) -> None:
    """Kill the node that trains, and once the search has gone on, the driver that runs as a job."""
    lose_node(scene)
    scene.wait_for(lambda: is_midway(scene.history()), PATIENCE_SECONDS)
    scene.kill_job()


def tell_driver(number: int) -> Callable[[Scene], None]:
    """Return what sends the driver a signal."""
    return lambda scene: scene.signal_driver(number)


def lose_head(scene: Scene) -> None:
    """Kill the head: what knows the cluster, and its raylet. The search goes on on another cluster."""
    processes = scene.cluster.head_node.all_processes
    for kind in ("gcs_server", "raylet"):
        os.kill(processes[kind][0].process.pid, signal.SIGKILL)
    # A driver whose cluster is gone may wait for long; job managers end it.
    if scene.driver is not None and not scene.wait_for(lambda: False, AWAY_SECONDS):
        scene.kill_driver() if scene.driver.poll() is None else None
    scene.new_cluster()


def stop_server(scene: Scene) -> None:
    """Kill the MLflow server; it comes back after a while."""
    scene.stop_server()
    time.sleep(AWAY_SECONDS)
    scene.start_server()


def freeze_server(scene: Scene) -> None:
    """Let the MLflow server take connections and answer none, for a while."""
    scene.signal_server(signal.SIGSTOP)
    time.sleep(AWAY_SECONDS)
    scene.signal_server(signal.SIGCONT)


def stop_store(scene: Scene) -> None:
    """Let the bucket's store refuse every connection for a while."""
    assert scene.store is not None
    scene.store.stop()
    time.sleep(AWAY_SECONDS)
    scene.store.start()


def stop_store_and_worker(scene: Scene) -> None:
    """Let the bucket's store refuse every connection, and kill the worker that would go on from what it has."""
    assert scene.store is not None
    scene.store.stop()
    kill_worker(scene)
    time.sleep(AWAY_SECONDS)
    scene.store.start()


def start_server_late(scene: Scene) -> None:
    """Start the server that was not there when the search was launched."""
    scene.start_server()


def tear_checkpoint(scene: Scene) -> None:
    """Cut the newest checkpoint short, and kill the worker that would go on from it."""
    if (stored := scene.folder.find_stored(scene.folder.ray)) is not None:
        _, torn = max((file.modified, file.path) for file in stored.list_files() if file.path.endswith(STATE_FILE))
        content = stored.read(torn) or b""
        stored.write(torn, content[: len(content) // 2])
    else:
        files = sorted(scene.journal.parent.rglob(STATE_FILE), key=lambda file: file.stat().st_mtime)
        if not files:
            raise UnfitError("this search keeps no checkpoints")
        os.truncate(files[-1], files[-1].stat().st_size // 2)
    kill_worker(scene)


def tear_cache(scene: Scene) -> None:
    """Cut the largest file of decoded images short, and kill the worker."""
    files = [file for file in scene.cache.rglob("*") if file.is_file()]
    largest = max(files, key=lambda file: file.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    kill_worker(scene)


def spoil_image(scene: Scene) -> None:
    """Cut an image of the data set short, and kill the worker."""
    image = min(scene.data.rglob("*.jpg"))
    os.truncate(image, image.stat().st_size // 2)
    kill_worker(scene)


def cut_journal(scene: Scene) -> None:
    """Kill the driver in the middle of a line of its journal."""
    scene.kill_driver()
    with scene.journal.open("r+b") as stream:
        stream.truncate(scene.journal.stat().st_size - 7)


def resume_twice(scene: Scene) -> None:
    """Kill the driver, and let two go on at once."""
    scene.kill_driver()
    drivers = []
    for _ in range(2):
        scene.start_driver(scene.again)
        drivers.append(scene.driver)
    ended = {scene.wait_for_driver(600, driver): driver for driver in drivers}
    scene.driver = ended.get(0, drivers[-1])


def do_nothing(scene: Scene) -> None:
    """Let the search run."""


def do_all(scene: Scene) -> None:
    """Strike one after the other: a node, a worker, the server, a checkpoint, then the driver."""
    lose_and_gain_node(scene)
    scene.wait_for(lambda: is_midway(scene.history()), PATIENCE_SECONDS)
    kill_worker(scene)
    scene.stop_server()
    scene.wait_for(lambda: is_midway(scene.history()), PATIENCE_SECONDS)
    tear_checkpoint(scene)
    scene.wait_for(lambda: is_midway(scene.history()), PATIENCE_SECONDS)
    scene.kill_driver()
    # It takes a while, in which a small search would get to its end.
    scene.start_server()


def can_submit() -> bool:
    """Say whether this environment can run jobs: Ray's extra `default`, which a user's machine does not need."""
    return importlib.util.find_spec("aiohttp_cors") is not None


UNDISTURBED: Final = Fault(name="none", strike=do_nothing, is_due=lambda history: True)

FAULTS: Final = (
    Fault(name="worker killed in mid-epoch", strike=kill_worker),
    Fault(name="node killed", strike=lose_node),
    Fault(name="node killed, another joins", strike=lose_and_gain_node),
    Fault(name="every node killed, one joins late", strike=lose_all_nodes),
    Fault(name="one node kills whatever trains on it", strike=starve_node),
    Fault(name="node preempted (SIGTERM)", strike=preempt_node),
    Fault(name="driver killed", strike=kill_driver),
    Fault(name="driver killed, two go on at once", strike=resume_twice, stock=False, said="in use by another process"),
    Fault(name="driver told to end (SIGTERM)", strike=tell_driver(signal.SIGTERM), said="go on with"),
    Fault(name="terminal closed (SIGHUP)", strike=tell_driver(signal.SIGHUP), said="go on with"),
    Fault(name="head lost, new cluster", strike=lose_head),
    Fault(name="MLflow away", strike=stop_server),
    Fault(name="MLflow takes calls, never answers", strike=freeze_server),
    Fault(name="MLflow not there at the launch", strike=start_server_late, is_due=lambda history: True, served=False,
          said="does not answer"),
    Fault(name="bucket away", strike=stop_store, stock=False, in_bucket=True),
    Fault(name="bucket away, worker killed", strike=stop_store_and_worker, stock=False, in_bucket=True),
    Fault(name="no memory left for the worker", strike=starve_worker, same_winner=False, lost=1),
    Fault(name="trial hangs", strike=stop_worker, options=("--hang-after", "15s")),
    Fault(name="training frozen, its process lives", strike=freeze_training, options=("--hang-after", "15s")),
    Fault(name="checkpoint torn", strike=tear_checkpoint),
    Fault(name="cache torn", strike=tear_cache, own_data=True),
    Fault(name="image unreadable in mid-search", strike=spoil_image, own_data=True),
    Fault(name="driver killed, journal's last line cut", strike=cut_journal, stock=False),
    Fault(name="half of the trainings diverge", strike=do_nothing, is_due=lambda history: True, space="draw_diverging",
          same_winner=False, lost=3),
    Fault(name="node, worker, MLflow, checkpoint, driver", strike=do_all),
    Fault(name="submitted job: node, then driver", strike=lose_node_and_job, stock=False, submitted=True),
    Fault(name="launched from a worker node, which is lost", strike=lose_own_node, stock=False, elsewhere=True),
    Fault(name="clock jumps an hour ahead, then back, driver killed", strike=jump_clock, clocked=True, stock=False,
          options=("--time-budget", "45m")),
    Fault(name="disk full", strike=fill_disk, said="make room", disk="memory"),
    Fault(name="disk read-only", strike=lock_disk, stock=False, disk="memory"),
    Fault(name="disk slow: nothing is written for 3 s of each 3.2", strike=slow_disk, disk="freezing"),
)  # fmt: skip
"""One at a time; all together is among them."""
