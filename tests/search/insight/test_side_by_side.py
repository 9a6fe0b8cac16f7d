from dataclasses import replace
from pathlib import Path

import pytest

from search.insight.record import read_record
from search.insight.side_by_side import compare_winners, find_obstacles, list_differences, list_settings, tell_ahead
from search.memory.history import History
from search.memory.outcome import Outcome
from segcore.data.dividing.split import FoldSplit, write_folds
from tests.search.report.simulated import simulate_search


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two searches of the same data and folds, both confirmed."""
    storage = tmp_path_factory.mktemp("both") / "searches"
    return [
        read_record(simulate_search(storage, trials=6, workers=2, name=name, seed=seed))
        for seed, name in enumerate(("first", "second"))
    ]


def test_winners_are_compared_on_the_images_of_both(both):
    ahead = compare_winners(*both)
    assert (ahead.folds, ahead.images) == ((1, 2), 40)
    scores = [
        [
            [trial.epochs[27].score for trial in record.confirmation.in_order if trial.source == record.best.trial]
            for record in both
        ]
    ]
    (ours, theirs) = scores[0]
    assert ahead.difference.estimate == pytest.approx(sum(theirs) / 2 - sum(ours) / 2)
    assert ahead.difference.low < ahead.difference.estimate < ahead.difference.high


def test_a_search_beside_itself_is_told_to_be_no_better(both):
    first = both[0]
    assert compare_winners(first, first).difference.estimate == 0
    assert tell_ahead(first, first).startswith("Their winners cannot be told apart: iou of first less that of first is")


def test_who_is_ahead_on_every_image_is_told_so(both):
    first, second = both
    better = History("iou")
    better.trials = {
        number: replace(
            trial,
            epochs={
                epoch: replace(
                    record, image_scores={name: score + 1 for name, score in (record.image_scores or {}).items()}
                )
                for epoch, record in trial.epochs.items()
            },
        )
        for number, trial in first.confirmation.trials.items()
    }
    ahead = replace(first, confirmation=better, settings=second.settings)
    told = tell_ahead(first, ahead)
    assert told.startswith("The winner of second is ahead: iou of second less that of first is +1.0000 to +1.0000")
    assert "over 40 images of folds 1 and 2" in told
    assert tell_ahead(ahead, first).startswith("The winner of second is ahead: iou of first less that of second is -1.")


def test_several_seeds_of_one_fold_count_with_the_mean_of_each_image(both):
    """Three trainings on one fold, by 0, 0.1 and 0.5 better on each image than the one: 0.2 on average."""
    first, _ = both
    one = next(trial for trial in first.confirmation.in_order if trial.source == first.best.trial)
    alone, again = History("iou"), History("iou")
    # Of 20 images of the fold one was not scored here.
    end = one.epochs[one.last_epoch]
    known = dict(list(end.image_scores.items())[1:])
    alone.trials = {0: replace(one, epochs={one.last_epoch: replace(end, image_scores=known)})}
    for number, more in enumerate((0.0, 0.1, 0.5)):
        better = replace(end, image_scores={name: score + more for name, score in end.image_scores.items()})
        again.trials[number] = replace(one, number=number, epochs={**one.epochs, one.last_epoch: better})
    # One that failed on the way says nothing of where it would have got to.
    again.trials[3] = replace(again.trials[2], number=3, outcome=Outcome.FAILED)
    pair = replace(first, confirmation=alone), replace(first, confirmation=again)
    ahead = compare_winners(*pair)
    assert (ahead.folds, ahead.images) == ((one.fold,), 19)
    assert ahead.difference.estimate == pytest.approx(0.2)
    assert f"over 19 images of fold {one.fold}, " in tell_ahead(*pair)


def test_scores_of_other_folds_metrics_or_data_do_not_compare(both, make_settings, tmp_path):
    first, second = both
    assert find_obstacles(first, second) == []
    other = replace(second, settings=make_settings(objective="miou", fold=1))
    assert find_obstacles(first, other) == [
        "first is decided by iou, streets by miou", "trials are scored on fold 0 and on fold 1",
    ]  # fmt: skip
    moved = replace(second.folder, root=tmp_path)
    write_folds(FoldSplit(folds=2, fold_of={"a": 0, "b": 1}, block_of={"a": "a", "b": "b"}), moved.folds)
    assert compare_winners(first, other) is None
    assert find_obstacles(first, replace(second, folder=moved)) == ["their images are divided into other folds"]
    assert tell_ahead(first, other).startswith("Their scores cannot be compared: first is decided by")
    assert find_obstacles(first, replace(second, history=History("iou"))) == [
        "their data differ, or what was decoded of it"
    ]


def test_unconfirmed_winners_are_not_compared(both):
    first, second = both
    young = replace(second, confirmation=History("iou"))
    assert compare_winners(first, young) is None
    assert tell_ahead(first, young).startswith("Nobody knows whose winner is ahead")
    assert tell_ahead(first, replace(second, best=None)) == "There are no two winners yet."
    # Earlier versions kept no score of each image.
    without = History("iou")
    without.trials = {
        number: replace(trial, epochs={epoch: replace(each, image_scores=None) for epoch, each in trial.epochs.items()})
        for number, trial in second.confirmation.trials.items()
    }
    assert compare_winners(first, replace(second, confirmation=without)) is None


def test_extra_data_stands_in_no_comparisons_way(both):
    """Both are validated on the same images; whether pseudo labels help is what is asked."""
    first, second = both
    history, other = History("iou"), History("iou")
    for each, key in ((history, f"{first.history.cache_key}+pseudo"), (other, "other+pseudo")):
        each.trials, each.cache_key = second.history.trials, key
    place = replace(second.place, extra=(Path("/pseudo"),))
    more = replace(second, history=history, place=place)
    assert find_obstacles(first, more) == []
    assert list_settings(first, more)["extra"] == ("none", "/pseudo")
    assert find_obstacles(first, replace(second, history=other)) == ["their data differ, or what was decoded of it"]


def test_differences_are_told_by_name(both):
    assert list_differences({"a": 1, "b": 2}, {"b": 3, "c": 4}) == {"a": (1, None), "b": (2, 3), "c": (None, 4)}
    assert list_settings(*both) == {"seed": (0, 1)}
