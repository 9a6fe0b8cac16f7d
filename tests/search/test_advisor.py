import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from search.advisor import Advisor, to_normal_scores

SPACE = {"rate": FloatDistribution(0.0, 1.0), "loss": CategoricalDistribution(("bce", "focal"))}


@pytest.fixture
def advisor() -> Advisor:
    random = np.random.default_rng(1)
    return Advisor(
        SPACE,
        [{"rate": float(random.random()), "loss": loss} for loss in ("bce", "focal") for _ in range(50)],
        epochs=9,
    )


def advise(advisor, params, curves, pending=(), latencies=None):
    codes = [advisor.encode(each) for each in params]
    waiting = [advisor.encode(each) for each in pending]
    return advisor.advise(codes, curves, waiting, np.random.default_rng(0), latencies)


def test_normal_scores_are_quantiles_of_the_middle_ranks():
    # Ranks 1 - 1/2 and 3 - 1/2 ... of 4: 1/8, 4/8 twice, 7/8.
    assert to_normal_scores(np.array([0.1, 0.5, 0.5, 0.9])) == pytest.approx([-1.1503, 0, 0, 1.1503], abs=1e-4)


def test_the_advice_follows_the_scores(advisor):
    rates = np.linspace(0, 1, 12)
    params = [{"rate": float(rate), "loss": loss} for rate in rates for loss in ("bce", "focal")]
    curves = [[0.5 - abs(each["rate"] - 0.45) + 0.2 * (each["loss"] == "focal")] for each in params]
    assert advise(advisor, params, curves)[0]["loss"] == "focal"


def test_a_region_that_fails_is_avoided(advisor):
    params = [{"rate": float(rate), "loss": loss} for rate in np.linspace(0, 1, 10) for loss in ("bce", "focal")]
    curves = [[] if each["rate"] > 0.5 else [0.5 + 0.001 * index] for index, each in enumerate(params)]
    assert all(each["rate"] <= 0.6 for each in advise(advisor, params, curves)[:3])


def test_what_is_advised_lies_apart(advisor):
    """With 24 trials of 2 parameters they would lie 24^(-1/2) = 0.204 apart; proposals lie 0.55 of that at least."""
    params = [{"rate": float(rate), "loss": loss} for rate in np.linspace(0, 1, 12) for loss in ("bce", "focal")]
    advice = advise(advisor, params, [[0.5 - abs(each["rate"] - 0.45)] for each in params])
    assert len(advice) == 6
    for index, one in enumerate(advice):
        others = [each for each in advice[:index] if each["loss"] == one["loss"]]
        assert all(abs(one["rate"] - other["rate"]) >= 0.55 * 24**-0.5 - 1e-9 for other in others)


def test_what_is_fast_and_good_is_sought_where_latencies_are_given(advisor):
    """High rates are good and slow, each as much, so that all of one loss are on one front; focal is a front behind."""
    params = [{"rate": float(rate), "loss": loss} for rate in np.linspace(0, 1, 12) for loss in ("bce", "focal")]
    curves = [[0.5 * each["rate"] - 0.02 * (each["loss"] == "focal")] for each in params]
    good = advise(advisor, params, curves)
    good_and_fast = advise(advisor, params, curves, latencies=[10 + 100 * each["rate"] for each in params])
    assert good[0]["rate"] > 0.8
    assert min(each["rate"] for each in good_and_fast) < 0.2 < min(each["rate"] for each in good)


def test_what_is_pending_is_not_proposed_again(advisor):
    params = [{"rate": rate, "loss": "bce"} for rate in (0.0, 0.1, 0.2, 0.8)]
    curves = [[0.1], [0.2], [0.3], [0.35]]
    first = advise(advisor, params, curves)[0]
    second = advise(advisor, params, curves, [first])[0]
    assert second["loss"] != first["loss"] or abs(second["rate"] - first["rate"]) >= 0.3
