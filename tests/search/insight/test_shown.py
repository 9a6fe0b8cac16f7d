from dataclasses import replace

import pytest

from search.insight.shown import choose_shown
from search.memory.history import History

NONE = {"ious": [0.9], "outcome": "failed"}


@pytest.fixture
def draw(make_trials):
    """Return a function that builds trials, of which each has drawn a picture after each of its epochs."""

    def build(*trials: dict) -> History:
        history = make_trials(*trials)
        for trial in history.trials.values():
            for epoch, record in trial.epochs.items():
                trial.epochs[epoch] = replace(record, picture=f"{trial.number}/{epoch}")
        return history

    return build


def tell(record) -> list[tuple[str, str]]:
    return [(shown.epoch.picture, shown.says) for shown in choose_shown(record)]


def test_the_best_the_median_and_the_worst_of_those_that_may_win_are_shown_at_their_best(draw, make_record):
    history = draw({"ious": [0.1]}, {"ious": [0.5, 0.6, 0.4]}, {"ious": [0.3]}, {"ious": [0.4]}, NONE)
    assert tell(make_record(history)) == [
        ("1/2", "trial 1, the best of 4"), ("2/1", "trial 2, the median of 4"), ("0/1", "trial 0, the worst of 4"),
    ]  # fmt: skip


def test_of_two_none_is_the_median_and_of_one_none_is_the_worst(draw, make_record):
    pair = draw({"ious": [0.1]}, {"ious": [0.2]})
    assert tell(make_record(pair)) == [("1/1", "trial 1, the best of 2"), ("0/1", "trial 0, the worst of 2")]
    # Where none may win, one that failed shows what there is.
    assert tell(make_record(draw(NONE))) == [("0/1", "trial 0, the best of 1")]
    assert tell(make_record(History("iou"))) == []


def test_where_the_best_epoch_drew_nothing_the_last_picture_is_shown_and_without_any_none(draw, make_record):
    history = draw({"ious": [0.3, 0.5, 0.4, 0.2]}, {"ious": [0.1]})
    for trial, epoch in ((0, 2), (0, 4), (1, 1)):
        records = history.trials[trial].epochs
        records[epoch] = replace(records[epoch], picture=None)
    assert tell(make_record(history)) == [("0/3", "trial 0, the best of 2")]


@pytest.mark.parametrize(("folds", "place"), [(3, "fold 0"), (1, "seed 7")])
def test_four_trainings_of_the_winner_are_shown_at_their_end(draw, make_record, make_best, folds, place):
    best = make_best()
    settings = {"folds": folds, "split": "folds" if folds > 1 else "official"}
    again = draw(*([{"ious": [0.5, 0.4], "values": {**best.values, "seed": 7}}] * 5))
    shown = tell(make_record(History("iou"), retraining=again, best=best, settings=settings))
    assert shown == [(f"{trial}/2", f"retrained, {place}") for trial in range(4)]
    # That of an earlier winner is no picture of this one.
    earlier = replace(best, values={**best.values, "batch_size": 1})
    assert tell(make_record(History("iou"), retraining=again, best=earlier, settings=settings)) == []
