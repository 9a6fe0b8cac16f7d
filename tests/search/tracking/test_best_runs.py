import pytest
from mlflow import MlflowClient

from search.memory.journal import read_events
from search.tracking.best_runs import find_best_params
from search.tracking.runs import StageRuns


@pytest.mark.parametrize(("objective", "batch_sizes"), [("iou", [1, 2]), ("iou/car", [2, 1])])
def test_best_of_an_earlier_search_are_those_of_its_own_objective(
    make_settings, place, script, stage, objective, batch_sizes
):
    for trial, (iou, car) in enumerate([(0.9, 0.3), (0.4, 0.5)]):
        script.ask(trial, batch_size=trial + 1)
        script.write("epoch", trial=trial, epoch=1, metrics={"iou": iou, "iou/car": car})
        script.end(trial)
    settings = make_settings(objective=objective)
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    found = find_best_params(place.tracking_uri, settings.name, 2)
    assert [values["batch_size"] for values in found] == batch_sizes


def test_best_of_an_earlier_search_are_those_with_the_highest_score_of_any_epoch(settings, place, script, stage):
    for trial, ious in enumerate([(0.4, 0.5), (0.9, 0.1), (0.6, 0.0), (0.2, 0.5), (0.0,), (0.95,)]):
        script.ask(trial, batch_size=trial + 1)
        script.epochs(trial, *ious)
        script.end(trial, "failed" if trial == 5 else "finished")
    StageRuns(settings, place, "search", stage).write(list(read_events(stage.journal)))
    found = find_best_params(place.tracking_uri, settings.name, 9)
    # The same order as from the search's folder: 0.9, 0.6, of two with 0.5 the earlier, 0; none that failed.
    assert [values["batch_size"] for values in found] == [2, 3, 1, 4, 5]
    # A person may have called the experiment otherwise.
    client = MlflowClient(place.tracking_uri)
    client.rename_experiment(client.get_experiment_by_name("streets").experiment_id, "mine")
    assert (
        find_best_params(place.tracking_uri, "streets", 9) == find_best_params(place.tracking_uri, "mine", 9) == found
    )
    assert find_best_params(place.tracking_uri, "other", 9) == []
