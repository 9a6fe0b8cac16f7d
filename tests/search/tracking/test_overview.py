import shutil

import pytest
from mlflow import MlflowClient

from search.folder import SearchFolder
from search.opening import read_search
from search.place import Place
from search.tracking.follower import Tracker
from search.tracking.overview import write_overview


@pytest.fixture
def place(searched, empty_database) -> Place:
    """Where the search of three trials is sent: a database in its storage."""
    shutil.copy(empty_database, searched.root.parent / "mlflow.db")
    return read_search(searched)[1]


def send(folder: SearchFolder, place: Place) -> None:
    for name in ("search", "confirm"):
        tracker = Tracker(read_search(folder)[0], place, name, folder.stages[name])
        assert (tracker.close(), tracker.lack, tracker.set_aside) == (0, None, {})


def read_confirmations(place: Place) -> dict[str, str]:
    """What each run of the search says of the confirmation, by its trial."""
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("streets").experiment_id
    runs = client.search_runs([experiment], "tags.`search.stage` = 'search'")
    found = {run.data.tags["search.trial"]: run.data.tags.get("confirmation", "") for run in runs}
    return {trial: told for trial, told in sorted(found.items()) if told}


def test_a_run_no_longer_says_that_it_won_once_others_are_to_be_confirmed(searched, place, open_script):
    searched.confirm_stage.root.mkdir()
    with open_script(searched.confirm_stage.journal) as script:
        for number, (source, iou) in enumerate(((1, 0.65), (2, 0.3))):
            script.ask(number, fold=1, source=source, batch_size=source + 1, epochs=1)
            metrics, scores = {"iou": iou}, {"a": iou, "b": iou}
            script.write("epoch", trial=number, epoch=1, metrics=metrics, image_scores=scores)
            script.end(number)
    with open_script(searched.search_stage.journal) as script:
        script.write("closed", metrics={"iou": 0.65}, note="")
    send(searched, place)
    write_overview(place, searched)
    assert read_confirmations(place)["1"] == "the winner"
    with open_script(searched.search_stage.journal) as script:
        for trial, iou in ((3, 0.8), (4, 0.9)):
            script.ask(trial, batch_size=trial + 1, epochs=1)
            script.epochs(trial, iou)
            script.end(trial)
    send(searched, place)
    write_overview(place, searched)
    found = read_confirmations(place)
    # The search's own run, which stands beside nobody, says nothing of that.
    assert found == dict.fromkeys("12", "confirmed before; not among those that are compared now")
