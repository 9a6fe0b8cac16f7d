"""How a search ends that is told to, and one whose disk is full: with a message, and ready to go on."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.folder import SearchFolder
from search.memory.journal import read_events, read_history
from search.place import read_place


@pytest.fixture(scope="module")
def arguments(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Of a launch whose trials train for a long time, one after the other."""
    root = tmp_path_factory.mktemp("endings")
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


def find_alive(session: int) -> set[int]:
    """Return the processes of a session, of which Ray's own are, as job managers find those of a job."""
    alive = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            alive |= {int(file.parent.name)} if fields[0] != "Z" and int(fields[3]) == session else set()
    return alive


def told_to_end(
    driver: subprocess.Popen, number: int, journal: Path, wait_until: Callable, *, all_processes: bool = False
) -> tuple[str, str, int]:
    """Send a signal once a checkpoint was written in this run, and return what was printed and how many events."""
    before = len(list(read_events(journal)))

    def has_trained() -> bool:
        assert driver.poll() is None, driver.communicate()
        return any(event.event == "checkpoint" for event in list(read_events(journal))[before:])

    wait_until(has_trained, "a checkpoint was written", seconds=600)
    told = find_alive(driver.pid) if all_processes else {driver.pid}
    assert len(told) > 5 or not all_processes, "Ray's processes get it too"
    for pid in told:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    out, err = driver.communicate(timeout=600)
    wait_until(lambda: not find_alive(driver.pid), "nothing of Ray is left")
    return out, err, before


def test_signals_of_job_managers_and_closed_terminals_end_a_search_as_ctrl_c_does(
    arguments, start_cli, wait_until, find_free_port
):
    root = arguments[-1].parent
    folder = SearchFolder(root=root / "searches" / "told")
    journal = folder.search_stage.journal
    commands = {signal.SIGTERM: arguments, signal.SIGHUP: ("resume", "told", "--storage", root / "searches")}
    for number, command in commands.items():
        driver = start_cli(*command, PYTHONPATH=str(root))
        out, err, before = told_to_end(driver, number, journal, wait_until, all_processes=number == signal.SIGTERM)
        assert driver.returncode == 3, err
        assert f"go on with '{folder.command('resume')}'" in err
        assert "Traceback" not in out + err
        new = list(read_events(journal))[before:]
        assert (new[0].event, new[-1].event) == ("opened", "halted")
        client = MlflowClient(read_place(folder.place).tracking_uri)
        (experiment,) = client.search_experiments(filter_string="name = 'told'")
        runs = client.search_runs([experiment.experiment_id])
        assert {run.info.status for run in runs} == {"KILLED"}
        assert len(runs) == 2
    (trial,) = read_history(journal, "iou").in_order
    epochs = [event.epoch for event in read_events(journal) if event.event == "epoch"]
    assert epochs == sorted(epochs), "the second run went on from the checkpoint of the first"
    assert trial.checkpoint_epoch >= 2


def test_a_search_stops_where_another_process_asks_it_to_and_keeps_what_it_was_told_to(
    arguments, start_cli, run_cli, wait_until
):
    """After the test above, whose search it goes on with."""
    root = arguments[-1].parent
    folder = SearchFolder(root=root / "searches" / "told")
    journal = folder.search_stage.journal
    before = len(list(read_events(journal)))
    driver = start_cli("resume", "told", "--storage", root / "searches", PYTHONPATH=str(root))

    def has_trained() -> bool:
        assert driver.poll() is None, driver.communicate()
        return any(event.event == "checkpoint" for event in list(read_events(journal))[before:])

    wait_until(has_trained, "a checkpoint was written", seconds=600)
    kept = run_cli("keep", "told", 0, "--why", "promising", "--storage", root / "searches")
    assert kept.stdout == "Trial 0 is spared from ASHA, and trains to its end.\n", kept.stderr
    stopped = run_cli("stop", "told", "--why", "lunch", "--storage", root / "searches")
    assert f"It has stopped; go on with '{folder.command('resume')}'." in stopped.stdout
    out, err = driver.communicate(timeout=600)
    assert driver.returncode == 3, err
    assert "Stopped, as asked for by" in err
    assert ": lunch; go on with" in err
    assert "1 of 2 trials  ·  0 running  ·  1 waiting" in out, "an interrupted search leaves a summary"
    assert "Traceback" not in out + err
    (trial,) = read_history(journal, "iou").in_order
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


@pytest.mark.slow
def test_a_full_disk_ends_a_search_with_one_message(arguments, small_disk, start_cli, wait_until):
    """Someone else fills it once the first trial has a worker."""
    root, storage = arguments[-1].parent, small_disk / "searches"
    command = [*arguments[:-4], "--storage", storage, "--cache", root / "cache"]
    driver = start_cli(*command, PYTHONPATH=str(root))
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
