import pytest
from mlflow import MlflowClient

from search.tracking.finding import find_experiment
from search.tracking.runs import StageRuns
from search.tracking.store import trials_link
from segcore.errors import TrackingError


def write_all(settings, place, stage, script):
    script.ask(0)
    script.epochs(0, 0.5)
    runs = StageRuns(settings, place, "search", stage)
    return runs, MlflowClient(place.tracking_uri)


def test_search_goes_on_in_its_experiment_that_a_person_renamed(settings, place, stage, script, make_settings):
    runs, client = write_all(settings, place, stage, script)
    client.rename_experiment(runs.experiment_id, "streets at dusk")
    assert find_experiment(client, settings).name == "streets at dusk"
    again = StageRuns(settings, place, "search", stage)
    assert (again.experiment_id, again.parent_id) == (runs.experiment_id, runs.parent_id)
    client.delete_run(runs.parent_id)
    assert find_experiment(client, settings).experiment_id == runs.experiment_id
    other = make_settings(name="streets", search_id="another")
    assert find_experiment(client, other) is None
    assert StageRuns(other, place, "search", stage).experiment_id != runs.experiment_id


def test_a_search_keeps_its_renamed_experiment_when_another_takes_the_name(
    settings, place, stage, script, make_settings
):
    runs, client = write_all(settings, place, stage, script)
    client.rename_experiment(runs.experiment_id, "streets at dusk")
    other = make_settings(search_id="another")
    taken = StageRuns(other, place, "search", stage).experiment_id
    assert taken != runs.experiment_id
    assert StageRuns(settings, place, "search", stage).experiment_id == runs.experiment_id
    assert find_experiment(client, other).experiment_id == taken


def test_deleted_experiment_is_told_with_how_it_comes_back_and_how_a_new_one_is_made(settings, place, stage, script):
    runs, client = write_all(settings, place, stage, script)
    client.delete_experiment(runs.experiment_id)
    mlflow = f"MLFLOW_TRACKING_URI={place.tracking_uri} python -m mlflow"
    told = (
        f"MLflow's experiment 'streets' is deleted; restore it by '{mlflow} experiments restore --experiment-id "
        f"{runs.experiment_id}'; or remove it for good, and a new one is made, by '{mlflow} gc --experiment-ids "
        f"{runs.experiment_id} --backend-store-uri {place.tracking_uri}'."
    )
    with pytest.raises(TrackingError) as raised:
        StageRuns(settings, place, "search", stage)
    assert str(raised.value) == told
    with pytest.raises(TrackingError, match="is deleted; restore it"):
        trials_link(settings, place, "http://127.0.0.1:5000")


def test_experiment_is_found_among_many(settings, place, stage, script):
    runs, client = write_all(settings, place, stage, script)
    client.rename_experiment(runs.experiment_id, "streets at dusk")
    for number in range(101):
        client.create_experiment(f"other {number}")
    assert find_experiment(client, settings).experiment_id == runs.experiment_id
