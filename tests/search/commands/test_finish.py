from dataclasses import replace

import pytest

from search.commands.finish import fetch, find_further, require_own_retraining
from search.folder import SearchFolder
from search.place import write_place
from search.settings import write_settings
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, TrackingError


@pytest.fixture
def folder(tmp_path, open_script) -> SearchFolder:
    """A search of four trials, of which the first won."""
    found = SearchFolder(root=tmp_path / "streets")
    found.root.mkdir()
    with open_script(found.search_stage.journal) as script:
        for trial, iou in enumerate((0.9, 0.8, 0.7, 0.6)):
            script.ask(trial, batch_size=trial + 1)
            script.epochs(trial, iou)
            script.end(trial)
    return found


@pytest.fixture
def winner(make_best):
    return replace(make_best(), values=TrainConfig.from_values({"batch_size": 1}).values())


def _trials(found):
    return None if found is None else [each.trial for each in found]


def test_as_many_configurations_join_the_winner_as_are_asked_for(folder, winner):
    assert find_further(folder, "iou", winner, None) is None
    assert find_further(folder, "iou", winner, 1) == []
    assert _trials(find_further(folder, "iou", winner, 3)) == [1, 2]
    assert _trials(find_further(folder, "iou", winner, 9)) == [1, 2, 3]


def test_retraining_goes_on_with_the_configurations_that_it_began_with(folder, winner, open_script):
    folder.retrain_stage.root.mkdir()
    with open_script(folder.retrain_stage.journal) as script:
        script.ask(0, batch_size=1)
        script.ask(1, batch_size=3, source=2, epochs=5)
    assert _trials(find_further(folder, "iou", winner, None)) == [2]
    found = find_further(folder, "iou", winner, 3)
    # With the values that it was begun with, whatever the search would say now.
    assert (_trials(found), found[0].values["epochs"]) == ([2, 1], 5)
    assert find_further(folder, "iou", winner, 1) == []


def test_retraining_of_an_earlier_winner_is_refused_before_anything_starts(folder, winner, open_script):
    require_own_retraining(folder, winner)
    folder.retrain_stage.root.mkdir()
    with open_script(folder.retrain_stage.journal) as script:
        script.ask(0, batch_size=2)
    with pytest.raises(CheckpointError, match=r"streets/retrain retrains another winner than best\.json names now"):
        require_own_retraining(folder, winner)
    require_own_retraining(folder, replace(winner, values={**winner.values, "batch_size": 2, "seed": 7}))


def test_model_of_a_damaged_database_is_an_error_with_the_remedy(folder, make_settings, make_place, tmp_path):
    storage = folder.root.parent
    write_settings(make_settings(), folder.settings)
    write_place(make_place(storage=storage), folder.place)
    (storage / "mlflow.db").write_text("no database" * 400)
    with pytest.raises(TrackingError, match="is no whole MLflow database"):
        fetch(name="streets", tracking_uri=None, out=tmp_path / "model", version=0, storage=storage)
