import math

import numpy as np
import pytest

from search.propose.surrogate import Surrogate, _fit, _matern


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


def test_equal_targets_are_no_obstacle():
    features, _ = make_line(5)
    gains = Surrogate(features, np.zeros(5)).expect_improvement(features)
    assert np.isfinite(gains).all()


def test_where_nothing_is_known_what_is_drawn_has_the_mean_and_spread_of_all_targets():
    surrogate = Surrogate([np.array([[0.0], [0.3], [0.7], [1.0]])], np.array([1.0, 3.0, 1.0, 3.0]))
    drawn = surrogate.draw([np.full((2000, 1), 1000.0)], 2, np.random.default_rng(0))
    assert drawn.shape == (2, 2000)
    # (1 + 3 + 1 + 3) / 4 = 2, and each is 1 away from it; 4000 draws tell either to about 1 / 63.
    assert drawn.mean() == pytest.approx(2, abs=0.06)
    assert drawn.std() == pytest.approx(1, abs=0.06)
    # Two draws have nothing to do with each other: 2000 pairs correlate by chance to about 1 / 45.
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.1


def test_what_is_drawn_varies_less_where_much_is_known():
    features, targets = make_line(40)
    surrogate = Surrogate(features, targets)
    known, far = (
        surrogate.draw([np.full((500, 1), place), np.full((500, 1), 0.5)], 1, np.random.default_rng(0))
        for place in (0.5, 100.0)
    )
    assert known.std() < far.std() / 2
