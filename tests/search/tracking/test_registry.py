import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mlflow import MlflowClient

from search.tracking.registry import register_model
from search.tracking.runs import StageRuns
from segcore.errors import TrackingError
from segcore.networks.model import build_architecture
from segcore.prediction.ensemble_files import ENSEMBLE_FILE, save_ensemble, save_options
from segcore.prediction.options import PredictOptions


def test_model_that_a_deleted_experiment_cannot_take_is_named_with_the_command_for_afterwards(
    settings, place, stage, script, tmp_path
):
    runs = StageRuns(settings, place, "search", stage)
    MlflowClient(place.tracking_uri).delete_experiment(runs.experiment_id)
    (tmp_path / ENSEMBLE_FILE).write_text(json.dumps({"format": "street-ensemble-3"}))
    with pytest.raises(TrackingError) as caught:
        register_model(settings, place, stage, tmp_path, "retrain streets")
    told = str(caught.value)
    assert told.startswith(f"The ensemble is in {tmp_path}, but MLflow did not take it. MLflow's experiment 'streets'")
    assert f"restore --experiment-id {runs.experiment_id}'" in told
    assert told.endswith("After that, run 'retrain streets' again.")


@pytest.mark.parametrize(
    ("status", "when"),
    [
        (403, "when its administrator lets this user log and register 'streets'"),
        (503, "when the server answers"),
        (404, "once that is mended"),
    ],
)
def test_model_that_a_server_refuses_is_named_with_what_has_to_happen(
    settings, make_place, stage, tmp_path, monkeypatch, status, when
):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / ENSEMBLE_FILE).write_text(json.dumps({"format": "street-ensemble-3"}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = make_place(tracking_uri=f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(TrackingError, match=re.escape(f"); {when}, run 'retrain streets' again.")):
            register_model(settings, place, stage, tmp_path, "retrain streets")
        server.shutdown()


@pytest.fixture
def model(tmp_path):
    return tmp_path / "model"


@pytest.fixture
def register(settings, place, stage, make_config, classes, model):
    """Return a function that registers a model, the same each time."""
    notes = {"trial": 0, "out_of_fold": {"iou": 0.5}, "fold_scores": {"0": 0.5}}
    weights = build_architecture(make_config(), 4).state_dict()

    def write_and_register():
        save_ensemble(model, iter([weights]), config=make_config(), classes=classes, notes=notes)
        return register_model(settings, place, stage, model, "retrain streets")

    return write_and_register


def test_model_is_registered_anew_only_when_it_has_changed(register, model):
    first, again = register(), register()
    assert [(each.address, each.known) for each in (first, again)] == [
        ("models:/streets/1", False),
        ("models:/streets/1", True),
    ]
    assert (again.digest, again.champion) == (first.digest, "version 1 is champion")
    save_options(model, PredictOptions(flip=True))
    tuned = register()
    assert (tuned.address, tuned.known) == ("models:/streets/2", False)
    assert tuned.champion == "version 2 is champion, in place of version 1", "who asks for it gets what was tuned"
    assert register().address == "models:/streets/2"


def test_champion_that_a_person_chose_since_stays_where_nothing_is_registered(register, model, place):
    register()
    save_options(model, PredictOptions(flip=True))
    register()
    client = MlflowClient(place.tracking_uri)
    client.set_registered_model_alias("streets", "champion", "1")
    again = register()
    assert (again.known, client.get_model_version_by_alias("streets", "champion").version) == (True, 1)
    assert again.champion == "version 1 stays champion: it was chosen since version 2 was registered"
    client.delete_registered_model_alias("streets", "champion")
    assert register().champion == "version 2 is champion"


def test_version_that_was_registered_and_not_introduced_is_taken_up(register, place):
    first, client = register(), MlflowClient(place.tracking_uri)
    # As who is killed in between leaves it.
    for tag in client.get_model_version("streets", "1").tags:
        if tag != "street.sha256":
            client.delete_model_version_tag("streets", "1", tag)
    client.update_model_version("streets", "1", description="")
    again = register()
    assert (again.address, again.digest, again.known) == ("models:/streets/1", first.digest, False)
    version = client.get_model_version("streets", "1")
    assert version.tags["street.trial"] == "0"
    assert "Expect iou 0.5000" in version.description
    assert register().known


def test_what_an_interrupted_registration_left_is_deleted(register, place):
    register()
    client = MlflowClient(place.tracking_uri)
    run = client.get_model_version("streets", "1").run_id
    experiment = client.get_run(run).info.experiment_id
    left, others, _, _ = (
        client.create_logged_model(experiment, name=name, source_run_id=run)
        for name in ("ensemble", "ensemble", "ensemble", "theirs")
    )
    client.create_model_version("streets", left.artifact_location, run_id=run)
    client.create_model_version("streets", others.artifact_location, run_id=run, description="a person's")
    register()
    versions = client.search_model_versions("name = 'streets'")
    told = sorted((each.version, each.description[:10]) for each in versions)
    assert told[:2] == [(1, "1 networks"), (3, "a person's")]
    logged = [each.name for each in client.search_logged_models([experiment])]
    assert "theirs" in logged
    assert logged.count("ensemble") == len(versions)


def test_version_that_a_person_made_of_the_registered_model_stays(register, place):
    register()
    client = MlflowClient(place.tracking_uri)
    files, run = client.get_model_version_download_uri("streets", "1"), client.get_model_version("streets", "1").run_id
    # As MLflow's button for it does, without a word.
    client.create_model_version("streets", files, run_id=run)
    register()
    assert {1, 2} <= {each.version for each in client.search_model_versions("name = 'streets'")}


def test_what_a_person_registered_under_a_name_of_their_own_stays(register, place):
    register()
    client = MlflowClient(place.tracking_uri)
    run = client.get_model_version("streets", "1").run_id
    logged = client.create_logged_model(client.get_run(run).info.experiment_id, name="ensemble", source_run_id=run)
    client.create_registered_model("theirs")
    # As MLflow's button for it does, without a word.
    client.create_model_version("theirs", logged.artifact_location, run_id=run, model_id=logged.model_id)
    register()
    assert [each.version for each in client.search_model_versions("name = 'theirs'")] == [1]
    assert client.get_logged_model(logged.model_id).name == "ensemble"
