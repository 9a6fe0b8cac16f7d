import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_ENABLE_ASYNC_LOGGING
from mlflow.exceptions import MlflowException

from search.memory.journal import read_events
from search.tracking.runs import StageRuns
from search.tracking.store import calm_mlflow, open_client, told, trials_link
from segcore.errors import TrackingError

ROOT = Path(__file__).parents[3]
LAUNCH = """
import sys, time, pathlib
import mlflow
from search.tracking.store import open_client
folder = pathlib.Path(sys.argv[1])
(folder / f"ready{sys.argv[2]}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
client = open_client(f"sqlite:///{folder / 'new' / 'mlflow.db'}")
client.create_experiment(f"search{sys.argv[2]}")
"""


def test_two_processes_that_begin_one_database_at_once_both_can_use_it(tmp_path, wait_until):
    both = [
        subprocess.Popen([sys.executable, "-c", LAUNCH, tmp_path, str(n)], stderr=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    wait_until(lambda: all((tmp_path / f"ready{n}").exists() for n in range(2)), "both processes are ready")
    (tmp_path / "go").touch()
    for process in both:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    known = {each.name for each in MlflowClient(f"sqlite:///{tmp_path}/new/mlflow.db").search_experiments()}
    assert known == {"Default", "search0", "search1"}


def test_database_that_a_killed_process_had_begun_is_made_anew(tmp_path):
    (tmp_path / ".mlflow.db.new").write_bytes(b"half a database")
    client = open_client(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert [each.name for each in client.search_experiments()] == ["Default"]


def test_link_leads_to_the_trials_of_this_search(settings, place, script, stage, find_runs, write_search):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    (parent,), _ = find_runs(place)
    link = trials_link(settings, place, "http://localhost:5000/")
    assert link.startswith(f"http://localhost:5000/#/experiments/{parent.info.experiment_id}/runs?")
    assert "workflowType=machine_learning" in link
    assert parent.info.run_id in link


def test_link_of_a_search_that_mlflow_does_not_know_is_the_server(settings, place):
    assert trials_link(settings, place, "http://localhost:5000") == "http://localhost:5000"


def test_link_of_a_lost_database_says_how_it_is_filled_again(settings, make_place):
    with pytest.raises(TrackingError, match=r"mlflow\.db is missing; .*sync streets .*' fills a new one"):
        trials_link(settings, make_place(), "http://localhost:5000")


def test_of_a_database_error_is_told_what_the_database_said():
    said = "(sqlite3.OperationalError) database is locked"
    error = RuntimeError(f"(raised as a result of Query-invoked autoflush; consider ...)\n{said}\n[SQL: INSERT ...]")
    assert told(error) == said


@pytest.mark.parametrize(
    ("objective", "order"),
    [("miou,latency_ms", "metrics.%60miou%60"), ("iou/car", "metrics.%60class%2Fcar%60")],
)
def test_link_orders_the_trials_by_the_metric_that_decides(
    make_settings, place, script, stage, write_search, objective, order
):
    settings = make_settings(objective=objective)
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    assert f"&orderByKey={order}&orderByAsc=false" in trials_link(settings, place, "http://localhost:5000")


def test_mlflow_tells_its_makers_nothing():
    program = (
        "import search.tracking.store; from mlflow.telemetry import get_telemetry_client as client; print(client())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_DISABLE_TELEMETRY"}
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.strip() == "None"


def test_what_is_sent_is_waited_for_whatever_the_environment_wants(monkeypatch):
    """Sent in the background, what a server that is away does not take is lost, and taken for sent."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    calm_mlflow()
    assert not MLFLOW_ENABLE_ASYNC_LOGGING.get()


def test_request_that_a_proxy_finds_too_large_is_told_with_what_to_do():
    refused = requests.Response()
    refused.status_code = 413
    said = "a proxy before it takes no request so large (413); let it do so, nginx by 'client_max_body_size 0;'"
    assert told(requests.HTTPError("413 Client Error", response=refused)) == said
    assert told(MlflowException("API request to endpoint /log-batch failed with error code 413 != 200.")) == said


def test_of_a_page_that_a_proxy_answers_with_nothing_is_told():
    error = MlflowException(
        "API request to endpoint /x failed with error code 502 != 200. Response body: '<html>\n<head>"
    )
    assert told(error) == "API request to endpoint /x failed with error code 502 != 200"
