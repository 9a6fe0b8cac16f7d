import shutil
import threading
import time

import numpy as np
import pytest
from mlflow import MlflowClient

from search.memory.events import Closed, Opened
from search.tracking import follower
from search.tracking.check import require_tracking
from search.tracking.follower import Tracker


def test_trial_of_thousands_of_epochs_arrives_whole(
    settings, place, script, stage, find_runs, points_of, points_of_journal
):
    """1,100 points of one metric: more than one call of MLflow takes, more than two portions of the journal."""
    script.ask(0)
    script.epochs(0, *([0.5] * 550))
    tracker = Tracker(settings, place, "search", stage)
    assert tracker.close() == 0
    _, (child,) = find_runs(place)
    assert points_of(place, child) == points_of_journal(stage.journal, 0)


def test_tracker_follows_a_journal_that_is_being_written(
    settings, place, script, stage, wait_until, find_runs, points_of
):
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


def test_next_tracker_goes_on_where_the_last_one_stopped(settings, place, script, stage, find_runs, points_of):
    script.ask(0)
    script.epochs(0, 0.5)
    assert Tracker(settings, place, "search", stage).close() == 0
    script.epochs(0, 0.6, first=2)
    assert Tracker(settings, place, "search", stage).close() == 0
    parents, (child,) = find_runs(place)
    assert len(parents) == 1
    assert points_of(place, child)["iou"] == [(1, 0.5), (2, 0.6)]


def test_nothing_is_lost_or_doubled_when_the_server_is_away(
    settings,
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
    find_runs,
    points_of,
    points_of_journal,
):
    """A server is killed amid writes, misses most of a search, and comes back; nobody's terminal is written to."""
    home, port = tmp_path / "server", find_free_port()
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")
    place = make_place(tracking_uri=f"http://127.0.0.1:{port}")
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


def test_tracker_without_a_server_ends_and_says_what_is_missing(settings, make_place, script, stage, find_free_port):
    place = make_place(tracking_uri=f"http://127.0.0.1:{find_free_port()}")
    tracker = Tracker(settings, place, "search", stage)
    script.ask(0)
    assert tracker.close(away_seconds=0) == stage.journal.stat().st_size
    assert tracker.problem
    assert tracker.lack.startswith(f"MLflow at {place.tracking_uri} has not everything of the search yet (")


def test_a_server_that_comes_back_as_the_search_ends_gets_everything(
    settings, make_place, script, stage, find_free_port, find_runs, mlflow_server, empty_database, tmp_path
):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    port = find_free_port()
    place = make_place(tracking_uri=f"http://127.0.0.1:{port}")
    tracker = Tracker(settings, place, "search", stage)
    script.ask(0)
    closing = threading.Thread(target=tracker.close, kwargs={"away_seconds": 7200})
    closing.start()
    while not tracker.problem:
        time.sleep(0.05)
    with mlflow_server(tmp_path, port):
        closing.join()
        assert tracker.lack is None
        assert len(find_runs(place)[1]) == 1


def test_tracker_of_a_torn_journal_ends_at_once_with_everything_sent(settings, place, script, stage, find_runs):
    script.ask(0)
    with stage.journal.open("a") as stream:
        stream.write('{"event": "epo')
    tracker = Tracker(settings, place, "search", stage)
    assert tracker.close() == 0
    assert tracker.lack is None
    assert len(find_runs(place)[1]) == 1


def test_tracker_tells_a_store_that_lost_everything_all_of_it_again(
    settings,
    place,
    make_place,
    empty_database,
    script,
    stage,
    tmp_path,
    write_search,
    find_runs,
    points_of,
    points_of_journal,
):
    write_search(script)
    assert Tracker(settings, place, "search", stage).close() == 0
    shutil.copy(empty_database, tmp_path / "new.db")
    new = make_place(tracking_uri=f"sqlite:///{tmp_path / 'new.db'}")
    tracker = Tracker(settings, new, "search", stage)
    assert (tracker.close(), tracker.lack) == (0, None)
    (parent,), children = find_runs(new)
    assert parent.info.status == "FINISHED"
    for trial, child in enumerate(children):
        assert points_of(new, child) == points_of_journal(stage.journal, trial)


def test_tracker_of_a_journal_that_was_edited_sends_what_is_new(settings, place, script, stage, find_runs, points_of):
    script.ask(0)
    script.epochs(0, 0.5, 0.6)
    assert Tracker(settings, place, "search", stage).close() == 0
    lines = stage.journal.read_bytes().splitlines(keepends=True)
    stage.journal.write_bytes(b"".join(lines[:2]))
    script.epochs(0, 0.65, 0.7, first=2)
    tracker = Tracker(settings, place, "search", stage)
    assert (tracker.close(), tracker.lack) == (0, None)
    _, (child,) = find_runs(place)
    assert points_of(place, child)["iou"] == [(1, 0.5), (2, 0.6), (3, 0.7)]


def test_tracker_of_an_interrupted_search_leaves_nothing_running_and_the_next_goes_on(
    settings, place, script, stage, find_runs
):
    script.journal.write(Opened(cache_key="key"))
    script.ask(0)
    script.write("halted")
    assert Tracker(settings, place, "search", stage).close() == 0
    (parent,), (child,) = find_runs(place)
    assert (parent.info.status, child.info.status) == ("KILLED", "KILLED")
    assert (parent.data.tags["outcome"], child.data.tags["outcome"]) == ("interrupted", "interrupted")
    tracker = Tracker(settings, place, "search", stage)
    script.journal.write(Opened(cache_key="key"))
    script.write("started", trial=0)
    script.epochs(0, 0.5)
    script.end(0)
    script.journal.write(Closed(metrics={"iou": 0.5}, note="done"))
    script.write("halted")
    assert tracker.close() == 0
    (parent,), (child,) = find_runs(place)
    assert (parent.info.status, child.info.status) == ("FINISHED", "FINISHED")
    assert (parent.data.tags["outcome"], child.data.tags["outcome"]) == ("finished", "finished")


def test_run_that_is_deleted_while_its_trial_is_trained_comes_back(
    settings, place, script, stage, find_runs, points_of, wait_until
):
    tracker = Tracker(settings, place, "search", stage)
    script.ask(0)
    wait_until(lambda: tracker.unsent_bytes == 0, "the trial arrives")
    _, (child,) = find_runs(place)
    MlflowClient(place.tracking_uri).delete_run(child.info.run_id)
    script.epochs(0, 0.5)
    wait_until(lambda: tracker.unsent_bytes == 0 and tracker.problem is None, "the epoch arrives")
    tracker.close()
    _, (again,) = find_runs(place)
    assert again.info.run_id == child.info.run_id
    assert points_of(place, again)["iou"] == [(1, 0.5)]
    assert tracker.set_aside == {}


def test_what_mlflow_does_not_take_is_named(settings, place, script, stage):
    picture = stage.trial(0) / "epoch_0001.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"no picture")
    script.ask(0)
    for epoch in (1, 2):
        content = {"trial": 0, "metrics": {"iou": 0.5}, "picture": str(picture.relative_to(stage.root))}
        script.write("epoch", epoch=epoch, **content)
    tracker = Tracker(settings, place, "search", stage)
    assert tracker.close() == 0
    assert list(tracker.set_aside) == ["pictures"]


@pytest.mark.parametrize(("seconds", "rest"), [(0.0, 1.0), (0.1, 1.0), (1.0, 5.0), (20.0, 15.0)])
def test_the_longer_sending_takes_the_more_is_waited_for(seconds, rest):
    assert follower.choose_rest(seconds) == rest
