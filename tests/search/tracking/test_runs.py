from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from search.folder import StageFolder
from search.memory.events import Asked, Closed, Epoch, Opened, Reopened
from search.memory.journal import Journal, read_events
from search.place import place_values
from search.settings import settings_values
from search.tracking.documents import read_document
from search.tracking.pictures import SMALL_ENDING, find_pictures, picture_key
from search.tracking.runs import StageRuns
from segcore.config import TrainConfig


def test_a_search_is_one_parent_and_one_child_per_trial(settings, place, script, stage, find_runs, write_search):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    (parent,), children = find_runs(place)
    assert [child.data.tags["mlflow.parentRunId"] for child in children] == [parent.info.run_id] * 2
    assert [child.info.run_name for child in children] == ["resnet34 crop512 ce+jaccard #0", "resnet34 full ce #1"]
    assert [child.data.tags["outcome"] for child in children] == ["finished", "stopped by ASHA"]
    assert [child.data.tags["state"] for child in children] == ["finished", "stopped after epoch 2 of 9"]
    reasons = ["trained to its end", "its score is NaN after epoch 2"]
    assert [child.data.tags["reason"] for child in children] == reasons
    assert [child.info.status for child in children] == ["FINISHED", "FAILED"]


def test_trial_that_is_promoted_runs_until_it_ends_anew(
    settings, place, script, stage, find_runs, points_of, write_search
):
    write_search(script)
    script.journal.write(Reopened(trial=1))
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert [child.info.status for child in children] == ["FINISHED", "RUNNING"]
    assert [child.data.tags["outcome"] for child in children] == ["finished", ""]
    assert children[1].data.tags["state"] == "running"
    assert children[1].data.tags["reason"].startswith("promoted after epoch 2")
    script.epochs(1, 0.45, first=3)
    script.end(1)
    for _ in range(2):
        StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert [child.info.status for child in children] == ["FINISHED", "FINISHED"]
    assert children[1].data.tags["outcome"] == "finished"
    assert points_of(place, children[1])["iou"] == [(1, 0.4), (3, 0.45)]
    assert children[1].info.end_time == int(script.journal.history.trials[1].ended * 1000)


def test_parameters_of_a_trial_are_what_was_drawn_and_a_file_has_every_value(
    settings, place, script, stage, find_runs, write_search
):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert [child.data.params for child in children] == [
        {"input_mode": "crop", "crop_size": "512", "batch_size": "4"},
        {"input_mode": "full", "batch_size": "2"},
    ]
    client = MlflowClient(place.tracking_uri)
    for number, child in enumerate(children):
        document = read_document(client, child.info.run_id, "configuration.json")
        assert document["values"] == script.journal.history.trials[number].values
        assert (document["trial"], document["fold"]) == (number, 0)
        assert document["drawn"] == sorted(child.data.params)


def test_parent_has_the_settings_and_what_came_out(settings, place, script, stage, find_runs, write_search):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    (parent,), _ = find_runs(place)
    assert parent.data.params["epochs"] == "3"
    document = read_document(MlflowClient(place.tracking_uri), parent.info.run_id, "settings.json")
    assert document["settings"] == settings_values(settings)
    assert document["place"] == {**place_values(place), "home": None}
    assert parent.data.metrics == {"iou": 0.7}
    assert parent.data.tags["mlflow.note.content"] == "### Best: trial 0"
    assert (parent.info.status, parent.data.tags["state"]) == ("FINISHED", "finished")


def test_parent_is_running_until_the_search_is_closed(settings, place, script, stage, find_runs):
    script.journal.write(Opened(cache_key="key"))
    script.ask(0)
    runs = StageRuns(settings, place, "search", stage)
    runs.write(list(read_events(stage.journal)))
    (parent,), (child,) = find_runs(place)
    assert (parent.info.status, child.info.status) == ("RUNNING", "RUNNING")


def test_metrics_are_those_of_the_journal_with_epochs_as_steps(
    settings, place, script, stage, find_runs, points_of, points_of_journal, write_search
):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert points_of(place, children[0])["iou"] == [(1, 0.5), (2, 0.6), (3, 0.7)]
    assert points_of(place, children[1])["iou"] == [(1, 0.4)], "an epoch without a score has no point"
    for trial, child in enumerate(children):
        assert points_of(place, child) == points_of_journal(stage.journal, trial)


def test_times_are_those_of_the_events(settings, place, script, stage, find_runs, write_search):
    write_search(script)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    history = script.journal.history
    assert [child.info.end_time for child in children] == [int(history.trials[t].ended * 1000) for t in (0, 1)]
    client = MlflowClient(place.tracking_uri)
    points = client.get_metric_history(children[0].info.run_id, "iou")
    stamps = {point.step: point.timestamp for point in points}
    assert stamps == {epoch: int(record.time * 1000) for epoch, record in history.trials[0].epochs.items()}


def test_pictures_are_artifacts_of_their_epoch(settings, place, script, stage, find_runs):
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
    latest, whole = sorted(path for path in logged if not path.endswith(SMALL_ENDING))
    assert Path(whole).name.startswith("validation+step+2+")
    assert Path(latest).name.startswith("validation+step+0+"), "where every trial has its latest picture"
    with Image.open(client.download_artifacts(child.info.run_id, whole)) as image:
        assert image.size == (12, 8)


def test_each_picture_of_an_epoch_has_a_key_that_mlflow_takes(settings, place, script, stage, find_runs):
    pictures = {}
    for number, shown in enumerate(("day", "Nächte")):
        file = stage.trial(0) / f"epoch_0001_{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(file)
        pictures[shown] = str(file.relative_to(stage.root))
    script.ask(0)
    script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.5}, picture=pictures["day"], pictures=pictures)
    assert write_all(settings, place, stage).set_aside == {}
    files = MlflowClient(place.tracking_uri).list_artifacts(find_runs(place)[1][0].info.run_id, "images")
    keys = {Path(file.path).name.partition("+")[0] for file in files}
    assert keys == {"day", picture_key("Nächte")}
    assert picture_key("Nächte").startswith("N_chte-")


def test_picture_that_was_deleted_is_left_out(settings, place, script, stage, find_runs, points_of):
    script.ask(0)
    script.journal.write(Epoch(trial=0, epoch=1, metrics={"iou": 0.5}, picture="trials/0000/no.jpg"))
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, (child,) = find_runs(place)
    assert points_of(place, child) == {"iou": [(1, 0.5)], "iou_best": [(1, 0.5)]}


def test_writing_a_journal_again_makes_no_second_run_and_no_second_point(
    settings, place, script, stage, find_runs, points_of, points_of_journal, write_search
):
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
    assert [child.info.status for child in children] == ["FINISHED", "FAILED"]


def test_retraining_and_another_search_of_the_name_have_runs_of_their_own(
    settings, place, script, stage, make_settings, find_runs, write_search
):
    write_search(script)
    events = list(read_events(stage.journal))
    other = make_settings(epochs=3, trials=2, search_id="another")
    for each, stage_name in ((settings, "search"), (settings, "retrain"), (other, "search")):
        StageRuns(each, place, stage_name, stage).write(events)
    parents, children = find_runs(place)
    assert (len(parents), len(children)) == (3, 6)
    again = [child.info.run_name for child in children if child.info.run_name.endswith(", fold 0")]
    assert sorted(again) == ["resnet34 crop512 ce+jaccard #0, fold 0", "resnet34 full ce #1, fold 0"]


def test_trainings_of_a_confirmation_are_named_for_configuration_and_fold(settings, place, script, stage, find_runs):
    for number, (source, fold) in enumerate(((17, 1), (3, 2))):
        values = TrainConfig.from_values({"epochs": 3, "input_mode": "full"}).values()
        script.journal.write(Asked(trial=number, fold=fold, values=values, params={}, source=source))
    StageRuns(settings, place, "confirm", stage).write(list(read_events(stage.journal)))
    _, children = find_runs(place)
    assert [child.info.run_name for child in children] == [
        "resnet34 full ce #17, fold 1",
        "resnet34 full ce #3, fold 2",
    ]
    assert [child.data.params for child in children] == [
        {"configuration": "#17", "fold": "1"},
        {"configuration": "#3", "fold": "2"},
    ]


def test_class_names_that_mlflow_refuses_are_changed(settings, place, script, stage, find_runs):
    script.ask(0)
    script.journal.write(Epoch(trial=0, epoch=1, metrics={"iou/Fußweg (links)": 0.25}))
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    _, (child,) = find_runs(place)
    ((name, value),) = child.data.metrics.items()
    assert name.startswith("class/Fu")
    assert "(" not in name
    assert value == 0.25


def write_all(settings, place, stage) -> StageRuns:
    """Write a whole journal, as after a position was lost."""
    runs = StageRuns(settings, place, "search", stage)
    runs.write(list(read_events(stage.journal)))
    return runs


def test_run_says_what_its_trial_was_trained_on(settings, place, script, stage, find_runs):
    script.ask(0)
    for epoch in (1, 2):
        script.write("epoch", trial=0, epoch=epoch, metrics={"iou": 0.5}, device="Tesla T4")
    write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    assert child.data.tags["device"] == "Tesla T4"


def test_run_says_why_its_trial_is_slower_than_it_could_be(settings, place, script, stage, find_runs):
    script.ask(0)
    for epoch, note in ((1, "the network is not compiled (RuntimeError: no compiler)"), (2, "")):
        script.write("epoch", trial=0, epoch=epoch, metrics={"iou": 0.5}, note=note)
    write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    assert child.data.tags["note"] == "the network is not compiled (RuntimeError: no compiler)"


def test_what_the_machine_of_a_trial_did_stands_under_the_names_of_system_metrics(
    settings, place, script, stage, find_runs, points_of
):
    script.ask(0)
    for epoch, use in ((1, 80.0), (2, 90.0)):
        system = {"system/gpu_0_utilization_percentage": use}
        script.write("epoch", trial=0, epoch=epoch, metrics={"iou": 0.5}, system=system)
    write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    assert points_of(place, child)["system/gpu_0_utilization_percentage"] == [(1, 80.0), (2, 90.0)]


def test_epoch_that_was_trained_again_keeps_its_first_point_and_is_named(
    settings, place, script, stage, find_runs, points_of
):
    script.ask(0)
    script.epochs(0, 0.5, 0.6)
    script.write("restarted", trial=0)
    script.epochs(0, 0.61, 0.7, first=2)
    for _ in range(2):
        write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    assert points_of(place, child)["iou"] == [(1, 0.5), (2, 0.6), (3, 0.7)]
    assert child.data.tags["epochs_trained_again"] == "2"


def test_failed_trial_that_is_tried_again_has_one_point_an_epoch(settings, place, script, stage, find_runs, points_of):
    script.ask(0, batch_size=4)
    script.epochs(0, 0.5, 0.6)
    script.end(0, "failed", "the worker died")
    script.ask(0, batch_size=4)
    script.epochs(0, 0.51, 0.62, 0.7)
    write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    assert points_of(place, child)["iou"] == [(1, 0.5), (2, 0.6), (3, 0.7)]
    assert child.data.tags["epochs_trained_again"] == "1, 2"
    assert (child.info.status, child.data.tags["outcome"]) == ("RUNNING", "")


def test_journal_that_was_cut_and_went_on_otherwise_doubles_no_point(
    settings, place, script, stage, find_runs, points_of
):
    """As after the advice for a damaged journal: what stood before the line is kept, the rest is trained again."""
    script.ask(0)
    script.epochs(0, 0.5, 0.6, 0.7)
    write_all(settings, place, stage)
    lines = stage.journal.read_bytes().splitlines(keepends=True)
    stage.journal.write_bytes(b"".join(lines[:2]))
    script.epochs(0, 0.61, 0.71, 0.81, first=2)
    runs = StageRuns(settings, place, "search", stage)
    runs.recall_points()
    runs.write(list(read_events(stage.journal)))
    _, (child,) = find_runs(place)
    assert points_of(place, child)["iou"] == [(1, 0.5), (2, 0.6), (3, 0.7), (4, 0.81)]
    assert child.data.tags["epochs_trained_again"] == "2, 3"


def test_parameters_that_would_change_keep_their_value(settings, place, script, stage, find_runs, make_settings):
    script.journal.write(Opened(cache_key="key"))
    script.ask(0, params={"batch_size": 4}, batch_size=4)
    write_all(settings, place, stage)
    changed = stage.journal.read_text().replace('"batch_size":4', '"batch_size":8')
    stage.journal.write_text(changed)
    runs = write_all(make_settings(epochs=9, trials=2), place, stage)
    (parent,), (child,) = find_runs(place)
    assert (child.data.params["batch_size"], parent.data.params["epochs"]) == ("4", "3")
    assert runs.set_aside == {}


def test_retraining_that_was_begun_anew_has_runs_of_its_own(settings, place, stage, find_runs, points_of, tmp_path):
    """The folder of a retraining is moved away, and another winner is trained."""
    for number, rate in enumerate((1e-3, 2e-3)):
        folder = StageFolder(root=tmp_path / f"retrain{number}")
        journal = Journal(folder.journal, "iou")
        values = TrainConfig.from_values({"learning_rate": rate}).values()
        journal.write(Asked(trial=0, fold=number, values=values, params={}))
        journal.write(Epoch(trial=0, epoch=1, metrics={"iou": rate}))
        journal.close()
        StageRuns(settings, place, "retrain", folder).write(list(read_events(folder.journal)))
    parents, children = find_runs(place)
    assert len(parents) == 2
    assert {child.data.params["fold"] for child in children} == {"0", "1"}
    assert sorted(points_of(place, child)["iou"] for child in children) == [[(1, 1e-3)], [(1, 2e-3)]]
    assert len({child.data.tags["mlflow.parentRunId"] for child in children}) == 2


def test_names_and_texts_that_mlflow_refuses_block_nothing(settings, place, script, stage, find_runs, points_of):
    names = ["iou/car//van", "iou/..", "iou/a/../b", "iou/" + "x" * 300, "iou/\x1b[31m"]
    script.ask(0)
    script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.5, **dict.fromkeys(names, 0.25)})
    script.end(0, "failed", "\x00" * 9000)
    runs = write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    points = points_of(place, child)
    assert len(points) == 7
    assert points["iou"] == [(1, 0.5)]
    assert runs.set_aside == {}
    assert len(child.data.tags["reason"]) == 8000


def test_what_mlflow_still_refuses_is_set_aside_and_named_and_the_rest_arrives(
    settings, place, script, stage, find_runs, points_of, monkeypatch
):
    """A value that is longer than MLflow takes when it is told not to cut."""
    monkeypatch.setattr("search.tracking.writer.PARAM_LETTERS", 7000)
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    values = {**TrainConfig().values(), "backbone": "b" * 6500}
    params = {"backbone": values["backbone"], "loss": values["loss"]}
    script.write("asked", trial=0, fold=0, values=values, params=params)
    script.epochs(0, 0.5)
    runs = write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    assert list(runs.set_aside) == ["backbone"]
    assert "6000" in runs.set_aside["backbone"]
    assert child.data.params.keys() == {"loss"}
    assert points_of(place, child)["iou"] == [(1, 0.5)]


def test_picture_that_is_none_is_set_aside_and_the_rest_arrives(settings, place, script, stage, find_runs, points_of):
    picture = stage.trial(0) / "epoch_0001.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"no picture")
    script.ask(0)
    script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.5}, picture=str(picture.relative_to(stage.root)))
    script.end(0)
    runs = write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    assert list(runs.set_aside) == ["pictures"]
    assert (points_of(place, child)["iou"], child.info.status) == ([(1, 0.5)], "FINISHED")


def test_files_that_their_store_did_not_take_are_sent_later(settings, place, script, stage, find_runs, points_of):
    picture = stage.trial(0) / "epoch_0001.jpg"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (9, 6)).save(picture)
    (place.storage / "mlartifacts").write_text("no folder")
    script.ask(0)
    script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.5}, picture=str(picture.relative_to(stage.root)))
    runs = write_all(settings, place, stage)
    runs.note_position("3 abc")
    assert runs.set_aside.keys() == {"files", "pictures"}
    again = StageRuns(settings, place, "search", stage)
    assert again.sent_position == "", "so that all of it is sent again"
    (place.storage / "mlartifacts").unlink()
    again = write_all(settings, place, stage)
    again.note_position("3 abc")
    _, (child,) = find_runs(place)
    client = MlflowClient(place.tracking_uri)
    assert {file.path for file in client.list_artifacts(child.info.run_id)} == {"configuration.json", "images"}
    assert points_of(place, child)["iou"] == [(1, 0.5)]
    assert StageRuns(settings, place, "search", stage).sent_position == "3 abc"


def test_picture_is_sent_once(settings, place, script, stage, find_runs):
    picture = stage.trial(0) / "epoch_0001.jpg"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(picture)
    script.ask(0)
    script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.5}, picture=str(picture.relative_to(stage.root)))
    for _ in range(2):
        write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    files = MlflowClient(place.tracking_uri).list_artifacts(child.info.run_id, "images")
    assert len([file for file in files if not file.path.endswith(SMALL_ENDING)]) == 2


def test_picture_that_a_person_put_beside_is_passed_over(settings, place, script, stage, find_runs, tmp_path):
    script.ask(0)
    write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    (tmp_path / "a+b+c+d+e.png").write_bytes(b"mine")
    MlflowClient(place.tracking_uri).log_artifact(child.info.run_id, str(tmp_path / "a+b+c+d+e.png"), "images")
    assert find_pictures(MlflowClient(place.tracking_uri), child.info.run_id) == set()


def test_runs_that_were_deleted_come_back_when_their_trials_go_on(settings, place, script, stage, find_runs, points_of):
    client = MlflowClient(place.tracking_uri)
    script.journal.write(Opened(cache_key="key"))
    script.ask(0)
    script.ask(1)
    script.epochs(0, 0.5)
    script.end(1)
    write_all(settings, place, stage)
    (parent,), children = find_runs(place)
    for run in (parent, *children):
        client.delete_run(run.info.run_id)
    script.epochs(0, 0.6, first=2)
    runs = StageRuns(settings, place, "search", stage)
    events = list(read_events(stage.journal))
    runs.recall(events[:-1])
    runs.write(events[-1:])
    (same,), (child,) = find_runs(place)
    assert same.info.run_id == parent.info.run_id
    assert child.info.run_id == children[0].info.run_id, "what has ended stays deleted"
    assert points_of(place, child)["iou"] == [(1, 0.5), (2, 0.6)]


def test_run_that_was_deleted_for_good_is_made_anew_as_it_was_when_its_trial_goes_on(
    settings, place, script, stage, find_runs
):
    """Instead of by MLflow's `gc`, which deletes it from the database, it becomes another search's."""
    client = MlflowClient(place.tracking_uri)
    script.journal.write(Opened(cache_key="key"))
    script.ask(0, params={"loss": "ce"})
    script.write("epoch", trial=0, epoch=1, metrics={"iou": 0.5}, device="cpu")
    write_all(settings, place, stage)
    _, (before,) = find_runs(place)
    client.set_tag(before.info.run_id, "search.id", "another")
    script.write("epoch", trial=0, epoch=2, metrics={"iou": 0.6}, device="cpu")
    runs = StageRuns(settings, place, "search", stage)
    events = list(read_events(stage.journal))
    runs.recall(events[:-1])
    runs.write(events[-1:])
    after = next(run for run in find_runs(place)[1] if run.info.run_id != before.info.run_id)
    assert (after.info.run_name, after.info.start_time) == (before.info.run_name, before.info.start_time)
    assert after.data.params == before.data.params
    assert after.data.tags["device"] == "cpu"
    assert len(after.inputs.dataset_inputs) == 1
    assert [file.path for file in client.list_artifacts(after.info.run_id)] == ["configuration.json"]


@pytest.mark.parametrize("number", ["the first", ""])
def test_run_whose_number_a_person_changed_is_nobodys(settings, place, script, stage, number):
    script.ask(0)
    runs = write_all(settings, place, stage)
    client = MlflowClient(place.tracking_uri)
    (child,) = client.search_runs([runs.experiment_id], "tags.`search.trial` = '0'")
    client.set_tag(child.info.run_id, "search.trial", number)
    script.epochs(0, 0.5)
    write_all(settings, place, stage)
    (new,) = client.search_runs([runs.experiment_id], "tags.`search.trial` = '0'")
    assert new.info.run_id != child.info.run_id
    assert new.data.metrics["iou"] == 0.5


def test_runs_of_a_parent_that_is_gone_get_the_new_one(settings, place, script, stage, find_runs):
    """MLflow deletes for good what was deleted long ago; here the parent loses the tag that it is found by."""
    script.ask(0)
    former = write_all(settings, place, stage).parent_id
    MlflowClient(place.tracking_uri).set_tag(former, "search.id", "another")
    parent = write_all(settings, place, stage).parent_id
    assert parent != former
    _, (child,) = find_runs(place)
    assert child.data.tags["mlflow.parentRunId"] == parent


def test_search_whose_trials_all_ended_without_a_score_is_said_to_have_failed(
    settings, place, script, stage, find_runs
):
    script.journal.write(Opened(cache_key="key"))
    for trial in (0, 1):
        script.ask(trial)
        script.end(trial, "over a limit", "33 ms per prediction are above --max-latency-ms 5")
    script.write("halted")
    write_all(settings, place, stage).settle()
    (parent,), _ = find_runs(place)
    assert (parent.info.status, parent.data.tags["state"]) == ("FAILED", "ended without a score")
    assert parent.data.tags["reason"] == "no trial can win: 2 over a limit"
    # More of them were asked for since.
    script.journal.write(Opened(cache_key="key"))
    script.ask(2)
    script.write("halted")
    write_all(settings, place, stage).settle()
    (parent,), _ = find_runs(place)
    assert (parent.info.status, parent.data.tags["state"]) == ("KILLED", "interrupted")


@pytest.mark.parametrize(("stage_name", "scores"), [("search", {0: 0.5}), ("confirm", {})])
def test_search_that_has_a_score_and_a_confirmation_without_one_are_only_interrupted(
    settings, place, script, stage, find_runs, stage_name, scores
):
    for trial in (0, 1):
        script.ask(trial)
        script.epochs(trial, scores.get(trial))
        script.end(trial, "finished" if trial in scores else "diverged")
    runs = StageRuns(settings, place, stage_name, stage)
    runs.write(list(read_events(stage.journal)))
    runs.settle()
    (parent,), _ = find_runs(place)
    assert (parent.info.status, parent.data.tags["state"]) == ("KILLED", "interrupted")


def test_interrupted_search_leaves_nothing_running_until_it_goes_on(settings, place, script, stage, find_runs):
    script.journal.write(Opened(cache_key="key"))
    script.ask(0)
    script.ask(1)
    script.end(1)
    script.write("halted")
    write_all(settings, place, stage).settle()
    (parent,), children = find_runs(place)
    assert [run.info.status for run in (parent, *children)] == ["KILLED", "KILLED", "FINISHED"]
    assert [run.data.tags["outcome"] for run in (parent, *children)] == ["interrupted", "interrupted", "finished"]
    script.journal.write(Opened(cache_key="key"))
    script.write("started", trial=0)
    write_all(settings, place, stage)
    (parent,), children = find_runs(place)
    assert [run.info.status for run in (parent, *children)] == ["RUNNING", "RUNNING", "FINISHED"]
    assert [run.data.tags["outcome"] for run in (parent, *children)] == ["", "", "finished"]
    script.end(0)
    script.journal.write(Closed(metrics={"iou": 0.7}, note="done"))
    script.write("halted")
    write_all(settings, place, stage).settle()
    parents, children = find_runs(place)
    assert [run.info.status for run in (*parents, *children)] == ["FINISHED"] * 3


def test_trial_that_waits_when_a_search_is_closed_is_no_run_that_runs(settings, place, script, stage, find_runs):
    script.journal.write(Opened(cache_key="key"))
    script.ask(0)
    script.journal.write(Closed(metrics={"iou": 0.7}, note="the time was spent"))
    write_all(settings, place, stage).settle()
    (parent,), (child,) = find_runs(place)
    assert (parent.info.status, child.info.status) == ("FINISHED", "KILLED")


def test_passwords_stand_in_no_file_and_no_parameter(make_settings, place, script, stage, find_runs):
    address = "https://u:PW@host/w"
    script.ask(0, params={"weights": address}, weights=address)
    write_all(make_settings(fixed={"weights": address}), place, stage)
    (parent,), (child,) = find_runs(place)
    client = MlflowClient(place.tracking_uri)
    documents = [
        read_document(client, run.info.run_id, name)
        for run, name in ((parent, "settings.json"), (child, "configuration.json"))
    ]
    assert documents[0]["settings"]["fixed"] == {"weights": "https://***@host/w"}
    assert child.data.params["weights"] == documents[1]["values"]["weights"] == "https://***@host/w"


def test_metric_that_is_never_anything_but_0_is_not_there_and_comes_whole_when_it_is(
    settings, place, script, stage, find_runs, points_of
):
    def report(trial, epoch, bicycle):
        script.write("epoch", trial=trial, epoch=epoch, metrics={"iou": 0.0, "iou/bicycle": bicycle, "iou/bus": 0.0})

    for trial in (0, 1):
        script.ask(trial)
        report(trial, 1, 0.0)
    write_all(settings, place, stage)
    assert [points_of(place, child).keys() for child in find_runs(place)[1]] == [{"iou"}] * 2
    report(1, 2, 0.25)
    runs = StageRuns(settings, place, "search", stage)
    events = list(read_events(stage.journal))
    runs.recall(events[:-1])
    runs.write(events[-1:])
    _, children = find_runs(place)
    assert points_of(place, children[0])["class/bicycle"] == [(1, 0.0)]
    assert points_of(place, children[1])["class/bicycle"] == [(1, 0.0), (2, 0.25)]
    assert all("class/bus" not in points_of(place, child) for child in children)
    script.journal.write(Closed(metrics={"iou": 0.0, "iou/bicycle": 0.0, "iou/bus": 0.0}, note="done"))
    write_all(settings, place, stage)
    (parent,), _ = find_runs(place)
    assert parent.data.metrics.keys() == {"iou", "class/bicycle"}


def test_costs_add_up_over_the_devices_of_a_worker(settings, make_place, place, script, stage, find_runs, points_of):
    script.ask(0)
    for epoch in (1, 2):
        script.write("epoch", trial=0, epoch=epoch, metrics={"iou": 0.5, "seconds": 900.0})
    StageRuns(settings, make_place(gpus_per_trial=2), "search", stage).write(list(read_events(stage.journal)))
    points = points_of(place, find_runs(place)[1][0])
    assert points["device_seconds"] == [(1, 1800.0), (2, 3600.0)]
    assert points["gpu_hours"] == [(1, 0.5), (2, 1.0)]


def test_trial_that_waits_is_no_failure_and_says_why_it_does(settings, place, script, stage, find_runs):
    for trial, score in ((0, 0.5), (1, 0.4), (2, 0.3)):
        script.ask(trial, epochs=9)
        script.epochs(trial, score)
        script.write("checkpoint", trial=trial, epoch=1, path=f"ray/{trial}")
    for trial in (1, 2):
        script.end(trial, "stopped by ASHA", f"rank {trial + 1} of 3")
    write_all(settings, place, stage)
    _, children = find_runs(place)
    assert [child.info.status for child in children] == ["RUNNING", "SCHEDULED", "SCHEDULED"]
    assert children[1].data.tags["state"] == "waits after epoch 1 of 9"
    assert children[1].data.tags["reason"] == "rank 2 of 3"
    stopped = [child.info.end_time for child in children[1:]]
    script.write("dropped", trial=2)
    script.end(0)
    script.journal.write(Closed(metrics={"iou": 0.5}, note="done"))
    write_all(settings, place, stage)
    _, children = find_runs(place)
    assert [child.info.status for child in children] == ["FINISHED"] * 3
    assert [child.info.end_time for child in children[1:]] == stopped, "waiting is no part of a run's duration"
    assert [child.data.tags["state"] for child in children[1:]] == ["stopped after epoch 1 of 9"] * 2
    assert children[1].data.tags["reason"] == "rank 2 of 3; in the end rank 2 of 3 there"
    assert children[2].data.tags["reason"].startswith("rank 3 of 3; its checkpoint was given up")
    assert children[2].data.tags["reason"].endswith("; in the end rank 3 of 3 there")
    assert [child.data.metrics["rank"] for child in children] == [1, 2, 3]


def test_input_of_a_run_is_the_data_set_with_digests_of_files_and_folds(settings, place, script, stage, find_runs):
    script.journal.write(Opened(cache_key="0123456789abcdef"))
    stage.root.joinpath("folds.json").write_text("{}")
    script.ask(0, fold=3)
    write_all(settings, place, stage)
    _, (child,) = find_runs(place)
    (data,) = child.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("data", "01234567-44136fa3")
    assert data.tags[0].value == "validated on fold 3"


def test_fold_that_a_retraining_took_over_does_not_count_again_among_those_of_its_configuration(
    settings, place, script, stage, find_runs
):
    """The view of folds groups runs by this parameter, and the confirmation's own run of the fold has it."""
    script.ask(4, params={"crop_size": 256}, crop_size=256)
    script.epochs(4, 0.5)
    again = StageFolder(root=stage.root / "retrain", search=stage.root)
    journal = Journal(again.journal, "iou")
    values = script.journal.history.trials[4].values
    journal.write(Asked(trial=0, fold=1, values=values, params={}, copy_of=3))
    journal.write(Asked(trial=1, fold=2, values=values, params={}))
    journal.close()
    StageRuns(settings, place, "retrain", again).write(list(read_events(again.journal)))
    _, (taken_over, trained) = find_runs(place)
    assert "configuration" not in taken_over.data.params
    assert taken_over.data.params["copy_of"] == "#3 of the confirmation"
    assert trained.data.params["configuration"] == "#4"


def test_retraining_shows_the_configuration_that_it_trains_again(settings, place, script, stage, find_runs, tmp_path):
    crops = {"input_mode": "crop", "crop_size": 256}
    script.ask(4, params=crops, **crops)
    script.epochs(4, 0.5)
    script.end(4)
    again = StageFolder(root=stage.root / "retrain", search=stage.root)
    journal = Journal(again.journal, "iou")
    values = script.journal.history.trials[4].values | {"epochs": 5, "patience_epochs": 0}
    journal.write(Asked(trial=0, fold=2, values=values, params={}))
    journal.close()
    StageRuns(settings, place, "retrain", again).write(list(read_events(again.journal)))
    _, (child,) = find_runs(place)
    assert child.info.run_name == "resnet34 crop256 ce #4, fold 2"
    assert child.data.params == {"configuration": "#4", "fold": "2", "input_mode": "crop", "crop_size": "256"}
