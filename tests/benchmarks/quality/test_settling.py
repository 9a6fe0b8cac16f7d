import math

import pytest

from benchmarks.quality.recording_job import DIVERGED
from benchmarks.quality.settling import correlate, describe
from segcore.errors import ConfigError

# Four configurations on two folds. After the first epoch the second and third have changed places, at the end of the
# other fold the first two: 1 - 6 * 2 / (4 * 15) = 0.8 each.
CURVES = {
    **{(number, 0, 0): curve for number, curve in enumerate([[0.1, 0.4], [0.3, 0.5], [0.2, 0.6], [0.4, 0.7]])},
    **{(number, 1, 0): curve for number, curve in enumerate([[0.1, 0.5], [0.3, 0.4], [0.2, 0.6], [0.4, 0.7]])},
}


def rows(curves: dict) -> list[dict]:
    return [
        {
            "configuration": number,
            "fold": fold,
            "seed": seed,
            "epoch": epoch,
            "score": score,
            "seconds": 2.0,
            "ended": "",
        }
        for (number, fold, seed), curve in curves.items()
        for epoch, score in enumerate(curve, start=1)
    ]


def test_early_scores_are_compared_with_the_last_ones_on_the_same_fold_and_on_another():
    # On fold 1 places after the first epoch are 0 2 1 3 and at the end 1 0 2 3: squares 1, 4, 1, 0, so 1 - 36 / 60.
    assert correlate(CURVES, 1) == (pytest.approx((0.8 + 0.4) / 2), pytest.approx((0.4 + 0.8) / 2))
    assert correlate(CURVES, 2) == (pytest.approx(1.0), pytest.approx(0.8))


def test_equal_scores_share_a_rank():
    # Ranks 1.5 1.5 3 4 and 2 1 3 4: products of what is off the mean are 0.5 + 1.5 + 0.25 + 2.25 = 4.5, squares 4.5 and
    # 5, so 4.5 / sqrt(22.5).
    curves = {(number, 0, 0): curve for number, curve in enumerate([[0.0, 0.5], [0.0, 0.4], [0.2, 0.6], [0.4, 0.7]])}
    assert correlate(curves, 1)[0] == pytest.approx(4.5 / 22.5**0.5)


def test_another_seed_of_the_same_fold_is_no_other_fold():
    seeds = {(number, 0, fold): curve for (number, fold, _), curve in CURVES.items()}
    same, other = correlate(seeds, 1)
    assert same == pytest.approx((0.8 + 0.4) / 2)
    assert math.isnan(other)


def test_trainings_that_did_not_get_to_the_end_are_counted_and_left_out():
    """One diverged in its first epoch, another in its last."""
    nothing = {"fold": 0, "seed": 0, "score": None, "seconds": None, "ended": DIVERGED}
    ended = [{**nothing, "configuration": 4, "epoch": 1}, {**nothing, "configuration": 5, "epoch": 2}]
    told = describe([*rows({**CURVES, (5, 0, 0): [0.1]}), *ended], epochs=2).splitlines()
    assert told[0].startswith("6 configurations, 10 trainings, 2 not to the end; seconds of a whole one: median 4.0")
    assert told[-1].split() == ["2", "1.00", "0.80"]


def test_a_table_without_a_whole_training_says_so():
    with pytest.raises(ConfigError, match="None of 8 trainings got to its end"):
        describe(rows(CURVES), epochs=3)
