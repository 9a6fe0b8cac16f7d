"""One search through faults: a real cluster with a fine node and one whose workers die at once; real worker processes.

Their trainings are counted epochs, for a worker that imports no torch starts in a second.
"""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
from ray import cloudpickle, tune
from ray._private.state import actors
from ray.cluster_utils import Cluster

from search.folder import StageFolder
from search.memory.events import Epoch, Halted, Opened, Restarted, Started
from search.memory.journal import Journal, read_events
from search.memory.outcome import Outcome
from search.place import build_place
from search.run import loop, tuning
from search.run.stage import Stage
from search.run.trial import STATE_FILE, TrialJob
from search.settings import build_settings
from segcore.data.dividing.split import FoldSplit

TRIALS, EPOCHS = 8, 3


@pytest.fixture(scope="module")
def nodes() -> Iterator[dict[str, str]]:
    """Names of a fine node with room for a trial, and of a bad one with room for three."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    ray.init(address=cluster.address, log_to_driver=False)
    added = {name: cluster.add_node(num_cpus=cpus).node_id for name, cpus in (("fine", 1), ("bad", 3))}
    yield added
    ray.shutdown()
    cluster.shutdown()


class Faults(threading.Thread):
    """Kills every worker on the bad node, and stops one on the fine node as soon as its trial has two checkpoints.

    Args:
        stage: whose trials suffer.
        nodes: see `nodes`.
    """

    def __init__(self, stage: Stage, nodes: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.stage, self.nodes = stage, nodes
        self.done = threading.Event()
        self.stopped: int | None = None

    def run(self) -> None:
        while not self.done.wait(0.1):
            for pid in find_workers(self.nodes["bad"]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            trained = [trial for trial in self.stage.journal.history.in_order if trial.running and trial.earlier]
            if self.stopped is None and trained:
                self.stop(trained[0].number)

    def stop(self, number: int) -> None:
        """Stop a trial's worker where it is."""
        for pid in find_workers(self.nodes["fine"]):
            os.kill(pid, signal.SIGSTOP)
        # What it had reported before reaches the driver.
        time.sleep(1)
        if self.stage.journal.history.trials[number].running:
            self.stopped = number


def find_workers(node: str) -> list[int]:
    found = [each for each in actors().values() if each["Address"]["NodeID"] == node and each["State"] == "ALIVE"]
    return [each["Pid"] for each in found]


def count_epochs(config: dict, job: object) -> None:
    """In place of a training: a checkpoint holds the number of finished epochs."""
    done = int((Path(config["checkpoints"][0]) / STATE_FILE).read_text()) if config["checkpoints"] else 0
    for epoch in range(done + 1, EPOCHS + 1):
        time.sleep(0.3)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / STATE_FILE).write_text(str(epoch))
            metrics = {"iou": 0.5, "seconds": 0.3}
            outcome = "finished" if epoch == EPOCHS else ""
            tune.report(
                {"epoch": epoch, "outcome": outcome, "message": "", "metrics": metrics},
                checkpoint=tune.Checkpoint.from_directory(folder),
            )


@pytest.fixture(scope="module")
def ordeal(nodes, tmp_path_factory) -> SimpleNamespace:
    """The search after its end: what its journal holds, and which trial's worker was stopped."""
    root = tmp_path_factory.mktemp("faults")
    settings = build_settings(
        {"name": "it", "search_id": "1d", "objective": "iou", "space": "demo", "trials": TRIALS, "epochs": EPOCHS,
         "grace_epochs": EPOCHS, "folds": 2}
    )  # fmt: skip
    place = build_place({"data": root, "storage": root, "hang_after_seconds": 4})
    job = TrialJob(
        data=root, extra=(), cache_root=root, cache_key="key", split=FoldSplit(folds=2, fold_of={}, block_of={}),
        cpus=1, gpus=0, metric="iou",
    )  # fmt: skip
    folder = StageFolder(root=root / "it")
    journal = Journal(folder.journal, "iou")
    stage = Stage(settings=settings, place=place, folder=folder, journal=journal, job=job)
    faults = Faults(stage, nodes)
    journal.write(Opened(cache_key="key"))
    faults.start()
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "run_trial", count_epochs)
        loop.run_search(stage, SimpleNamespace(usual_side=128))
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    faults.done.set()
    faults.join()
    journal.write(Halted())
    journal.close()
    return SimpleNamespace(
        history=journal.history, events=list(read_events(folder.journal)), stopped=faults.stopped, folder=folder
    )


def test_every_trial_ends_as_without_faults(ordeal):
    ends = [(trial.outcome, trial.last_epoch) for trial in ordeal.history.in_order]
    assert ends == TRIALS * [(Outcome.FINISHED, EPOCHS)]


def test_a_worker_that_stands_still_is_ended_and_its_trial_goes_on_from_its_checkpoint(ordeal):
    told = f"Trial {ordeal.stopped} said nothing for"
    assert any(warning.message.startswith(told) for warning in ordeal.history.warnings)
    epochs = [event.epoch for event in ordeal.events if isinstance(event, Epoch) and event.trial == ordeal.stopped]
    assert epochs == list(range(1, EPOCHS + 1)), "none was trained twice"
    assert ordeal.history.trials[ordeal.stopped].restarts > 0


def test_the_node_whose_workers_die_is_left_out(ordeal, nodes):
    started = [event.node for event in ordeal.events if isinstance(event, Started)]
    assert set(started) == set(nodes.values())
    failed = [event.trial for event in ordeal.events if isinstance(event, Restarted) and event.node == nodes["bad"]]
    assert len(set(failed)) == 3
    (told,) = [each.message for each in ordeal.history.warnings if each.message.startswith("Trial after trial")]
    assert nodes["bad"][:8] in told


def test_finished_trials_leave_one_checkpoint_on_the_disk_and_nothing_half_written(ordeal):
    best = ordeal.history.ranked[0].checkpoint
    assert [file.parent for file in ordeal.folder.ray.rglob(STATE_FILE)] == [ordeal.folder.resolve(best)]
