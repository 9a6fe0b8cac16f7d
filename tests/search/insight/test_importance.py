import random

import pytest

from search.insight.importance import (
    CHANCE,
    account,
    best_by,
    common_epoch,
    count_stops,
    find_front,
    measure_importance,
    score_against_time,
)
from search.memory.history import History


def event(kind: str, trial: int, time: float, **content) -> dict:
    return {"event": kind, "trial": trial, "time": time, **content}


def make_trials(*trials: dict) -> History:
    """Trials of params, epochs (iou by epoch, ten seconds each) and an outcome; each begins when the last one ended."""
    history, now = History(), 1000.0
    history.apply({"event": "opened", "cache_key": "key", "time": now})
    for number, trial in enumerate(trials):
        asked = {"fold": 0, "values": {}, "params": trial.get("params", {}), "drawable": trial.get("drawable", True)}
        history.apply(event("asked", number, now, **asked))
        for epoch, iou in enumerate(trial["ious"], start=1):
            now += 10
            content = {"metrics": {} if iou is None else {"iou": iou}, "picture": None, "verdict": ""}
            history.apply(event("epoch", number, now, epoch=epoch, **content))
        if trial.get("outcome", "finished"):
            now += 1
            history.apply(event("ended", number, now, outcome=trial.get("outcome", "finished"), message=""))
    return history


def test_scores_compare_after_the_epoch_that_nearly_all_trials_reached():
    assert common_epoch(History()) == 0
    lengths = [3] * 6 + [9] * 3
    assert common_epoch(make_trials(*({"ious": [0.5] * length} for length in lengths))) == 3
    # One of ten ended early, as one that diverged does.
    assert common_epoch(make_trials({"ious": [0.5]}, *({"ious": [0.5] * 3} for _ in range(9)))) == 3


def test_stops_are_counted_by_epoch():
    stopped = {"outcome": "stopped by ASHA"}
    history = make_trials(
        {"ious": [0.1], **stopped}, {"ious": [0.1] * 3, **stopped}, {"ious": [0.1], **stopped}, {"ious": [0.1] * 9}
    )
    assert count_stops(history) == {1: 2, 3: 1}


def test_time_is_accounted_for_by_how_trials_ended():
    history = make_trials(
        {"ious": [0.1, 0.2]},
        {"ious": [0.1], "outcome": "diverged"},
        {"ious": [], "outcome": "failed"},
        {"ious": [0.1], "outcome": ""},
    )
    found = {each.end: (each.trials, each.seconds, each.epochs) for each in account(history)}
    # Ten seconds an epoch and one to end; who has not ended counts to the last epoch.
    assert found == {"finished": (1, 21.0, 2), "failed": (2, 12.0, 1), "not ended": (1, 10.0, 1)}


def test_time_that_epochs_report_is_taken_where_they_do():
    history = make_trials({"ious": [0.1, 0.2]})
    for record in history.trials[0].epochs.values():
        record.metrics["seconds"] = 4.0
    assert [each.seconds for each in account(history)] == [8.0]


def test_best_score_against_time_leaves_pauses_out():
    history = make_trials({"ious": [0.3, 0.2, None, 0.5]})
    history.apply({"event": "halted", "time": 1041.0})
    history.apply({"event": "closed", "time": 1041.0})
    history.apply({"event": "opened", "cache_key": "key", "time": 5000.0})
    content = {"metrics": {"iou": 0.7}, "picture": None, "verdict": ""}
    history.apply(event("asked", 1, 5000.0, fold=0, values={}, params={}))
    history.apply(event("epoch", 1, 5010.0, epoch=1, **content))
    course = score_against_time(history)
    assert course == [(10.0, 0.3), (40.0, 0.5), (51.0, 0.7)]
    assert [best_by(course, seconds) for seconds in (9, 10, 39, 60)] == [None, 0.3, 0.3, 0.7]


def searched(count: int, **changes) -> History:
    """Scores depend on the backbone and not on the loss; the crop size is drawn in half of the trials."""
    draw = random.Random(1)
    trials = []
    for number in range(count):
        params = {
            "backbone": draw.choice("abc"),
            "loss": draw.choice("xyz"),
            "rate": 10 ** draw.uniform(-4, -2),
            "one": 1,
        }
        if number % 2:
            params["crop_size"] = draw.choice((64, 128))
        iou = 0.5 + 0.2 * (params["backbone"] == "a") + draw.gauss(0, 0.01)
        trials.append({"params": params, "ious": [iou], **changes})
    return make_trials(*trials)


def test_choice_that_decides_the_score_is_told_from_one_that_does_not():
    found = {each.name: each for each in measure_importance(searched(40))}
    assert set(found) == {"backbone", "loss", "rate", CHANCE}
    assert found["backbone"].share > 0.8
    assert found["backbone"].low > found[CHANCE].high
    assert found["loss"].low <= found[CHANCE].high
    for each in found.values():
        assert 0 <= each.low <= each.share <= each.high <= 1
    assert next(iter(found)) == "backbone", "the most important comes first"


@pytest.mark.parametrize(("count", "changes"), [(11, {}), (30, {"drawable": False})])
def test_nothing_is_said_of_few_trials(count, changes):
    assert measure_importance(searched(count, **changes)) == []


@pytest.mark.parametrize("noise", [0.0, 1e-12])
def test_nothing_is_said_of_scores_that_hardly_differ(noise):
    history = searched(20)
    for number, trial in history.trials.items():
        trial.epochs[1].metrics["iou"] = 0.5 + noise * (number == 3)
    for each in measure_importance(history):
        assert 0 <= each.low <= each.high <= 1
    if not noise:
        assert measure_importance(history) == []


def test_importance_is_the_same_each_time():
    assert measure_importance(searched(14)) == measure_importance(searched(14))


def test_front_has_the_trials_that_no_other_beats_in_both():
    """Trial 3 is slower and worse than 0; 4 is as fast as 1 and worse; 5 was not measured; 6 failed."""
    costs = [(0.8, 30.0), (0.6, 10.0), (0.9, 90.0), (0.7, 40.0), (0.5, 10.0), (0.99, None), (0.95, 1.0)]
    outcomes = ["finished"] * 6 + ["failed"]
    history = make_trials(
        *({"ious": [iou, iou], "outcome": end} for (iou, _), end in zip(costs, outcomes, strict=True))
    )
    for number, (_, latency_ms) in enumerate(costs):
        if latency_ms is not None:
            history.trials[number].epochs[1].metrics["latency_ms"] = latency_ms
    assert [trial.number for trial in find_front(history)] == [1, 0, 2]
