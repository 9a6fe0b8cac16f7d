"""Where a drill takes place: a real cluster of this machine, a real MLflow server, a small data set, the driver.

Every process has its temporary files in the scene's folder, so what is left there afterwards is seen.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ray.cluster_utils import Cluster

from benchmarks.drill.nodes import (
    ROOT,
    WORKER,
    DrillError,
    add_node,
    raylet_of,
    start_cluster,
    stop_cluster,
    submit_command,
)
from benchmarks.drill.processes import children_of, kill_session, list_processes
from benchmarks.drill.store import Store, open_store
from benchmarks.serving import find_free_port, start_server, wait_for_server
from search.folder import SearchFolder, StageFolder
from search.memory.history import History
from search.memory.journal import read_history
from search.storage import locate_storage

METRIC: Final = "iou"


@dataclass(slots=True, kw_only=True)
class Scene:
    """One cluster, one server, one search; what faults strike at.

    Args:
        root: everything that the drill writes.
        data: the data set.
        cache: decoded images, kept from drill to drill.
        search: the search's files on this machine.
        port: of the MLflow server.
        cluster: a head that holds no trial.
        nodes: its two workers.
        server: the MLflow server, or None.
        driver: the search's driver, once it runs.
        outputs: files of what each driver printed.
        submit: what makes a job of a command; nothing where the cluster takes none.
        again: what goes on with the search after its driver has ended.
        store: of the bucket that the storage is in, or None.
        stage: of the search, which is struck.
    """

    root: Path
    data: Path
    cache: Path
    search: SearchFolder
    port: int
    cluster: Cluster
    nodes: list[Any]
    server: "subprocess.Popen[bytes] | None" = None
    driver: "subprocess.Popen[bytes] | None" = None
    outputs: list[Path] = field(default_factory=list)
    submit: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    store: Store | None = None
    stage: str = "search"

    @property
    def folder(self) -> StageFolder:
        """The stage's files."""
        return self.search.stages[self.stage]

    @property
    def journal(self) -> Path:
        """The stage's memory."""
        return self.folder.journal

    @property
    def storage(self) -> str:
        """What --storage is to give."""
        return str(self.search.root.parent) if self.store is None else self.store.address

    @property
    def tracking_uri(self) -> str:
        """Address of the MLflow server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Address of the cluster."""
        return str(self.cluster.address)

    @property
    def temporary(self) -> Path:
        """Temporary files of every process."""
        return self.root / "tmp"

    @property
    def clock(self) -> Path:
        """File that says how many seconds the driver's clock is ahead, where a fault sets it."""
        return self.root / "clock"

    def set_clock(self, seconds: int) -> None:
        """Let the driver's clock be ahead by so many seconds."""
        temporary = self.clock.with_suffix(".new")
        temporary.write_text(str(seconds), encoding="ascii")
        temporary.replace(self.clock)

    def history(self) -> History:
        """Return what the journal holds now."""
        return read_history(self.journal, METRIC)

    def start_driver(self, command: Sequence[str], **environment: str) -> None:
        """Start a driver in a session of its own."""
        output = self.root / f"driver-{len(self.outputs)}.txt"
        self.outputs.append(output)
        with output.open("wb") as stream:
            self.driver = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**_environment(self.temporary), **environment},
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, is_due: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is so, or the driver has ended, or the time is up; say whether it is so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if is_due():
                return True
            if self.driver is not None and self.driver.poll() is not None:
                return is_due()
            time.sleep(0.05)
        return False

    def wait_for_driver(self, seconds: float, driver: "subprocess.Popen[bytes] | None" = None) -> int | None:
        """Return a driver's exit code, by default the last one's; None when it took too long and was killed."""
        driver = driver or self.driver
        assert driver is not None
        try:
            return driver.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_driver()
            return None

    def kill_driver(self) -> None:
        """Kill the driver as a machine that loses power does: it and what belongs to its session."""
        assert self.driver is not None
        with suppress(ProcessLookupError):
            os.kill(self.driver.pid, signal.SIGKILL)
        self.driver.wait()
        kill_session(self.driver.pid)

    def kill_job(self) -> None:
        """Kill the driver that a node runs as a job; what waits for the job ends by itself."""
        for pid, _, _, title in list_processes():
            if "-m search" in title and str(self.root) in title and "job submit" not in title:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def signal_driver(self, number: int) -> None:
        """Send the driver a signal."""
        assert self.driver is not None
        os.kill(self.driver.pid, number)

    def has_worker(self) -> bool:
        """Say whether a process trains now."""
        return any(self.list_workers(node) for node in self.nodes)

    def list_workers(self, node: Any) -> list[int]:
        """Return the processes that train on a node now."""
        return [pid for pid, title in children_of(raylet_of(node)) if _is_trial(title)]

    def find_worker(self) -> tuple[int, Any]:
        """Return the process that trains now and its node.

        Raises:
            DrillError: when none trains.
        """
        for node in self.nodes:
            for pid in self.list_workers(node):
                return pid, node
        raise DrillError("no worker trains now")

    def add_node(self) -> None:
        """Let another worker node join."""
        self.nodes.append(add_node(self.cluster, WORKER))

    def lose_node(self, node: Any, number: int) -> None:
        """Send a node's raylet a signal that ends it; its workers die with it."""
        self.nodes.remove(node)
        os.kill(raylet_of(node), number)

    def new_cluster(self) -> None:
        """Replace the cluster by another one."""
        stop_cluster(self.cluster)
        self.cluster, self.nodes = start_cluster(self.root)

    def start_server(self) -> None:
        """Start the MLflow server and wait until it answers.

        Raises:
            DrillError: when it does not.
        """
        self.server = start_server(self.root, self.port)
        try:
            wait_for_server(self.tracking_uri)
        except OSError as error:
            raise DrillError(f"the MLflow server does not answer; see {self.root / 'server.log'}") from error

    def signal_server(self, number: int) -> None:
        """Send the server and all its processes a signal."""
        if self.server is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.server.pid, number)

    def stop_server(self) -> None:
        """Kill the server."""
        if self.server is not None:
            self.signal_server(signal.SIGCONT)
            self.signal_server(signal.SIGKILL)
            self.server.wait()
            self.server = None


@contextmanager
def open_scene(
    root: Path, data: Path, cache: Path, *, served: bool, takes_jobs: bool, in_bucket: bool = False
) -> Iterator[Scene]:
    """Start a cluster and a server, and stop all of it at the end.

    Args:
        root: empty folder of this drill.
        data: the data set; a fault that spoils it is given a copy.
        cache: folder of decoded images.
        served: whether the server runs from the start.
        takes_jobs: whether the cluster's head does.
        in_bucket: whether the storage lies in a bucket.
    """
    (root / "tmp").mkdir(parents=True)
    # Ray's sockets have short names.
    before, own = dict(os.environ), {"TMPDIR": str(root / "tmp"), "RAY_TMPDIR": "/tmp", "XDG_STATE_HOME": str(root)}
    os.environ.update(own)
    closing = ExitStack()
    # Nodes know a store by what they were started with.
    store = closing.enter_context(open_store()) if in_bucket else None
    jobs_port = find_free_port() if takes_jobs else None
    # Ray's sockets need short names.
    homes = Path(tempfile.mkdtemp(prefix="street-", dir="/tmp"))
    cluster, nodes = start_cluster(homes, jobs_port)
    scene = Scene(
        root=root,
        data=data,
        cache=cache,
        search=SearchFolder(root=(locate_storage(store.address) if store else root / "searches") / "drill"),
        port=find_free_port(),
        cluster=cluster,
        nodes=nodes,
        submit=[] if jobs_port is None else submit_command(jobs_port),
        store=store,
    )
    try:
        if served:
            scene.start_server()
        yield scene
    finally:
        if scene.driver is not None and scene.driver.poll() is None:
            scene.kill_driver()
        scene.stop_server()
        stop_cluster(scene.cluster)
        closing.close()
        shutil.rmtree(homes, ignore_errors=True)
        for name in own:
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in own if name in before})


def _is_trial(title: str) -> bool:
    is_busy = title.startswith("ray::") and "IDLE" not in title
    return is_busy and any(name in title for name in ("ImplicitFunc", "run_trial", "train"))


def _environment(temporary: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": path, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
