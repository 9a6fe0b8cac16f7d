"""How a search ends that is told to, and one whose disk is full: with a message, and ready to go on."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.folder import SearchFolder
from search.memory.journal import read_events, read_history
from search.place import read_place
from tests.preloaded import Preloaded


@pytest.fixture(scope="module")
def arguments(
    dataset_folder: Path, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[object, ...]:
    """Of a launch whose trials train for a long time, one after the other."""
    root = tmp_path_factory.mktemp("endings")
    (root / "searches").mkdir()
    shutil.copy(empty_database, root / "searches" / "mlflow.db")
    (root / "endless.py").write_text(
        "def endless(trial):\n"
        "    trial.suggest_float('learning_rate', 1e-4, 1e-2, log=True)\n"
        "    return {'backbone': 'tf_efficientnet_lite0', 'weights': 'none', 'decoder_channels': 16, 'crop_size': 32,\n"
        "            'input_mode': 'crop', 'crops_per_image': 1, 'batch_size': 4}\n"
    )
    return (
        *("launch", "--data", dataset_folder, "--name", "told", "--space", "endless:endless", "--trials", 2),
        *("--epochs", 500, "--grace-epochs", 500, "--folds", 2, "--confirm", 0, "--max-concurrent", 1),
        *("--storage", root / "searches", "--cache", root / "cache"),
    )


@pytest.fixture(scope="module")
def folder(arguments: tuple[object, ...]) -> SearchFolder:
    """Of the search that is launched, and goes on in the next test."""
    return SearchFolder(root=arguments[-1].parent / "searches" / "told")


def find_alive(session: int) -> set[int]:
    """Return the processes of a session, of which Ray's own are, as job managers find those of a job."""
    alive = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            alive |= {int(file.parent.name)} if fields[0] != "Z" and int(fields[3]) == session else set()
    return alive


def count_events(folder: SearchFolder) -> int:
    return len(list(read_events(folder.search_stage.journal)))


def has_saved(driver: subprocess.Popen[str] | Preloaded, folder: SearchFolder, before: int) -> bool:
    """Whether a checkpoint was written after so many events."""
    assert driver.poll() is None, driver.communicate()
    return any(event.event == "checkpoint" for event in list(read_events(folder.search_stage.journal))[before:])


def test_sigterm_of_a_job_manager_ends_a_search_as_ctrl_c_does(arguments, folder, start_cli, wait_until):
    driver = start_cli(*arguments, PYTHONPATH=str(arguments[-1].parent))
    wait_until(lambda: has_saved(driver, folder, 0), "a checkpoint was written", seconds=600)
    told = find_alive(driver.pid)
    assert len(told) > 5, "Ray's processes get it too"
    for pid in told:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    out, err = driver.communicate(timeout=600)
    wait_until(lambda: not find_alive(driver.pid), "nothing of Ray is left")
    assert driver.returncode == 3, err
    assert f"go on with '{folder.command('resume')}'" in err
    assert "Traceback" not in out + err
    events = list(read_events(folder.search_stage.journal))
    assert (events[0].event, events[-1].event) == ("opened", "halted")
    client = MlflowClient(read_place(folder.place).tracking_uri)
    (experiment,) = client.search_experiments(filter_string="name = 'told'")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"KILLED"}
    assert len(runs) == 2


def test_a_search_stops_where_another_process_asks_it_to_and_keeps_what_it_was_told_to(
    arguments, folder, start_preloaded, run_cli, wait_until
):
    """After the test above, whose search it goes on with."""
    storage = ("--storage", folder.root.parent)
    before = count_events(folder)
    driver = start_preloaded("resume", "told", *storage, PYTHONPATH=str(arguments[-1].parent))
    wait_until(lambda: has_saved(driver, folder, before), "a checkpoint was written", seconds=600)
    kept = run_cli("keep", "told", 0, "--why", "promising", *storage)
    assert kept.stdout == "Trial 0 is spared from ASHA, and trains to its end.\n", kept.stderr
    stopped = run_cli("stop", "told", "--why", "lunch", *storage)
    assert f"It has stopped; go on with '{folder.command('resume')}'." in stopped.stdout
    out, err = driver.communicate(timeout=600)
    assert driver.returncode == 3, err
    assert "Stopped, as asked for by" in err
    assert ": lunch; go on with" in err
    wait_until(lambda: not find_alive(driver.pid), "nothing of Ray is left")
    assert "1 of 2 trials  ·  0 running  ·  1 waiting" in out, "an interrupted search leaves a summary"
    assert "Traceback" not in out + err
    events = list(read_events(folder.search_stage.journal))
    assert (events[before].event, events[-1].event) == ("opened", "halted")
    epochs = [event.epoch for event in events if event.event == "epoch"]
    assert epochs == sorted(epochs), "the second run went on from the checkpoint of the first"
    (trial,) = read_history(folder.search_stage.journal, "iou").trials.values()
    assert trial.checkpoint_epoch >= 2
    assert (trial.kept, trial.outcome) == (True, None)
    assert trial.can_go_on, "the epoch that ran was finished, and its checkpoint written"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 MB."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root alone")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_ends_a_search_with_one_message(arguments, small_disk, start_preloaded, wait_until):
    """Someone else fills it once the first trial has a worker."""
    root, storage = arguments[-1].parent, small_disk / "searches"
    command = [*arguments[:-4], "--storage", storage, "--cache", root / "cache"]
    driver = start_preloaded(*command, PYTHONPATH=str(root))
    journal = SearchFolder(root=storage / "told").search_stage.journal

    def has_begun() -> bool:
        assert driver.poll() is None, driver.communicate()
        return any(event.event == "started" for event in read_events(journal))

    wait_until(has_begun, "a trial has begun", seconds=600)
    with (small_disk / "ballast").open("wb") as ballast, suppress(OSError):
        while ballast.write(bytes(1 << 20)):
            ballast.flush()
    out, err = driver.communicate(timeout=600)
    assert driver.returncode == 2, err
    assert "Traceback" not in out + err
    assert "make room" in err
    assert f"'{SearchFolder(root=storage / 'told').command('resume')}'" in err
    assert len(err.splitlines()) <= 3, err
