"""`list`: on searches that are written event by event, none of which was ever run."""

import json

import pytest
from typer.testing import CliRunner

from search.__main__ import app
from search.commands.documents import ListDocument, SearchLine
from search.commands.listing import searches_table
from search.commands.reading import look_at
from search.commands.tables import WIDE
from search.finding import lock_idle_stage, lock_stage
from search.folder import SearchFolder
from search.memory.events import Asked, Closed, Ended, Epoch, Halted, Opened
from search.memory.journal import Journal
from search.memory.outcome import Outcome
from search.place import write_place
from search.settings import write_settings
from segcore.config import TrainConfig


@pytest.fixture
def write_search(make_settings, make_place):
    """Return a function that leaves a search of two trials of one epoch, of 90 s and 270 s on a quarter of a GPU."""

    def write(name: str, *, trials: int = 2, retrained: float | None = None) -> SearchFolder:
        settings, place = make_settings(name=name, trials=2, epochs=1, confirm=0), make_place(gpus_per_trial=0.25)
        folder = SearchFolder(root=place.storage / name)
        folder.root.mkdir(parents=True)
        write_settings(settings, folder.settings)
        write_place(place, folder.place)
        journal = Journal(folder.search_stage.journal, "iou")
        journal.write(Opened(cache_key="key", time=1000.0))
        for trial in range(trials):
            values = TrainConfig.from_values({}).values()
            journal.write(Asked(trial=trial, fold=0, values=values, params={}, time=1000.0))
            metrics = {"iou": 0.5 + trial / 10, "seconds": 90.0 + 180 * trial}
            journal.write(Epoch(trial=trial, epoch=1, metrics=metrics, time=1300.0))
            journal.write(Ended(trial=trial, outcome=Outcome.FINISHED, time=1300.0))
        journal.write(Halted(time=1300.0))
        journal.close()
        if retrained is not None:
            journal = Journal(folder.retrain_stage.journal, "iou")
            journal.write(Opened(cache_key="key", time=2000.0))
            winner = look_at(folder).record.best
            journal.write(Asked(trial=0, fold=0, values=winner.values, params={}, time=2000.0))
            journal.write(Closed(metrics={"iou": retrained}, note="", time=2010.0))
            journal.close()
        return folder

    return write


def run_list(storage, *options: str, columns: str = "120") -> str:
    done = CliRunner().invoke(app, ["list", "--storage", str(storage), *options], env={"COLUMNS": columns})
    assert done.exit_code == 0, done.output
    return done.output


def test_searches_are_listed_with_how_far_they_are(write_search, tmp_path):
    write_search("begun", trials=1)
    write_search("done")
    write_search("used", retrained=0.55)
    document = json.loads(run_list(tmp_path / "searches", "--json"))
    assert document["storage"] == str(tmp_path / "searches")
    lines = {line["name"]: line for line in document["searches"]}
    assert [(name, line["state"], line["trials"]) for name, line in lines.items()] == [
        ("begun", "interrupted", 1),
        ("done", "finished", 2),
        ("used", "retrained", 2),
    ]
    assert [lines["begun"]["best"], lines["done"]["best"]] == [0.5, 0.6]
    assert [lines["done"]["out_of_fold"], lines["used"]["out_of_fold"]] == [None, 0.55]
    # 90 + 270 = 360 s of a quarter of a GPU.
    assert lines["done"]["device_hours"] == pytest.approx(360 * 0.25 / 3600)
    assert [lines["done"]["last_heard"], lines["used"]["last_heard"]] == [1300.0, 2010.0]


def test_a_search_that_a_process_runs_is_listed_as_running(write_search, tmp_path):
    folder = write_search("begun", trials=1)
    with lock_stage(folder.search_stage):
        (line,) = json.loads(run_list(tmp_path / "searches", "--json"))["searches"]
    assert line["state"] == "running"


def test_a_search_that_is_sent_to_mlflow_is_not_listed_as_running(write_search, tmp_path):
    folder = write_search("done")
    with lock_idle_stage(folder.search_stage):
        (line,) = json.loads(run_list(tmp_path / "searches", "--json"))["searches"]
    assert line["state"] == "finished"


def test_a_damaged_search_does_not_hide_the_others(write_search, tmp_path):
    write_search("done")
    folder = write_search("torn")
    folder.search_stage.journal.write_text("no event\n")
    told = run_list(tmp_path / "searches")
    assert "0.6000 iou" in told
    assert "unreadable" in told
    assert f"torn: {folder.search_stage.journal}, line 1 is damaged" in told.replace("\n", "")


def test_an_empty_storage_is_said_to_be_empty(tmp_path):
    assert "No searches in" in run_list(tmp_path)
    assert json.loads(run_list(tmp_path, "--json"))["searches"] == []


@pytest.mark.parametrize("width", [60, 120])
def test_list_fits_the_terminal(render, width):
    line = SearchLine(
        name="a" * 20, state="out of time", metric="boundary_iou", trials=100, planned_trials=500, best=0.5,
        confirmed=0.4, out_of_fold=0.4, device_hours=123.456, last_heard=1.0,
    )  # fmt: skip
    told = render(searches_table([line], wide=width >= WIDE), width)
    assert ("core-hours" in told) is (width == 120)
    assert "…" not in told
    assert max(len(row.rstrip()) for row in told.splitlines()) <= width


def test_the_schema_refuses_what_it_does_not_name():
    with pytest.raises(ValueError, match="more"):
        ListDocument(storage="here", searches=[], more=1)
