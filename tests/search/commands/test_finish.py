from dataclasses import replace

import pytest

from search.commands.finish import bound_networks, fetch, find_further, require_own_retraining, tell_other_winner
from search.folder import SearchFolder
from search.opening import read_what
from search.place import write_place
from search.settings import write_settings
from search.verdict.selection import name_winner
from segcore.config import TrainConfig
from segcore.errors import CheckpointError, ConfigError, TrackingError


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


def test_networks_of_a_chosen_ensemble_are_bounded_by_what_is_asked_for_or_by_one_configuration(make_settings):
    """Seven folds, and the official split with two seeds."""
    chosen, official = [], make_settings(split="official", folds=1)
    assert [bound_networks(make_settings(), chosen, most) for most in (None, 7, 40)] == [30, 7, 40]
    assert bound_networks(make_settings(folds=36), chosen, None) == 36
    assert bound_networks(make_settings(folds=36), None, None) == 30
    assert bound_networks(official, chosen, 2) == 2
    with pytest.raises(ConfigError, match=r"--max-members 6: .* 7 networks, .* each fold; use --max-members 7 or more"):
        bound_networks(make_settings(), chosen, 6)
    with pytest.raises(ConfigError, match=r"--max-members 1: .* 2 networks, one for each seed"):
        bound_networks(official, chosen, 1)


def test_bound_of_an_ensemble_is_refused_where_none_is_chosen(make_settings):
    with pytest.raises(ConfigError, match=r"--max-members 9 bounds an ensemble .*; give --members 2 or more with it"):
        bound_networks(make_settings(), None, 9)


def test_retraining_of_an_earlier_winner_is_refused_before_anything_starts(folder, winner, open_script):
    require_own_retraining(folder, winner)
    folder.retrain_stage.root.mkdir()
    with open_script(folder.retrain_stage.journal) as script:
        script.ask(0, batch_size=2)
    with pytest.raises(CheckpointError, match=r"streets/retrain retrains another winner than best\.json names now"):
        require_own_retraining(folder, winner)
    require_own_retraining(folder, replace(winner, values={**winner.values, "batch_size": 2, "seed": 7}))


def test_best_json_that_is_behind_or_was_edited_is_told_of_before_it_is_retrained(searched, capsys):
    settings = read_what(searched)
    winner = name_winner(settings, searched)
    tell_other_winner(settings, searched, winner)
    # As the file is read, with a field that the journal has not.
    tell_other_winner(settings, searched, replace(winner, values=TrainConfig.from_values(winner.values).values()))
    assert capsys.readouterr().out == ""
    tell_other_winner(settings, searched, replace(winner, trial=9))
    told = " ".join(capsys.readouterr().out.split())
    assert f"best.json names trial 9, by the journals trial {winner.trial} is the best now." in told
    assert f"'{searched.command('best')}' writes it from the journals." in told
    tell_other_winner(settings, searched, replace(winner, values={**winner.values, "batch_size": 3}))
    told = " ".join(capsys.readouterr().out.split())
    assert f"names trial {winner.trial}, with other values than the journals have." in told


def test_model_of_a_damaged_database_is_an_error_with_the_remedy(folder, make_settings, make_place, tmp_path):
    storage = folder.root.parent
    write_settings(make_settings(), folder.settings)
    write_place(make_place(storage=storage), folder.place)
    (storage / "mlflow.db").write_text("no database" * 400)
    with pytest.raises(TrackingError, match="is no whole MLflow database"):
        fetch(name="streets", tracking_uri=None, out=tmp_path / "model", version=0, storage=storage)
