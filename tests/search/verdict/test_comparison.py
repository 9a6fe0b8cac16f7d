import numpy as np
import pytest

from search.verdict.comparison import (
    average_images,
    compare_over_folds,
    compare_over_images,
    estimate_choice_bias,
    expect_maximum,
)
from segcore.errors import CheckpointError


def test_difference_over_two_folds_with_its_interval():
    scores = {0: {1: 0.60, 2: 0.70}, 1: {1: 0.50, 2: 0.64}}
    interval = compare_over_folds(scores, 1, 0, folds=3)
    # Differences -0.10 and -0.06. What configuration and fold leave is ±0.01 four times: 0.0004 at 1 degree of freedom.
    # Error: sqrt(2 · 0.0004 · (1/2 + 1/2)) = 0.028284; t(0.975, 1) = 12.7062.
    assert interval.estimate == pytest.approx(-0.08)
    assert interval.high - interval.estimate == pytest.approx(0.359388, rel=1e-4)
    assert interval.estimate - interval.low == pytest.approx(0.359388, rel=1e-4)
    # One that has a fold alone is compared on that.
    for pair, difference in (((2, 0), -0.30), ((0, 2), 0.30)):
        found = compare_over_folds({**scores, 2: {1: 0.30}}, *pair, folds=3)
        assert found.estimate == pytest.approx(difference)


def test_spread_is_learnt_from_all_configurations():
    """A third configuration gives a second degree of freedom: t falls from 12.7 to 4.3."""
    scores = {0: {1: 0.60, 2: 0.70}, 1: {1: 0.50, 2: 0.64}, 2: {1: 0.40, 2: 0.52}}
    interval = compare_over_folds(scores, 1, 0, folds=3)
    # Means of folds: 0.50 and 0.62; of rows: 0.65, 0.57, 0.46; of all: 0.56. Residuals of fold 1: 0.01, -0.01, 0.
    # Sum of squares 4 · 0.0001, variance 0.0002; error sqrt(2 · 0.0002 · 1) = 0.02; t(0.975, 2) = 4.30265.
    assert interval.high - interval.estimate == pytest.approx(0.086053, rel=1e-4)


def test_folds_that_share_much_of_their_training_widen_the_interval():
    scores = {0: {1: 0.60, 2: 0.70}, 1: {1: 0.50, 2: 0.64}}
    widths = [compare_over_folds(scores, 1, 0, folds=folds).high for folds in (3, 9, 1_000_001)]
    halves = [high + 0.08 for high in widths]
    # sqrt(1/2 + 1/8) / sqrt(1/2 + 1/2), and sqrt(1/2) / sqrt(1/2 + 1/2)
    assert halves[1] / halves[0] == pytest.approx(0.790569, rel=1e-4)
    assert halves[2] / halves[0] == pytest.approx(0.707107, rel=1e-4)


def test_one_fold_says_nothing_of_the_next():
    assert compare_over_folds({0: {1: 0.6}, 1: {1: 0.1}}, 1, 0, folds=7) is None


def test_configuration_that_was_dismissed_early_is_compared_on_the_folds_it_has():
    scores = {0: {1: 0.60, 2: 0.70}, 1: {1: 0.50, 2: 0.64}, 2: {1: 0.30}}
    assert compare_over_folds(scores, 2, 0, folds=7).estimate == pytest.approx(-0.3)


def test_several_comparisons_at_once_are_wider():
    scores = {0: {1: 0.60, 2: 0.70}, 1: {1: 0.50, 2: 0.64}}
    one, two = (compare_over_folds(scores, 1, 0, folds=3, comparisons=count) for count in (1, 2))
    assert (two.high + 0.08) / (one.high + 0.08) == pytest.approx(25.4517 / 12.7062, rel=1e-4)  # t(0.9875, 1)


def test_true_difference_lies_in_the_interval_as_often_as_promised():
    """Four configurations, three folds, fold effects and training luck as a normal draw; folds share nothing here."""
    random, inside = np.random.default_rng(0), 0
    for _ in range(400):
        fold_effects = random.normal(0, 0.05, 3)
        scores = {
            row: {fold: 0.1 * row + fold_effects[fold] + random.normal(0, 0.01) for fold in range(3)}
            for row in range(4)
        }
        interval = compare_over_folds(scores, 1, 0, folds=1_000_001)
        inside += interval.low <= 0.1 <= interval.high
    assert 0.92 <= inside / 400 <= 0.98


def test_difference_over_seeds_of_one_fold_with_its_interval():
    scores = {0: {1: 0.60, 2: 0.70}, 1: {1: 0.50, 2: 0.64}}
    interval = compare_over_folds(scores, 1, 0, folds=1)
    # Seeds of one number have nothing in common: means 0.65 and 0.57, residuals ±0.05 and ±0.07, squares 0.0148 at 2
    # degrees of freedom. Error: sqrt(2 · 0.0074 / 2) = 0.086023, not widened; t(0.975, 2) = 4.30265.
    assert interval.estimate == pytest.approx(-0.08)
    assert interval.high - interval.estimate == pytest.approx(0.370128, rel=1e-4)
    # The expected larger of two draws is 0.564190 (1 / sqrt(pi)); times sqrt(0.0074 / 2).
    assert estimate_choice_bias(scores, folds=1) == pytest.approx(0.034318, rel=1e-3)


def test_one_seed_says_nothing_of_the_next():
    assert compare_over_folds({0: {1: 0.6}, 1: {1: 0.1}}, 1, 0, folds=1) is None


def test_image_that_several_trainings_scored_counts_once():
    assert average_images([{"a": 0.2, "b": 0.4}, {"a": 0.4, "b": 0.0, "c": 1.0}]) == pytest.approx({"a": 0.3, "b": 0.2})
    # One that a training did not score, as "c", is left out whichever came first.
    assert average_images([{"a": 0.2, "c": 1.0}, {"a": 0.4}]) == pytest.approx({"a": 0.3})
    assert average_images([]) == {}


BLOCKS = {"a": "x", "b": "x", "c": "y", "d": "y"}


def test_difference_over_images_with_its_interval_over_blocks():
    interval = compare_over_images({1: {"a": 0.1, "b": 0.3, "c": -0.1, "d": 0.1}}, BLOCKS)
    # Sums of blocks from their mean: 0.4 - 0.2 and 0.0 - 0.2. Variance 0.08 / 4² · 2 / 1 = 0.01; t(0.975, 1) = 12.7062.
    assert interval.estimate == pytest.approx(0.1)
    assert interval.high == pytest.approx(0.1 + 1.27062, rel=1e-4)
    assert interval.score_ends == (0.0, 1.0), "were it a score, it would be neither below 0 nor above 1"


def test_folds_count_alike_however_many_images_they_have():
    differences = {0: {"a": 0.2, "c": 0.2}, 1: {"e": 0.0, "f": 0.0, "g": 0.0, "h": 0.0}}
    blocks = {**BLOCKS, "e": "z", "f": "z", "g": "w", "h": "w"}
    assert compare_over_images(differences, blocks).estimate == pytest.approx(0.1)


def test_interval_over_the_images_of_two_folds_is_that_of_their_mean():
    scores = {1: {"a": 0.1, "b": 0.3, "c": -0.1, "d": 0.1}, 2: dict.fromkeys("efgh", 0.0)}
    interval = compare_over_images(scores, {**BLOCKS, "e": "z", "f": "z", "g": "w", "h": "w"})
    # Means 0.1 and 0, variances 0.01 (see above) and 0: (0.01 + 0) / 2² = 0.05². t(0.975, 1 + 1) = 4.30265.
    assert interval.estimate == pytest.approx(0.05)
    assert interval.high == pytest.approx(0.05 + 0.215133, rel=1e-4)


def test_fold_of_a_single_block_tells_no_spread():
    assert compare_over_images({0: {"a": 0.1, "b": 0.2}}, BLOCKS) is None
    assert compare_over_images({}, BLOCKS) is None


def test_largest_of_a_few_normal_draws():
    # 1 / sqrt(pi) and 3 / (2 sqrt(pi)).
    assert [expect_maximum(draws) for draws in (1, 2, 3)] == pytest.approx([0, 0.564190, 0.846284], abs=1e-6)


def test_bias_of_the_best_of_two_equal_ones():
    scores = {0: {1: 0.60, 2: 0.70}, 1: {1: 0.50, 2: 0.64}}
    # Variance 0.0004 (see above), of a mean 0.0004 · (1/2 + 1/2): 0.02 · 0.564190.
    assert estimate_choice_bias(scores, folds=3) == pytest.approx(0.0112838, rel=1e-4)
    # One more that was dismissed after a fold adds nothing to the variance: 0.02 · 0.846284.
    assert estimate_choice_bias({**scores, 2: {1: 0.30}}, folds=3) == pytest.approx(0.0169257, rel=1e-4)


@pytest.mark.parametrize("scores", [{}, {0: {1: 0.6, 2: 0.7}}, {0: {1: 0.6}, 1: {1: 0.5}}], ids=["none", "one", "fold"])
def test_bias_is_not_known_of_a_single_configuration_or_fold(scores):
    assert estimate_choice_bias(scores, folds=7) is None


def test_bias_is_not_known_of_a_single_configuration_with_several_seeds():
    assert estimate_choice_bias({0: {1: 0.6, 2: 0.7}}, folds=1) is None


def test_bias_of_equal_configurations_is_what_is_promised():
    """Three equal configurations, three folds that share nothing: the mean of 2,000 bests less the truth."""
    random, above, promised = np.random.default_rng(0), [], []
    for _ in range(2000):
        scores = {row: {fold: random.normal(0.5, 0.01) for fold in range(3)} for row in range(3)}
        above.append(max(np.mean(list(row.values())) for row in scores.values()) - 0.5)
        promised.append(estimate_choice_bias(scores, folds=1_000_001))
    # Variances are estimated without bias, so their roots are a little short.
    assert np.sqrt(np.mean(np.square(promised))) == pytest.approx(np.mean(above), rel=0.05)


def test_image_that_has_no_block_is_named():
    """As when a case was deleted from folds.json after trials were scored on it."""
    with pytest.raises(CheckpointError, match=r"folds\.json has no case 'b'"):
        compare_over_images({1: {"a": 0.1, "b": 0.2}}, {"a": "x"})
