from mlflow import MlflowClient

from search.tracking.finding import find_experiment
from search.tracking.runs import StageRuns


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


def test_experiment_is_found_among_many(settings, place, stage, script):
    runs, client = write_all(settings, place, stage, script)
    client.rename_experiment(runs.experiment_id, "streets at dusk")
    for number in range(101):
        client.create_experiment(f"other {number}")
    assert find_experiment(client, settings).experiment_id == runs.experiment_id
