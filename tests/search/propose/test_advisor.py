import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from search.propose.advisor import Advisor, _choose_apart, _judge, _thin, to_normal_scores
from search.propose.surrogate import Surrogate

RANGES = ("rate", "decay", "smoothing")
SPACE = {
    **{name: FloatDistribution(0.0, 1.0) for name in RANGES},
    "loss": CategoricalDistribution(("ce", "focal")),
}


def draw(count: int, seed: int) -> list[dict]:
    random = np.random.default_rng(seed)
    return [
        {**{name: float(random.random()) for name in RANGES}, "loss": ("ce", "focal")[number % 2]}
        for number in range(count)
    ]


@pytest.fixture
def advisor() -> Advisor:
    return Advisor(SPACE, draw(100, 1), 9)


def advise(advisor, params, curves, pending=(), latencies=None):
    codes = [advisor.encode(each) for each in params]
    waiting = [advisor.encode(each) for each in pending]
    return advisor.advise(codes, curves, waiting, np.random.default_rng(0), latencies)


def distance(one: dict, other: dict) -> float:
    """As configurations are compared: each range is 1, and so is another choice."""
    return (sum((one[name] - other[name]) ** 2 for name in RANGES) + (one["loss"] != other["loss"])) ** 0.5


def test_normal_scores_are_quantiles_of_the_middle_ranks():
    # Ranks 1 - 1/2 and 3 - 1/2 ... of 4: 1/8, 4/8 twice, 7/8.
    assert to_normal_scores(np.array([0.1, 0.5, 0.5, 0.9]), np.array([0, 2, 3])) == pytest.approx(
        [-1.1503, 0, 1.1503], abs=1e-4
    )


def test_the_advice_follows_the_scores(advisor):
    params = draw(30, 2)
    curves = [[0.5 - abs(each["rate"] - 0.45) + 0.2 * (each["loss"] == "focal")] for each in params]
    proposals = advise(advisor, params, curves)
    assert {each["loss"] for each in proposals} == {"focal"}
    assert all(0.2 < each["rate"] < 0.7 for each in proposals), "random ones are so with a chance of 1 in 64"


def test_what_is_like_the_best_trials_is_looked_at_where_chance_does_not_get():
    """The best three of 30 lie at 0.9 in each of twelve ranges, the others at 0.1; none of 150 draws is near either."""
    names = [f"range{number}" for number in range(12)]
    random = np.random.default_rng(0)
    pool = [{name: float(random.random()) for name in names} for _ in range(100)]
    advisor = Advisor({name: FloatDistribution(0.0, 1.0) for name in names}, pool, 9)
    params = [{name: middle + random.uniform(-0.05, 0.05) for name in names} for middle in [0.9] * 3 + [0.1] * 27]
    proposals = advise(advisor, params, [[0.9]] * 3 + [[0.1 + 0.01 * number] for number in range(27)])
    assert np.mean(list(proposals[0].values())) > 0.75, "the mean of twelve draws is so once in a thousand times"


def test_the_advice_follows_who_got_further_not_who_starts_fast(advisor):
    params = draw(30, 2)
    curves = [[0.1, 0.2, 0.3, 0.4] if each["loss"] == "focal" else [0.9] for each in params]
    assert {each["loss"] for each in advise(advisor, params, curves)} == {"focal"}
    stopped = [curve[:1] for curve in curves]
    assert {each["loss"] for each in advise(advisor, params, stopped)} == {"ce"}


@pytest.mark.parametrize(
    ("parameters", "points", "chosen"),
    [
        # Less than 0.3 is near. 0.6 is the best, then 0.0; 0.25 is near 0.0, 0.5 and 0.85 near 0.6; 0.95 is not.
        (3, [0.0, 0.25, 0.5, 0.6, 0.85, 0.95], [3, 0, 5]),
        # Of one parameter 0.55 / 6 = 0.092 is: 0.05 is near 0.0, 0.65 near 0.6.
        (1, [0.0, 0.05, 0.5, 0.6, 0.65, 0.95], [3, 0, 2, 5]),
    ],
)
def test_proposals_are_the_best_that_are_not_near_each_other(parameters, points, chosen):
    """They differ in the first parameter alone."""
    features = [np.array(points)[:, None], *([np.zeros((6, 1))] * (parameters - 1))]
    assert _choose_apart(features, [np.array([0.9, 0.8, 0.7, 0.95, 0.5, 0.1])] * 6) == chosen


@pytest.mark.parametrize(("parameters", "trials"), [(1, 3), (3, 9), (6, 72), (7, 146)])
def test_a_space_is_crowded_when_trials_lie_nearer_than_a_quarter_and_a_bit(parameters, trials):
    """0.55 / trials^(1 / parameters) is less than 0.27 from (0.55 / 0.27)^parameters trials on."""
    space = {str(number): FloatDistribution(0.0, 1.0) for number in range(parameters)}
    advisor = Advisor(space, [dict.fromkeys(space, 0.5)], 9)
    assert advisor.is_crowded(trials) and not advisor.is_crowded(trials - 1)


def test_each_judgement_chooses_its_best_that_is_not_near_those_before():
    """Of three parameters less than 0.3 is near; they differ in the first alone."""
    features = [np.array([0.0, 0.25, 0.5, 0.6, 0.85, 0.95])[:, None], np.zeros((6, 1)), np.zeros((6, 1))]
    worths = [
        np.array([0.9, 0.8, 0.7, 0.95, 0.5, 0.1]),  # 0.6 is the best
        np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.5]),  # 0.85 is near 0.6, 0.6 is taken, 0.5 near it; so is 0.95 not
        np.array([0.1, 0.7, 0.8, 0.9, 0.2, 0.3]),  # 0.6 is taken, 0.5 near it; 0.25 is not
    ]
    assert _choose_apart(features, worths) == [3, 5, 1]


def test_candidates_are_judged_by_turns_by_what_is_expected_and_by_luck():
    random = np.random.default_rng(0)
    places = [random.random((20, 1))]
    surrogate = Surrogate(places, places[0][:, 0])
    gains = surrogate.expect_improvement(places)
    judged = _judge(surrogate, places, random)
    assert len(judged) == 6
    assert all(np.array_equal(each, gains) for each in judged[::2])
    assert not np.array_equal(judged[1], judged[3]), "each drawn anew"


def test_proposals_are_unlike_each_other_and_all_that_is_known(advisor):
    params = draw(12, 3)
    proposals = advise(advisor, params, [[0.1 * each["rate"]] for each in params])
    assert len(proposals) == 6
    for number, one in enumerate(proposals):
        assert all(distance(one, other) > 0.3 for other in proposals[:number])
        assert all(distance(one, other) >= 0.295 for other in params)  # 0.55 x 12 ** (-1 / 4)


def test_a_region_that_fails_is_avoided(advisor):
    """Half of what is drawn lies there."""
    params = draw(30, 4)
    curves = [[] if each["rate"] > 0.5 else [0.5 + 0.001 * index] for index, each in enumerate(params)]
    assert all(each["rate"] <= 0.6 for each in advise(advisor, params, curves))
    # Also where it is the fastest: who failed has not been good at anything.
    latencies = [5.0 if each["rate"] > 0.5 else 20.0 + index for index, each in enumerate(params)]
    assert all(each["rate"] <= 0.6 for each in advise(advisor, params, curves, latencies=latencies))


def test_what_is_pending_is_not_proposed_again(advisor):
    params = draw(12, 5)
    curves = [[each["rate"]] for each in params]
    first = advise(advisor, params, curves)
    then = advise(advisor, params, curves, first)
    assert len(first) == 6
    assert then
    for one in then:
        assert all(distance(one, other) >= 0.267 for other in first)  # 0.55 x (12 + 6) ** (-1 / 4)


def test_less_is_expected_beside_what_is_pending_so_that_the_other_end_is_tried():
    """The trials lie in the middle and say the same of both ends; what is pending is not near either."""
    advisor = Advisor({"rate": FloatDistribution(0.0, 1.0)}, [{"rate": place / 100} for place in range(101)], 9)
    params = [{"rate": rate} for rate in (0.45, 0.55, 0.47, 0.53, 0.49, 0.51)]
    curves = [[0.5], [0.5], [0.4], [0.4], [0.3], [0.3]]
    assert advise(advisor, params, curves, [{"rate": 0.8}])[0]["rate"] < 0.5
    assert advise(advisor, params, curves, [{"rate": 0.2}])[0]["rate"] > 0.5


def test_of_more_trials_than_the_model_takes_the_best_half_and_evenly_others_are_kept():
    kept = _thin(np.arange(300))
    assert kept[:75].tolist() == list(range(75))
    assert (len(kept), kept[75], kept[-1]) == (150, 75, 299)
    assert set(np.diff(kept[75:]).tolist()) == {3, 4}  # 224 / 74 = 3.03


def test_where_all_trials_failed_any_configuration_may_come_next(advisor):
    params = draw(12, 6)
    assert len(advise(advisor, params, [[] for _ in params])) == 6


def test_what_is_fast_and_good_is_sought_where_latencies_are_given(advisor):
    """High rates are good and slow, each as much, so that all of one loss are on one front; focal is a front behind."""
    params = [{"rate": float(rate), "loss": loss} for rate in np.linspace(0, 1, 12) for loss in ("ce", "focal")]
    curves = [[0.5 * each["rate"] - 0.02 * (each["loss"] == "focal")] for each in params]
    good = advise(advisor, params, curves)
    good_and_fast = advise(advisor, params, curves, latencies=[10 + 100 * each["rate"] for each in params])
    assert min(each["rate"] for each in good_and_fast) < min(each["rate"] for each in good)
    assert {each["loss"] for each in good_and_fast} == {"ce"}
