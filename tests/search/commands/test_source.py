"""Searches that are read from a folder or from MLflow, by the commands that show them."""

import json
import re
import shutil

import pytest
from typer.testing import CliRunner

from search.__main__ import app
from search.memory.journal import read_events
from search.opening import read_search
from search.place import build_place
from search.tracking.record_file import send_record
from search.tracking.runs import StageRuns
from tests.search.report.simulated import simulate_search


@pytest.fixture(scope="module")
def address(tmp_path_factory, empty_database) -> str:
    """An MLflow that has a search, whose storage is gone."""
    storage = tmp_path_factory.mktemp("far") / "searches"
    folder = simulate_search(storage, trials=6, workers=2, finish=False, name="far")
    place = build_place({"data": storage, "storage": storage})
    shutil.copy(empty_database, storage / "mlflow.db")
    settings, _ = read_search(folder)
    StageRuns(settings, place, "search", folder.search_stage).write(list(read_events(folder.search_stage.journal)))
    send_record(place, folder, "")
    shutil.rmtree(folder.root)
    return place.tracking_uri


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    return run


def test_a_report_is_written_from_mlflow_alone(address, run, tmp_path):
    told = run("report", "far", "--tracking-uri", address)
    assert re.search(r"From sqlite:.*, as the search was on 2\d{3}-.* UTC; its storage: .*/searches\n", told)
    page = (tmp_path / "far-report.html").read_text()
    assert "<h1>Search far</h1>" in page
    assert page.count("data:image/jpeg;base64,") == 3


def test_status_is_shown_watched_and_printed_for_programs_from_mlflow_alone(address, run):
    for options in ((), ("--watch",)):
        told = run("status", "far", "--tracking-uri", address, *options)
        assert "6 of 6 trials" in told
        assert "From sqlite:" in told
    document = json.loads(run("status", "far", "--tracking-uri", address, "--json"))
    assert (document["name"], document["state"], len(document["trials"])) == ("far", "finished", 6)


def test_a_search_is_compared_with_one_of_another_storage_and_one_in_mlflow(address, run, tmp_path):
    for number, name in enumerate(("near", "other")):
        simulate_search(tmp_path / f"storage {name}", trials=6, workers=2, finish=False, name=name, seed=number)
    here, there = tmp_path / "storage near", tmp_path / "storage other"
    run("compare", "near", f"other@{there}", "--storage", here)
    assert "<h1>Searches near and other</h1>" in (here / "near" / "compare-other.html").read_text()
    told = run("compare", f"far@{address}", "near", "--storage", here)
    assert "page:       far-compare-near.html" in told
    assert "<h1>Searches far and near</h1>" in (tmp_path / "far-compare-near.html").read_text()
