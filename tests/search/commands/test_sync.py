"""`python -m search sync` as a process of its own, over journals that are written here."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.folder import SearchFolder
from search.memory.events import Closed, Opened
from search.memory.journal import Journal
from search.place import build_place, write_place
from search.settings import build_settings, write_settings
from tests.search.conftest import Script


@pytest.fixture
def place(tmp_path: Path) -> SearchFolder:
    """A search with one finished trial, and no MLflow yet."""
    storage = tmp_path / "my searches"
    folder = SearchFolder(root=storage / "streets")
    folder.root.mkdir(parents=True)
    write_settings(build_settings({"name": "streets"}), folder.settings)
    write_place(build_place({"data": tmp_path, "storage": storage}), folder.place)
    journal = Journal(folder.search_stage.journal, "iou")
    script = Script(journal)
    journal.write(Opened(cache_key="key"))
    script.ask(0)
    script.epochs(0, 0.5, 0.6)
    script.end(0)
    journal.write(Closed(metrics={"iou": 0.6}, note="done"))
    script.write("halted")
    journal.close()
    return folder


@pytest.fixture
def database(place: SearchFolder, empty_database: Path) -> None:
    """MLflow is there, and knows nothing of the search."""
    shutil.copy(empty_database, place.root.parent / "mlflow.db")


def runs_of(storage: Path) -> dict[str, tuple[str, float]]:
    """Status and last iou of every run by its number."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("streets")
    runs = client.search_runs([experiment.experiment_id])
    return {run.data.tags["search.trial"]: (run.info.status, run.data.metrics["iou"]) for run in runs}


@pytest.mark.usefixtures("database")
def test_lost_database_is_filled_again_from_the_journal(place, run_cli):
    storage = place.root.parent
    whole = {"-1": ("FINISHED", 0.6), "0": ("FINISHED", 0.6)}
    done = run_cli("sync", "streets", "--storage", storage)
    assert (done.returncode, done.stdout) == (0, "MLflow has all that is known of 'streets'.\n")
    assert runs_of(storage) == whole
    shutil.move(storage / "mlflow.db", storage / "lost.db")
    done = run_cli("sync", "streets", "--storage", storage)
    assert (done.returncode, done.stderr) == (0, "")
    # The engine of this process still holds the former file.
    shutil.move(storage / "mlflow.db", storage.parent / "mlflow.db")
    assert runs_of(storage.parent) == whole


@pytest.mark.usefixtures("database")
def test_torn_last_line_is_not_waited_for(place, run_cli):
    with place.search_stage.journal.open("a") as stream:
        stream.write('{"event": "epo')
    done = run_cli("sync", "streets", "--storage", place.root.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(runs_of(place.root.parent)) == {"-1", "0"}


def test_damaged_journal_is_named_with_what_to_do_and_nothing_is_sent(place, run_cli):
    with place.search_stage.journal.open("a") as stream:
        stream.write("null\n")
    done = run_cli("sync", "streets", "--storage", place.root.parent)
    assert done.returncode == 2
    assert "is damaged" in done.stderr and "head -n " in done.stderr and "when it answers" not in done.stderr
    assert not (place.root.parent / "mlflow.db").exists()


def test_server_that_is_away_is_an_error_with_what_to_do(place, run_cli, find_free_port, tmp_path):
    uri = f"http://user:PW@127.0.0.1:{find_free_port()}"
    done = run_cli("sync", "streets", "--tracking-uri", uri, "--storage", place.root.parent)
    assert done.returncode == 2
    assert "does not answer" in done.stderr
    assert f"Nothing is lost: run '{place.command('sync')}' when it answers." in done.stderr
    assert "Traceback" not in done.stderr
    assert "PW" not in done.stderr


@pytest.mark.usefixtures("database")
def test_deleted_experiment_is_no_server_that_does_not_answer(place, run_cli):
    storage = place.root.parent
    run_cli("sync", "streets", "--storage", storage)
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("streets").experiment_id
    client.delete_experiment(experiment)
    done = run_cli("sync", "streets", "--storage", storage)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert f"experiments restore --experiment-id {experiment}'; or remove it for good" in told
    assert told.endswith(f"--storage '{storage}'' once that is mended.")
    client.restore_experiment(experiment)
    assert run_cli("sync", "streets", "--storage", storage).returncode == 0
