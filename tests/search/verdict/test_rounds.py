import pytest

from search.memory.history import TrialRecord
from search.verdict.rounds import (
    count_planned,
    count_retrainings,
    count_trainings,
    further_folds,
    further_rounds,
    index_trainings,
    name_round,
    place_training,
    retraining_seeds,
    tell_rounds,
)

OFFICIAL = {"split": "official", "folds": 1, "confirm_folds": 2}


@pytest.mark.parametrize(
    ("changes", "folds"),
    [({}, [1, 2]), ({"fold": 6}, [0, 1]), ({"fold": 1, "folds": 3, "confirm_folds": 9}, [2, 0]), ({"folds": 2}, [1])],
)
def test_further_folds_are_never_the_searchs_own_and_never_more_than_exist(make_settings, changes, folds):
    assert further_folds(make_settings(**changes)) == folds


def test_trainings_of_a_confirmation(make_settings):
    assert count_trainings(make_settings(confirm=3, confirm_folds=2, folds=7)) == 6
    assert count_trainings(make_settings(confirm=3, confirm_folds=2, folds=2)) == 3
    assert count_trainings(make_settings(confirm=3, **OFFICIAL)) == 6


def test_rounds_are_further_folds_or_further_seeds_of_the_only_one(make_settings):
    assert further_rounds(make_settings(fold=2)) == [3, 4]
    assert further_rounds(make_settings(**OFFICIAL)) == [1, 2]
    assert further_folds(make_settings(**OFFICIAL)) == []


def test_round_on_a_further_fold_keeps_the_seed(make_settings):
    assert place_training({"seed": 7, "epochs": 3}, 4, make_settings()) == (4, {"seed": 7, "epochs": 3})


@pytest.mark.parametrize(("own", "seed"), [(7, 9), (2**31 - 1, 1)])
def test_round_on_the_only_fold_has_another_seed(make_settings, own, seed):
    assert place_training({"seed": own, "epochs": 3}, 2, make_settings(**OFFICIAL)) == (0, {"seed": seed, "epochs": 3})


def make_trial(number, seed, fold=0, source=None):
    return TrialRecord(number=number, fold=fold, values={"seed": seed}, params={}, started=0.0, source=source)


def test_training_is_known_by_its_seed_on_the_only_fold_and_by_its_fold_else(make_settings):
    candidates = [make_trial(3, 0), make_trial(4, 2**31 - 1)]
    trainings = [make_trial(0, 1, source=3), make_trial(1, 2, source=3), make_trial(2, 0, source=4)]
    trainings += [make_trial(5, 1, source=9), make_trial(6, 1)]
    found = index_trainings(candidates, trainings, make_settings(**OFFICIAL))
    assert {key: training.number for key, training in found.items()} == {(3, 1): 0, (3, 2): 1, (4, 1): 2}
    trainings = [make_trial(0, 0, fold=1, source=3), make_trial(1, 0, fold=2, source=3)]
    found = index_trainings(candidates, trainings, make_settings())
    assert {key: training.number for key, training in found.items()} == {(3, 1): 0, (3, 2): 1}


def test_retraining_is_once_per_fold_or_once_per_further_seed(make_settings):
    assert (count_retrainings(make_settings()), retraining_seeds({"seed": 5}, make_settings())) == (7, [])
    official = make_settings(**OFFICIAL)
    assert (count_retrainings(official), retraining_seeds({"seed": 5}, official)) == (2, [6, 7])


def test_rounds_are_told_as_what_they_are(make_settings):
    assert name_round(3, make_settings()) == "on fold 3"
    assert name_round(3, make_settings(**OFFICIAL)) == "with seed +3"
    assert tell_rounds(2, make_settings()) == "confirmed on 2 further folds"
    assert tell_rounds(2, make_settings(**OFFICIAL)) == (
        "confirmed with 2 further seeds on the official split; no further folds exist"
    )
    own = make_settings(split="own", folds=1)
    assert tell_rounds(1, own) == "confirmed with 1 further seed on the only fold; no further folds exist"


def test_trainings_of_each_stage_are_counted(make_settings):
    """Three configurations on two further folds."""
    settings = make_settings(trials=20)
    assert [count_planned(stage, settings) for stage in ("search", "confirm", "retrain")] == [20, 6, 7]
