import random
from dataclasses import replace
from statistics import mean

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from search.insight.importance import CHANCE, _distribution, measure_importance, read_known
from search.memory.history import History


def searched(make_trials, count: int, **changes) -> History:
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


def test_choice_that_decides_the_score_is_told_from_one_that_does_not(make_trials):
    found = {each.name: each for each in measure_importance(searched(make_trials, 40), 1)}
    assert set(found) == {"backbone", "loss", "rate", CHANCE}
    assert found["backbone"].share > 0.8
    assert found["backbone"].low > found[CHANCE].high
    assert found["loss"].low <= found[CHANCE].high
    for each in found.values():
        assert 0 <= each.low <= each.share <= each.high <= 1
    assert next(iter(found)) == "backbone", "the most important comes first"


def test_a_number_that_means_nothing_explains_no_more_than_chance(make_trials):
    """Where trials come twice in a resample, either number says which of them are the same."""
    shares: dict[str, list[float]] = {}
    for seed in range(6):
        draw = random.Random(seed)
        trials = ({"params": {"nothing": draw.random()}, "ious": [draw.random()]} for _ in range(16))
        for each in measure_importance(make_trials(*trials), 1):
            shares.setdefault(each.name, []).append(each.share)
    assert mean(shares["nothing"]) < 1.2 * mean(shares[CHANCE])


@pytest.mark.parametrize(("count", "changes"), [(11, {}), (30, {"drawable": False})])
def test_nothing_is_said_of_few_trials(make_trials, count, changes):
    assert measure_importance(searched(make_trials, count, **changes), 1) == []


def flatten(history, noise=0.0):
    """Give every trial the same score, and trial 3 so much more."""
    for number, trial in history.trials.items():
        trial.epochs[1] = replace(trial.epochs[1], score=0.5 + noise * (number == 3))
    return history


def test_nothing_is_said_of_equal_scores(make_trials):
    assert measure_importance(flatten(searched(make_trials, 20)), 1) == []


def test_shares_stay_shares_where_scores_hardly_differ(make_trials):
    for each in measure_importance(flatten(searched(make_trials, 20), noise=1e-12), 1):
        assert 0 <= each.low <= each.high <= 1


def test_importance_is_the_same_each_time(make_trials):
    once = measure_importance(searched(make_trials, 14), 1)
    assert measure_importance(searched(make_trials, 15), 1) != once
    assert measure_importance(searched(make_trials, 14), 1) == once


def test_importance_of_the_same_trials_is_measured_once(make_trials, monkeypatch):
    once = measure_importance(searched(make_trials, 14), 1)
    monkeypatch.delattr("optuna.importance.FanovaImportanceEvaluator")
    assert measure_importance(searched(make_trials, 14), 1) == once
    once.clear()
    assert measure_importance(searched(make_trials, 14), 1), "what a caller does with its list is its own affair"


def test_what_gets_far_is_explained_and_not_what_starts_fast(make_trials):
    """Trials with `a` score higher after the first epoch; those with `fast` off are the ones that get far."""
    trials = []
    for number in range(40):
        fast, loss = bool(number % 2), "xyz"[number // 2 % 3]
        rise = 0.0 if fast else 0.05
        ious = [0.3 + 0.2 * fast + rise * epoch + 0.001 * number for epoch in range(3 if fast else 9)]
        outcome = "stopped by ASHA" if fast or number % 4 == 0 else "finished"
        trials.append({"params": {"fast": fast, "loss": loss}, "ious": ious, "outcome": outcome})
    found = {each.name: each for each in measure_importance(make_trials(*trials), 9)}
    assert found["fast"].low > found[CHANCE].high
    assert found["fast"].share > 0.6


def test_choice_that_decides_only_who_gets_far_matters(make_trials):
    """After the first epoch all score alike but for noise; with rate low a trial is stopped there."""
    random_numbers, trials = random.Random(3), []
    for number in range(40):
        good = bool(number % 2)
        start = 0.5 + random_numbers.gauss(0, 0.01)
        ious = [start, *([start + 0.1] * 8 if good else [])]
        end = "finished" if good else "stopped by ASHA"
        trials.append({"params": {"good": good, "other": "xyz"[number // 2 % 3]}, "ious": ious, "outcome": end})
    found = {each.name: each for each in measure_importance(make_trials(*trials), 9)}
    assert found["good"].low > found[CHANCE].high
    assert found["other"].low <= found[CHANCE].high


def test_configurations_that_diverge_stand_below_all_others(make_trials):
    trials = [
        {"params": {"rate": "high" if n % 2 else "low"}, "ious": [0.5], "outcome": "diverged" if n % 2 else "finished"}
        for n in range(20)
    ]
    found = {each.name: each for each in measure_importance(make_trials(*trials), 1)}
    assert found["rate"].low > found[CHANCE].high


@pytest.mark.parametrize("outcome", ["", "failed", "over a limit"])
def test_trials_of_which_nobody_knows_how_far_they_get_are_left_out(make_trials, outcome):
    assert measure_importance(searched(make_trials, 30, outcome=outcome), 1) == []


def test_choices_that_json_holds_as_lists_are_choices(make_trials):
    trials = [{"params": {"sizes": [1, n % 2]}, "ious": [0.1 + 0.5 * (n % 2) + n / 1000]} for n in range(20)]
    found = {each.name: each for each in measure_importance(make_trials(*trials), 1)}
    assert found["sizes"].low > found[CHANCE].high


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ((1, 2, 3, 4), CategoricalDistribution((1, 2, 3, 4))),
        ((1, 2, 3, 4, 5), FloatDistribution(1, 5)),
        # Over a decade it is the logarithm that counts, where there is one.
        ((0.001, 0.002, 0.003, 0.004, 0.01), FloatDistribution(0.001, 0.01, log=True)),
        ((0.0, 0.002, 0.003, 0.004, 0.01), FloatDistribution(0.0, 0.01)),
        (("b", 3, 2, 1, "a"), CategoricalDistribution((1, 2, 3, "a", "b"))),
    ],
)
def test_numbers_count_as_a_range_where_they_are_more_than_four(values, drawn):
    assert _distribution(values) == drawn


def test_epoch_without_a_score_counts_with_that_before_it_and_the_first_with_that_after(make_history):
    def write(script):
        script.ask(0)
        script.epochs(0, None, 0.2, None, 0.4)
        script.end(0)

    assert read_known(make_history(write))[1] == [[0.2, 0.2, 0.2, 0.4]]


def test_a_number_beyond_the_reach_of_a_forest_ends_no_report(make_trials):
    draw = random.Random(1)
    trials = ({"params": {"clip": draw.uniform(0, 1e300)}, "ious": [draw.random()]} for _ in range(15))
    history = make_trials({"params": {"clip": 0.0}, "ious": [0.5]}, *trials)
    assert {each.name for each in measure_importance(history, 1)} == {"clip", CHANCE}
