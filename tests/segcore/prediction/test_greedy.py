import math

import numpy as np
import pytest

from segcore.prediction.greedy import choose_ensemble, select_greedily
from segcore.scoring.metrics import Tally


def _score(table):
    return lambda wanted: [table(weights) for weights in wanted]


def test_selection_begins_with_the_best_few_and_adds_what_helps_most():
    # The nearer the mean of the values 1, 4 and 10 is to 3, the better.
    def closeness(weights):
        return -abs(np.average([1, 4, 10], weights=weights) - 3)

    # Alone 1, 2 and 7 away: the best is the second, both together 0.5 away. Added once more the second gives
    # (1 + 4 + 4) / 3 = 3.
    assert select_greedily(3, _score(closeness), most=3) == (1, 2, 0)
    assert select_greedily(3, _score(closeness), most=1) == (0, 1, 0)


def test_of_equals_the_fewest_networks_are_taken():
    assert select_greedily(3, _score(lambda weights: 0.5), most=3) == (1, 0, 0)


def test_candidate_without_a_score_is_not_begun_with():
    def second_alone(weights):
        return 0.5 if weights == (0, 1) else -math.inf

    assert select_greedily(2, _score(second_alone), most=2) == (0, 1)


@pytest.mark.parametrize(("total", "selected"), [(5, (4, 1)), (6, (1, 0))])
def test_candidates_are_added_until_four_in_a_row_did_not_help(total, selected):
    """With one network 0.5; the fourth that is added makes five of them, the fifth six."""

    def score(weights):
        return 0.9 if sum(weights) == total and weights[1] == 1 else 0.5 if sum(weights) == 1 else 0.4

    assert select_greedily(2, _score(score), most=2) == selected


def test_candidates_are_added_as_long_as_they_help():
    # One of the first and seven of the second: six are added to the first two, more than may be added in vain.
    def nearness(weights):
        return -abs(weights[1] - 7) + 0.1 * (weights[0] == 1)

    assert select_greedily(2, _score(nearness), most=2) == (1, 7)


class _Table:
    """Scores of images by weights, as a ballot gives them."""

    def __init__(self, ious):
        self.ious = ious

    def score(self, wanted):
        return [tuple(self._image(*each) for each in enumerate(self.ious(weights))) for weights in wanted]

    def _image(self, number, iou):
        return Tally(name=str(number), condition="", iou=iou, overlaps_C2=np.zeros((1, 2), np.int64))


def _mean(scores):
    return float(np.mean([score.iou for score in scores]))


def _on_each(better, worse):
    return all(one.iou > other.iou for one, other in zip(better, worse, strict=True))


def test_ensemble_is_kept_where_it_helps_on_images_it_was_not_chosen_on():
    together = _Table(lambda weights: [0.5 + 0.1 * bool(weights[0] and weights[1])] * 4)
    choice = choose_ensemble(together, (1, 0), [0, 0, 1, 1], _mean, most=2, is_ahead=_on_each)
    assert (choice.kept, choice.weights) == (True, (1, 1))
    assert (choice.alone, choice.score, choice.nested) == pytest.approx((0.5, 0.6, 0.6))
    assert (choice.each, choice.optimism) == (pytest.approx((0.5, 0.5)), pytest.approx(0))


def test_ensemble_that_only_fits_its_own_images_gives_way_to_the_plain_model():
    """Each of two candidates is good on one half alone: whichever is chosen on one half fails on the other."""

    def ious(weights):
        first, second = weights[1] > weights[2], weights[2] > weights[1]
        return [0.5 + 0.3 * first - 0.2 * second] * 2 + [0.5 - 0.2 * first + 0.3 * second] * 2

    choice = choose_ensemble(_Table(ious), (1, 0, 0), [0, 0, 1, 1], _mean, most=3, is_ahead=_on_each)
    # Over all images either is (0.8 + 0.3) / 2 = 0.55, but chosen on one half it is 0.3 on the other.
    assert (choice.kept, choice.weights, choice.score) == (False, (1, 0, 0), pytest.approx(0.5))
    assert (choice.alone, choice.nested, choice.optimism) == (pytest.approx(0.5), pytest.approx(0.3), 0)


def test_ensemble_that_is_as_good_on_images_it_was_not_chosen_on_gives_way_to_the_plain_model():
    """The second is better on the first half alone, so chosen there it is as good on the other; 0.6 flatters."""
    second = _Table(lambda weights: [0.7, 0.7, 0.5, 0.5] if weights == (0, 1) else [0.5] * 4)
    choice = choose_ensemble(second, (1, 0), [0, 0, 1, 1], _mean, most=2, is_ahead=lambda chosen, plain: True)
    assert (choice.kept, choice.weights) == (False, (1, 0))
    assert (choice.alone, choice.nested, choice.each) == (0.5, 0.5, pytest.approx((0.5, 0.6)))


def test_ensemble_whose_gain_is_not_sure_gives_way_to_the_plain_model():
    """Together they gain 0.3 on half of the images of each part and lose 0.1 on the others: 0.1 in the mean."""
    unsure = _Table(lambda weights: [0.8, 0.4, 0.8, 0.4] if weights[0] and weights[1] else [0.5] * 4)
    choice = choose_ensemble(unsure, (1, 0), [0, 0, 1, 1], _mean, most=2, is_ahead=_on_each)
    assert (choice.kept, choice.weights) == (False, (1, 0))
    assert (choice.alone, choice.nested) == pytest.approx((0.5, 0.6))


def test_plain_model_without_anything_to_count_gives_way():
    second = _Table(lambda weights: [0.5 if weights == (0, 1) else math.nan] * 4)
    choice = choose_ensemble(second, (1, 0), [0, 0, 1, 1], _mean, most=2, is_ahead=lambda chosen, plain: True)
    assert (choice.kept, choice.weights, choice.score) == (True, (0, 1), pytest.approx(0.5))


def test_plain_model_that_is_best_stays_as_it_is():
    best = _Table(lambda weights: [0.9 if weights in ((1, 1, 0), (2, 2, 0)) else 0.5] * 4)
    choice = choose_ensemble(best, (2, 2, 0), [0, 1, 0, 1], _mean, most=3, is_ahead=_on_each)
    assert (choice.kept, choice.weights, choice.score) == (False, (2, 2, 0), pytest.approx(0.9))


def test_plain_model_stays_where_all_images_are_neighbours():
    """Nothing is left to choose by once the only part is held out."""

    def score(scores):
        return _mean(scores) if scores else float("nan")

    best = _Table(lambda weights: [0.9 - 0.4 * bool(weights[1])] * 2)
    choice = choose_ensemble(best, (1, 1), [0, 0], score, most=2, is_ahead=_on_each)
    assert (choice.kept, choice.weights, choice.alone) == (False, (1, 1), pytest.approx(0.5))
