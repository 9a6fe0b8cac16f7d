import shutil

import numpy as np

from search.tracking.check import require_tracking
from search.tracking.follower import Tracker


def test_trial_of_thousands_of_epochs_arrives_whole(settings, script, stage, find_runs, points_of, points_of_journal):
    """1,100 points of one metric: more than one call of MLflow takes, more than two portions of the journal."""
    script.ask(0)
    script.epochs(0, *([0.5] * 550))
    tracker = Tracker(settings, "search", stage)
    assert tracker.close() == 0
    _, (child,) = find_runs(settings)
    assert points_of(settings, child) == points_of_journal(stage.journal, 0)


def test_tracker_follows_a_journal_that_is_being_written(settings, script, stage, wait_until, find_runs, points_of):
    tracker = Tracker(settings, "search", stage)
    script.ask(0)
    script.epochs(0, 0.5)
    wait_until(lambda: tracker.unsent_bytes == 0, "the first epoch arrives")
    script.epochs(0, 0.6, first=2)
    script.end(0)
    assert tracker.close() == 0
    _, (child,) = find_runs(settings)
    assert points_of(settings, child)["iou"] == [(1, 0.5), (2, 0.6)]
    assert child.data.tags["outcome"] == "finished"


def test_next_tracker_goes_on_where_the_last_one_stopped(settings, script, stage, find_runs, points_of):
    script.ask(0)
    script.epochs(0, 0.5)
    assert Tracker(settings, "search", stage).close() == 0
    script.epochs(0, 0.6, first=2)
    assert Tracker(settings, "search", stage).close() == 0
    parents, (child,) = find_runs(settings)
    assert len(parents) == 1
    assert points_of(settings, child)["iou"] == [(1, 0.5), (2, 0.6)]


def test_nothing_is_lost_or_doubled_when_the_server_is_away(
    make_settings,
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
    settings = make_settings(tracking_uri=f"http://127.0.0.1:{port}")
    with mlflow_server(home, port):
        require_tracking(settings.tracking_uri)
        tracker = Tracker(settings, "search", stage)
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
        parents, children = find_runs(settings)
        assert (len(parents), len(children)) == (1, 2)
        for trial, child in enumerate(children):
            assert points_of(settings, child) == points_of_journal(stage.journal, trial)
        assert [child.info.status for child in children] == ["FINISHED", "FINISHED"]
        assert len(points_of(settings, children[0])["iou"]) == 61
    # Retries and links would run through the search's live table.
    assert "".join(capfd.readouterr()) == ""
    assert caplog.messages == []


def test_tracker_without_a_server_ends_and_says_what_is_missing(make_settings, script, stage, find_free_port):
    settings = make_settings(tracking_uri=f"http://127.0.0.1:{find_free_port()}")
    tracker = Tracker(settings, "search", stage)
    script.ask(0)
    assert tracker.close() == stage.journal.stat().st_size
    assert tracker.problem
