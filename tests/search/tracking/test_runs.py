from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from PIL import Image

from search.memory.events import Asked, Epoch, Opened, Reopened
from search.memory.journal import read_events
from search.settings import settings_values
from search.tracking.runs import StageRuns


def test_a_search_is_one_parent_and_one_child_per_trial(settings, script, stage, find_runs, write_search):
    write_search(script)
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    (parent,), children = find_runs(settings)
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [parent.info.run_id] * 2
    assert [child.info.run_name for child in children] == ["trial_0000", "trial_0001"]
    assert [child.data.tags["outcome"] for child in children] == ["finished", "stopped by ASHA"]
    assert children[1].data.tags["message"] == "its score is NaN after epoch 2"
    assert [child.info.status for child in children] == ["FINISHED", "KILLED"]


def test_trial_that_is_taken_up_again_runs_until_it_ends_anew(
    settings, script, stage, find_runs, points_of, write_search
):
    write_search(script)
    script.journal.write(Reopened(trial=1))
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(settings)
    assert [child.info.status for child in children] == ["FINISHED", "RUNNING"]
    assert [child.data.tags["outcome"] for child in children] == ["finished", ""]
    assert children[1].data.tags["message"] == ""
    script.epochs(1, 0.45, first=3)
    script.end(1)
    for _ in range(2):
        StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(settings)
    assert [child.info.status for child in children] == ["FINISHED", "FINISHED"]
    assert children[1].data.tags["outcome"] == "finished"
    assert points_of(settings, children[1])["iou"] == [(1, 0.4), (3, 0.45)]
    assert children[1].info.end_time == int(script.journal.history.trials[1].ended * 1000)


def test_child_has_every_value_of_its_configuration_and_its_fold(settings, script, stage, find_runs, write_search):
    write_search(script)
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(settings)
    for child in children:
        record = script.journal.history.trials[int(child.data.tags["search.trial"])]
        assert child.data.params == {name: str(value) for name, value in {**record.values, "fold": 0}.items()}
    assert [child.data.params["batch_size"] for child in children] == ["4", "2"]


def test_parent_has_the_settings_and_what_came_out(settings, script, stage, find_runs, write_search):
    write_search(script)
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    (parent,), _ = find_runs(settings)
    assert parent.data.params["epochs"] == "3"
    assert parent.data.params["storage"] == str(settings.storage)
    assert set(parent.data.params) == set(settings_values(settings))
    assert parent.data.metrics == {"iou": 0.7}
    assert parent.data.tags["mlflow.note.content"] == "### Best: trial 0"
    assert parent.info.status == "FINISHED"


def test_parent_is_running_until_the_search_is_closed(settings, script, stage, find_runs):
    script.journal.write(Opened(cache_key="key"))
    script.ask(0)
    runs = StageRuns(settings, "search", stage)
    runs.write(list(read_events(stage.journal)))
    (parent,), (child,) = find_runs(settings)
    assert (parent.info.status, child.info.status) == ("RUNNING", "RUNNING")


def test_metrics_are_those_of_the_journal_with_epochs_as_steps(
    settings, script, stage, find_runs, points_of, points_of_journal, write_search
):
    write_search(script)
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(settings)
    assert points_of(settings, children[0])["iou"] == [(1, 0.5), (2, 0.6), (3, 0.7)]
    assert points_of(settings, children[1])["iou"] == [(1, 0.4)], "an epoch without a score has no point"
    for trial, child in enumerate(children):
        assert points_of(settings, child) == points_of_journal(stage.journal, trial)


def test_times_are_those_of_the_events(settings, script, stage, find_runs, write_search):
    write_search(script)
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(settings)
    history = script.journal.history
    assert [child.info.end_time for child in children] == [int(history.trials[t].ended * 1000) for t in (0, 1)]
    client = MlflowClient(settings.tracking_uri)
    points = client.get_metric_history(children[0].info.run_id, "iou")
    stamps = {point.step: point.timestamp for point in points}
    assert stamps == {epoch: int(record.time * 1000) for epoch, record in history.trials[0].epochs.items()}


def test_pictures_are_artifacts_of_their_epoch(settings, script, stage, find_runs):
    picture = stage.trial(0) / "epoch_0002.jpg"
    picture.parent.mkdir(parents=True)
    Image.fromarray(np.full((8, 12, 3), 200, np.uint8)).save(picture)
    script.ask(0)
    place = str(picture.relative_to(stage.root))
    script.journal.write(Epoch(trial=0, epoch=2, metrics={"iou": 0.5}, picture=place))
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    _, (child,) = find_runs(settings)
    client = MlflowClient(settings.tracking_uri)
    logged = [file.path for file in client.list_artifacts(child.info.run_id, "images")]
    (whole,) = [path for path in logged if path.endswith(".png")]
    assert Path(whole).name.startswith("validation+step+2+")
    with Image.open(client.download_artifacts(child.info.run_id, whole)) as image:
        assert image.size == (12, 8)


def test_picture_that_was_deleted_is_left_out(settings, script, stage, find_runs, points_of):
    script.ask(0)
    script.journal.write(Epoch(trial=0, epoch=1, metrics={"iou": 0.5}, picture="trials/0000/no.jpg"))
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    _, (child,) = find_runs(settings)
    assert points_of(settings, child) == {"iou": [(1, 0.5)]}


def test_writing_a_journal_again_makes_no_second_run_and_no_second_point(
    settings, script, stage, find_runs, points_of, points_of_journal, write_search
):
    """As happens when the driver dies between a write to MLflow and the note of it."""
    write_search(script)
    events = list(read_events(stage.journal))
    StageRuns(settings, "search", stage).write(events[:5])
    StageRuns(settings, "search", stage).write(events)
    StageRuns(settings, "search", stage).write(events)
    parents, children = find_runs(settings)
    assert (len(parents), len(children)) == (1, 2)
    for trial, child in enumerate(children):
        assert points_of(settings, child) == points_of_journal(stage.journal, trial)
    assert [child.info.status for child in children] == ["FINISHED", "KILLED"]


def test_retraining_and_another_search_of_the_name_have_runs_of_their_own(
    settings, script, stage, make_settings, find_runs, write_search
):
    write_search(script)
    events = list(read_events(stage.journal))
    other = make_settings(epochs=3, trials=2, search_id="another")
    for each, stage_name in ((settings, "search"), (settings, "retrain"), (other, "search")):
        StageRuns(each, stage_name, stage).write(events)
    parents, children = find_runs(settings)
    assert (len(parents), len(children)) == (3, 6)
    assert sorted(child.info.run_name for child in children)[:2] == ["fold_0", "fold_0"]


def test_trainings_of_a_confirmation_are_named_for_configuration_and_fold(settings, script, stage, find_runs):
    for number, (source, fold) in enumerate(((17, 1), (3, 2))):
        content = {"trial": number, "fold": fold, "values": {"epochs": 3}, "params": {}, "source": source}
        script.journal.write(Asked(**content))
    StageRuns(settings, "confirm", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(settings)
    assert [child.info.run_name for child in children] == ["trial_0017_fold_1", "trial_0003_fold_2"]


def test_class_names_that_mlflow_refuses_are_changed(settings, script, stage, find_runs):
    script.ask(0)
    script.journal.write(Epoch(trial=0, epoch=1, metrics={"iou/Fußweg (links)": 0.25}))
    StageRuns(settings, "search", stage).write(list(read_events(stage.journal)))
    _, (child,) = find_runs(settings)
    ((name, value),) = child.data.metrics.items()
    assert name.startswith("iou/Fu")
    assert "(" not in name
    assert value == 0.25
