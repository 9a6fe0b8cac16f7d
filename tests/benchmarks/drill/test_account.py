import json
import shutil

import pytest
from mlflow import MlflowClient

from benchmarks.drill.account import (
    Points,
    count_points,
    count_repeated,
    count_unended,
    describe_confirmed,
    describe_model,
    describe_winner,
    list_left,
)
from search.folder import SearchFolder
from search.memory.best import Confirmation, Finalist, Winner, write_best
from search.memory.events import Asked, Ended, Epoch, Event
from search.memory.history import History
from search.memory.outcome import Outcome
from segcore.config import TrainConfig

VALUES = TrainConfig().values()


def asked(trial: int, rate: float = 0.01) -> Event:
    return Asked(trial=trial, fold=0, values=VALUES, params={"learning_rate": rate})


def epoch(trial: int, number: int, iou: float = 0.5) -> Event:
    return Epoch(trial=trial, epoch=number, metrics={"iou": iou})


def remember(*events: Event) -> History:
    history = History("iou")
    for event in events:
        history.apply(event)
    return history


def test_epochs_that_were_reported_again_are_counted():
    events = [asked(0), epoch(0, 1), epoch(0, 2), epoch(0, 2), epoch(0, 3), asked(1), epoch(1, 1)]
    assert count_repeated(events) == 1


def test_a_trial_that_began_anew_repeats_all_that_it_had_reported():
    assert count_repeated([asked(0), epoch(0, 1), epoch(0, 2), asked(0), epoch(0, 1), epoch(0, 2)]) == 2


def test_trials_without_an_end_are_counted():
    events = [asked(0), asked(1), Ended(trial=0, outcome=Outcome.FINISHED)]
    assert count_unended(events) == 1


def test_the_winner_is_told_by_what_was_drawn_and_its_score():
    history = remember(asked(0, 0.01), epoch(0, 1, 0.25), asked(1, 0.002), epoch(1, 1, 0.75))
    assert describe_winner(history) == "learning_rate=0.002 iou=0.750000"
    assert describe_winner(remember(asked(0))) == "none"
    lost = [asked(2), epoch(2, 1, 0.9), Ended(trial=2, outcome=Outcome.FAILED)]
    assert describe_winner(remember(asked(0), epoch(0, 1, 0.25), *lost)) == "learning_rate=0.01 iou=0.250000"


@pytest.fixture
def client(tmp_path, empty_database) -> MlflowClient:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_points_and_runs_of_mlflow_are_compared_with_the_journal(client):
    """Of two trials with three epochs one run says it runs, a point is there twice and another is missing."""
    experiment = client.create_experiment("drill")
    parent = client.create_run(experiment, tags={"search.stage": "search"})
    tags = {"search.stage": "search", "mlflow.parentRunId": parent.info.run_id}
    runs = [client.create_run(experiment, tags=tags).info.run_id for _ in range(2)]
    for step in (1, 2, 2):
        client.log_metric(runs[0], "iou", 0.5, timestamp=1_700_000_000_000 + step, step=step)
    client.log_metric(runs[0], "iou", 0.7, step=2)
    client.set_terminated(runs[0])
    trials = remember(asked(0), epoch(0, 1), epoch(0, 2), asked(1), epoch(1, 1)).in_order
    found = count_points(client, "drill", trials, "iou")
    assert found == Points(runs=2, running=1, doubled=1, missing=1)


def test_runs_of_another_stage_are_not_counted(client):
    experiment = client.create_experiment("drill")
    for stage in ("search", "confirm", "confirm"):
        client.create_run(experiment, tags={"search.stage": stage, "mlflow.parentRunId": "above"})
    assert [count_points(client, "drill", [], "iou", stage).runs for stage in ("search", "confirm", "retrain")] == [
        1,
        2,
        0,
    ]


def test_a_confirmation_is_told_by_its_winner_and_the_scores_of_all(tmp_path):
    finalists = [
        Finalist(trial=trial, search_score=0.5, fold_scores=scores, score=0.5)
        for trial, scores in ((1, {2: 0.25, 1: 0.5}), (0, {1: 0.125}))
    ]
    told = Confirmation(
        told="", score=0.5, interval=None, folds=[1, 2], optimism=0.0, best_of=2, rivals=[], contenders=finalists
    )
    best = Winner(
        search="drill", trial=1, fold=0, epoch=4, metrics={"iou": 0.5}, values=VALUES, trials=2, confirmation=told
    )
    search = SearchFolder(root=tmp_path)
    write_best(best, search.best)
    epochs = VALUES["epochs"]
    assert describe_confirmed(search) == f"trial 1 for {epochs} epochs (1: 0.500000 0.250000; 0: 0.125000)"


def test_a_model_is_told_by_its_networks_their_score_and_its_versions(client, tmp_path):
    search = SearchFolder(root=tmp_path / "drill")
    search.model.mkdir(parents=True)
    notes = {"left_out": [0, 1], "metric": "iou", "out_of_fold": {"iou": 0.5}}
    document = {"format": "street-ensemble-3", "members": [{}, {}], "notes": notes}
    (search.model / "ensemble.json").write_text(json.dumps(document))
    client.create_registered_model("drill")
    for _ in range(2):
        client.create_model_version("drill", str(search.model))
    told = "2 networks of folds [0, 1], iou 0.500000 out of fold, registered versions: 2"
    assert describe_model(search, client) == told


def test_points_of_a_run_too_many_are_none_of_another_trial(client):
    experiment = client.create_experiment("drill")
    for _ in range(2):
        run = client.create_run(experiment).info.run_id
        client.log_metric(run, "iou", 0.5, step=1)
    trials = remember(asked(0), epoch(0, 1, 0.5), asked(1), epoch(1, 1, 0.6)).in_order
    found = count_points(client, "drill", trials, "iou")
    assert (found.runs, found.missing) == (2, 1)


def test_an_experiment_that_was_never_made_lacks_every_point(client):
    trials = remember(asked(0), epoch(0, 1), epoch(0, 2)).in_order
    assert count_points(client, "drill", trials, "iou") == Points(runs=0, running=0, doubled=0, missing=2)


def test_what_trainings_left_is_listed(tmp_path):
    (tmp_path / "street-search-scratch-abc").mkdir()
    (tmp_path / "checkpoint_tmp_abc").mkdir()
    (tmp_path / "other").mkdir()
    assert list_left(tmp_path) == ("checkpoint_tmp_abc", "street-search-scratch-abc")
