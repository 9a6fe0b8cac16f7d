import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from search.folder import StageFolder
from search.memory.events import Asked, Closed, Epoch, Opened, Reopened
from search.memory.journal import read_events
from search.place import Place, place_values
from search.settings import SearchSettings, settings_values
from search.tracking.check import require_tracking
from search.tracking.follower import Tracker, read_new_events
from search.tracking.runs import StageRuns
from search.tracking.store import trials_link


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, made once: making them takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def settings(make_settings) -> SearchSettings:
    return make_settings(epochs=3, trials=2)


@pytest.fixture
def place(make_place, empty_database) -> Place:
    place = make_place()
    place.storage.mkdir()
    shutil.copy(empty_database, place.storage / "mlflow.db")
    return place


@pytest.fixture
def stage(script) -> StageFolder:
    return StageFolder(root=script.journal.file.parent)


def write_search(script) -> None:
    """Two trials: one finished after three epochs, one stopped after its second, which had no score."""
    script.journal.write(Opened(cache_key="key"))
    script.ask(0, batch_size=4)
    script.ask(1, batch_size=2)
    script.epochs(0, 0.5, 0.6)
    script.epochs(1, 0.4, None)
    script.end(1, "stopped by ASHA", "its score is NaN after epoch 2")
    script.epochs(0, 0.7, first=3)
    script.end(0)
    script.journal.write(Closed(metrics={"iou": 0.7}, note="### Best: trial 0"))


def find_runs(place: Place) -> tuple[list[Run], list[Run]]:
    """All parent runs and all child runs of the search's experiment."""
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("streets")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return parents, sorted(children, key=lambda run: int(run.data.tags["search.trial"]))


def points_of(place: Place, run: Run) -> dict[str, list[tuple[int, float]]]:
    """Every (step, value) of every metric of a run."""
    client = MlflowClient(place.tracking_uri)
    return {
        name: sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def points_of_journal(file: Path, trial: int) -> dict[str, list[tuple[int, float]]]:
    points: dict[str, list[tuple[int, float]]] = {}
    for event in read_events(file):
        if event["event"] == "epoch" and event["trial"] == trial:
            for name, value in event["metrics"].items():
                points.setdefault(name, []).append((event["epoch"], value))
    return points


def test_a_search_is_one_parent_and_one_child_per_trial(settings, place, script, stage):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    (parent,), children = find_runs(place)
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [parent.info.run_id] * 2
    assert [child.info.run_name for child in children] == ["trial_0000", "trial_0001"]
    assert [child.data.tags["outcome"] for child in children] == ["finished", "stopped by ASHA"]
    assert children[1].data.tags["message"] == "its score is NaN after epoch 2"
    assert [child.info.status for child in children] == ["FINISHED", "KILLED"]


def test_trial_that_is_taken_up_again_runs_until_it_ends_anew(settings, place, script, stage):
    write_search(script)
    script.journal.write(Reopened(trial=1))
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert [child.info.status for child in children] == ["FINISHED", "RUNNING"]
    assert [child.data.tags["outcome"] for child in children] == ["finished", ""]
    assert children[1].data.tags["message"] == ""
    script.epochs(1, 0.45, first=3)
    script.end(1)
    for _ in range(2):
        StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert [child.info.status for child in children] == ["FINISHED", "FINISHED"]
    assert children[1].data.tags["outcome"] == "finished"
    assert points_of(place, children[1])["iou"] == [(1, 0.4), (3, 0.45)]
    assert children[1].info.end_time == int(script.journal.history.trials[1].ended * 1000)


def test_child_has_every_value_of_its_configuration_and_its_fold(settings, place, script, stage):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    for child in children:
        record = script.journal.history.trials[int(child.data.tags["search.trial"])]
        assert child.data.params == {name: str(value) for name, value in {**record.values, "fold": 0}.items()}
    assert [child.data.params["batch_size"] for child in children] == ["4", "2"]


def test_parent_has_the_settings_and_what_came_out(settings, place, script, stage):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    (parent,), _ = find_runs(place)
    assert parent.data.params["epochs"] == "3"
    assert parent.data.params["storage"] == str(place.storage)
    assert set(parent.data.params) == {*settings_values(settings), *place_values(place)} - {"home"}
    assert parent.data.metrics == {"iou": 0.7}
    assert parent.data.tags["mlflow.note.content"] == "### Best: trial 0"
    assert parent.info.status == "FINISHED"


def test_parent_is_running_until_the_search_is_closed(settings, place, script, stage):
    script.journal.write(Opened(cache_key="key"))
    script.ask(0)
    runs = StageRuns(settings, place, "search", stage)
    runs.write(list(read_events(stage.journal)))
    (parent,), (child,) = find_runs(place)
    assert (parent.info.status, child.info.status) == ("RUNNING", "RUNNING")


def test_metrics_are_those_of_the_journal_with_epochs_as_steps(settings, place, script, stage):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert points_of(place, children[0])["iou"] == [(1, 0.5), (2, 0.6), (3, 0.7)]
    assert points_of(place, children[1])["iou"] == [(1, 0.4)], "an epoch without a score has no point"
    for trial, child in enumerate(children):
        assert points_of(place, child) == points_of_journal(stage.journal, trial)


def test_times_are_those_of_the_events(settings, place, script, stage):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    history = script.journal.history
    assert [child.info.end_time for child in children] == [int(history.trials[t].ended * 1000) for t in (0, 1)]
    client = MlflowClient(place.tracking_uri)
    points = client.get_metric_history(children[0].info.run_id, "iou")
    stamps = {point.step: point.timestamp for point in points}
    assert stamps == {epoch: int(record.time * 1000) for epoch, record in history.trials[0].epochs.items()}


def test_pictures_are_artifacts_of_their_epoch(settings, place, script, stage):
    picture = stage.trial(0) / "epoch_0002.jpg"
    picture.parent.mkdir(parents=True)
    Image.fromarray(np.full((8, 12, 3), 200, np.uint8)).save(picture)
    script.ask(0)
    stored = str(picture.relative_to(stage.root))
    script.journal.write(Epoch(trial=0, epoch=2, metrics={"iou": 0.5}, picture=stored))
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, (child,) = find_runs(place)
    client = MlflowClient(place.tracking_uri)
    logged = [file.path for file in client.list_artifacts(child.info.run_id, "images")]
    (whole,) = [path for path in logged if path.endswith(".png")]
    assert Path(whole).name.startswith("validation+step+2+")
    with Image.open(client.download_artifacts(child.info.run_id, whole)) as image:
        assert image.size == (12, 8)


def test_picture_that_was_deleted_is_left_out(settings, place, script, stage):
    script.ask(0)
    script.journal.write(Epoch(trial=0, epoch=1, metrics={"iou": 0.5}, picture="trials/0000/no.jpg"))
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, (child,) = find_runs(place)
    assert points_of(place, child) == {"iou": [(1, 0.5)]}


def test_writing_a_journal_again_makes_no_second_run_and_no_second_point(settings, place, script, stage):
    """As happens when the driver dies between a write to MLflow and the note of it."""
    write_search(script)
    events = list(read_events(stage.journal))
    StageRuns(settings, place, "search", stage).write(events[:5])
    StageRuns(settings, place, "search", stage).write(events)
    StageRuns(settings, place, "search", stage).write(events)
    parents, children = find_runs(place)
    assert (len(parents), len(children)) == (1, 2)
    for trial, child in enumerate(children):
        assert points_of(place, child) == points_of_journal(stage.journal, trial)
    assert [child.info.status for child in children] == ["FINISHED", "KILLED"]


def test_retraining_and_another_search_of_the_name_have_runs_of_their_own(
    settings, place, script, stage, make_settings
):
    write_search(script)
    events = list(read_events(stage.journal))
    other = make_settings(epochs=3, trials=2, search_id="another")
    for each, stage_name in ((settings, "search"), (settings, "retrain"), (other, "search")):
        StageRuns(each, place, stage_name, stage).write(events)
    parents, children = find_runs(place)
    assert (len(parents), len(children)) == (3, 6)
    assert sorted(child.info.run_name for child in children)[:2] == ["fold_0", "fold_0"]


def test_trainings_of_a_confirmation_are_named_for_configuration_and_fold(settings, place, script, stage):
    for number, (source, fold) in enumerate(((17, 1), (3, 2))):
        content = {"trial": number, "fold": fold, "values": {"epochs": 3}, "params": {}, "source": source}
        script.journal.write(Asked(**content))
    StageRuns(settings, place, "confirm", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert [child.info.run_name for child in children] == ["trial_0017_fold_1", "trial_0003_fold_2"]


def test_class_names_that_mlflow_refuses_are_changed(settings, place, script, stage):
    script.ask(0)
    script.journal.write(Epoch(trial=0, epoch=1, metrics={"iou/Fußweg (links)": 0.25}))
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, (child,) = find_runs(place)
    ((name, value),) = child.data.metrics.items()
    assert name.startswith("iou/Fu")
    assert "(" not in name
    assert value == 0.25


def test_trial_of_thousands_of_epochs_arrives_whole(settings, place, script, stage):
    """1,100 points of one metric: more than one call of MLflow takes, more than two portions of the journal."""
    script.ask(0)
    script.epochs(0, *([0.5] * 550))
    tracker = Tracker(settings, place, "search", stage)
    assert tracker.close() == 0
    _, (child,) = find_runs(place)
    assert points_of(place, child) == points_of_journal(stage.journal, 0)


def test_tracker_follows_a_journal_that_is_being_written(settings, place, script, stage, wait_until):
    tracker = Tracker(settings, place, "search", stage)
    script.ask(0)
    script.epochs(0, 0.5)
    wait_until(lambda: tracker.unsent_bytes == 0, "the first epoch arrives")
    script.epochs(0, 0.6, first=2)
    script.end(0)
    assert tracker.close() == 0
    _, (child,) = find_runs(place)
    assert points_of(place, child)["iou"] == [(1, 0.5), (2, 0.6)]
    assert child.data.tags["outcome"] == "finished"


def test_next_tracker_goes_on_where_the_last_one_stopped(settings, place, script, stage):
    script.ask(0)
    script.epochs(0, 0.5)
    assert Tracker(settings, place, "search", stage).close() == 0
    sent = json.loads(stage.tracked.read_text())["bytes"]
    assert sent == stage.journal.stat().st_size
    script.epochs(0, 0.6, first=2)
    assert read_new_events(stage.journal, sent)[0][0]["epoch"] == 2
    assert Tracker(settings, place, "search", stage).close() == 0
    parents, (child,) = find_runs(place)
    assert len(parents) == 1
    assert points_of(place, child)["iou"] == [(1, 0.5), (2, 0.6)]


def test_line_that_is_not_whole_waits(script):
    script.ask(0)
    size = script.journal.file.stat().st_size
    with script.journal.file.open("a") as stream:
        stream.write('{"event": "ask')
    events, end = read_new_events(script.journal.file, 0)
    assert ([event["event"] for event in events], end) == (["asked"], size)
    assert read_new_events(script.journal.file, end) == ([], size)


def test_no_journal_has_no_events(tmp_path):
    assert read_new_events(tmp_path / "journal.jsonl", 0) == ([], 0)


def test_link_leads_to_the_trials_of_this_search(settings, place, script, stage):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    (parent,), _ = find_runs(place)
    link = trials_link(settings, place, "http://localhost:5000/")
    assert link.startswith(f"http://localhost:5000/#/experiments/{parent.info.experiment_id}/runs?")
    assert "workflowType=machine_learning" in link
    assert parent.info.run_id in link


def test_link_of_a_search_that_mlflow_does_not_know_is_the_server(settings, place):
    assert trials_link(settings, place, "http://localhost:5000") == "http://localhost:5000"


def test_nothing_is_lost_or_doubled_when_the_server_is_away(
    make_settings,
    make_place,
    empty_database,
    script,
    stage,
    tmp_path,
    find_free_port,
    mlflow_server,
    wait_until,
    capfd,
    caplog,
):
    """A server is killed amid writes, misses most of a search, and comes back; nobody's terminal is written to."""
    home, port = tmp_path / "server", find_free_port()
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")
    settings, place = make_settings(), make_place(tracking_uri=f"http://127.0.0.1:{port}")
    with mlflow_server(home, port):
        require_tracking(place.tracking_uri)
        tracker = Tracker(settings, place, "search", stage)
        script.ask(0)
        script.epochs(0, 0.1)
        wait_until(lambda: tracker.unsent_bytes == 0, "the first epoch arrives")
        script.epochs(0, *np.linspace(0.1, 0.9, 60), first=2)
    # The server is dead now, wherever the tracker was.
    script.ask(1)
    script.epochs(1, 0.3, 0.4)
    script.end(1)
    wait_until(lambda: tracker.problem is not None, "the tracker notices")
    script.end(0)
    assert tracker.unsent_bytes > 0
    with mlflow_server(home, port):
        wait_until(lambda: tracker.unsent_bytes == 0 and tracker.problem is None, "the rest arrives")
        assert tracker.close() == 0
        parents, children = find_runs(place)
        assert (len(parents), len(children)) == (1, 2)
        for trial, child in enumerate(children):
            assert points_of(place, child) == points_of_journal(stage.journal, trial)
        assert [child.info.status for child in children] == ["FINISHED", "FINISHED"]
        assert len(points_of(place, children[0])["iou"]) == 61
    # Retries and links would run through the search's live table.
    assert "".join(capfd.readouterr()) == ""
    assert caplog.messages == []


def test_tracker_without_a_server_ends_and_says_what_is_missing(
    make_settings, make_place, script, stage, find_free_port
):
    settings, place = make_settings(), make_place(tracking_uri=f"http://127.0.0.1:{find_free_port()}")
    tracker = Tracker(settings, place, "search", stage)
    script.ask(0)
    assert tracker.close() == stage.journal.stat().st_size
    assert tracker.problem
