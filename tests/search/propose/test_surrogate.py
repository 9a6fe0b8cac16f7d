import math

import numpy as np
import pytest

from search.propose.surrogate import Surrogate, _fit, _improvement, _matern, _spread_out


def make_line(count: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Targets that depend on the first of two parameters alone: highest at 0.7."""
    random = np.random.default_rng(0)
    first, second = random.random((count, 1)), random.random((count, 1))
    return [first, second], -((first[:, 0] - 0.7) ** 2)


def test_kernel_is_matern_of_five_halves_and_its_slope():
    """At distance 1: (1 + 5^0.5 + 5/3) exp(-5^0.5) = 4.9027 x 0.10688, and -5/6 (1 + 5^0.5) x 0.10688."""
    kernel, slope = _matern(np.array([[0.0, 1.0]]))
    assert kernel[0] == pytest.approx([1.0, 0.52399], abs=1e-5)
    assert slope[0] == pytest.approx([-0.83333, -0.28822], abs=1e-5)


def test_what_is_believed_before_anything_is_known():
    """One point tells nothing of weights, which are 6 together; the noise n of 0.1 falls by about n / (2 + 2 n)."""
    log_weights, log_noise = _fit([np.array([[0.3]])] * 3, np.zeros(1))
    assert np.exp(log_weights) == pytest.approx([2.0, 2.0, 2.0])
    assert log_noise == pytest.approx(math.log(0.1) - 0.1 / 2.2, abs=0.01)


def score_fit(features, values, log_weights, log_noise):
    """The logarithm of how probable weights and a noise are, but for a constant; from the book's formula 5.8."""
    squares = sum(weight * (each - each.T) ** 2 for weight, each in zip(np.exp(log_weights), features, strict=True))
    kernel = _matern(squares)[0] + math.exp(log_noise) * np.eye(len(values))
    explained = -values @ np.linalg.solve(kernel, values) - np.linalg.slogdet(kernel)[1]
    usual = ((log_weights - math.log(6 / len(features))) / 1.5) @ ((log_weights - math.log(6 / len(features))) / 1.5)
    return (explained - usual - (log_noise - math.log(0.1)) ** 2) / 2


def test_weights_and_noise_that_are_fitted_are_more_probable_than_those_around_them():
    features, targets = make_line(20)
    values = targets / targets.std() + 0.3 * np.random.default_rng(1).standard_normal(20)
    log_weights, log_noise = _fit(features, values)
    best = score_fit(features, values, log_weights, log_noise)
    for step in (-0.5, 0.5):
        assert score_fit(features, values, log_weights, log_noise + step) < best
        for place in np.eye(2):
            assert score_fit(features, values, log_weights + step * place, log_noise) < best


def test_of_many_values_those_from_the_best_to_the_worst_are_fitted_evenly():
    # 159 values, of which 80 are every second one.
    assert _spread_out(np.arange(159.0)).tolist() == list(range(0, 159, 2))
    assert _spread_out(np.arange(80.0)).tolist() == list(range(80))


def test_improvement_by_hand():
    """Of a normal gain the mean of what is above 0: phi(0); 2 (0.5 Phi(0.5) + phi(0.5)); phi(1) - Phi(-1)."""
    gains = _improvement(np.array([0.0, 1.0, -1.0]), np.array([1.0, 2.0, 1.0]))
    assert gains == pytest.approx([0.39894, 1.39559, 0.08332], abs=1e-5)


def test_the_best_known_is_the_best_that_is_predicted_not_the_luckiest_of_all():
    """Targets are noise alone, whose best of 40 is near 2: where nothing depends on anything, little is predicted."""
    random = np.random.default_rng(0)
    features, targets = [random.random((40, 1))], random.standard_normal(40)
    assert targets.max() > 2
    assert 0 < Surrogate(features, targets).best < 1


def test_improvement_is_expected_where_targets_rise():
    features, targets = make_line(20)
    surrogate = Surrogate(features, targets)
    places = np.linspace(0, 1, 101)[:, None]
    gains = surrogate.expect_improvement([places, np.full_like(places, 0.5)])
    assert places[np.argmax(gains), 0] == pytest.approx(0.7, abs=0.1)


def test_a_parameter_without_influence_gets_less_weight():
    features, targets = make_line(40)
    weights = Surrogate(features, targets)._log_weights
    assert weights[0] > weights[1] + 1


def test_nothing_more_is_expected_where_a_point_is_pending():
    features, targets = make_line(8)
    surrogate = Surrogate(features, targets)
    place = [np.array([[0.95]]), np.array([[0.95]])]
    before = surrogate.expect_improvement(place)[0]
    surrogate.believe(place)
    assert surrogate.expect_improvement(place)[0] < before / 2


def test_what_is_believed_changes_no_mean_and_is_as_sure_as_what_is_known():
    features, targets = make_line(8)
    surrogate = Surrogate(features, targets)
    asked = [np.linspace(-1, 2, 7)[:, None], np.full((7, 1), 0.5)]
    before, unsure = surrogate._predict(asked)
    surrogate.believe([np.array([[0.95], [1.5]]), np.array([[0.95], [0.2]])])
    means, spreads = surrogate._predict(asked)
    assert means == pytest.approx(before)
    assert (spreads < unsure).all()
    differences = surrogate._points[:, None] - surrogate._points
    kernel = _matern((differences**2).sum(axis=2))[0] + surrogate._noise * np.eye(10)
    assert surrogate._inverse_NN @ kernel == pytest.approx(np.eye(10), abs=1e-8)


def test_equal_targets_are_no_obstacle():
    features, _ = make_line(5)
    gains = Surrogate(features, np.zeros(5)).expect_improvement(features)
    assert np.isfinite(gains).all()


def test_where_nothing_is_known_what_is_drawn_has_the_mean_and_spread_of_all_targets():
    surrogate = Surrogate([np.array([[0.0], [0.3], [0.7], [1.0]])], np.array([1.0, 5.0, 1.0, 5.0]))
    nowhere = [np.full((2000, 1), 1000.0)]
    drawn = surrogate.draw(nowhere, 2, np.random.default_rng(0))
    assert drawn.shape == (2, 2000)
    # (1 + 5 + 1 + 5) / 4 = 3, and each is 2 away from it; 4000 draws tell either to about 2 / 63.
    assert drawn.mean() == pytest.approx(3, abs=0.12)
    assert drawn.std() == pytest.approx(2, abs=0.12)
    # Two draws have nothing to do with each other: 2000 pairs correlate by chance to about 1 / 45.
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.1
    # So little is known there that luck is worth more than the mean.
    expected = _improvement(np.array([3 - surrogate.best]), np.array([2.0]))
    assert surrogate.expect_improvement(nowhere)[0] == pytest.approx(expected[0])


def test_what_is_drawn_varies_less_where_much_is_known():
    features, targets = make_line(40)
    surrogate = Surrogate(features, targets)
    known, far = (
        surrogate.draw([np.full((500, 1), place), np.full((500, 1), 0.5)], 1, np.random.default_rng(0))
        for place in (0.5, 100.0)
    )
    assert known.std() < far.std() / 2
