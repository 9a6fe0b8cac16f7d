from types import SimpleNamespace

import numpy as np
import pytest

from segcore.data.classes import VOID
from segcore.data.labels import build_label_map
from segcore.feeding.balance import RareClasses, balanced_weights, count_output_pixels


def test_weights_by_hand():
    # Median of 100, 400, 2500 is 400: sqrt(400 / 100) = 2, sqrt(1) = 1, sqrt(400 / 2500) = 0.4.
    np.testing.assert_allclose(balanced_weights(np.array([100, 400, 2500])), [2, 1, 0.4], rtol=1e-6)


def test_weights_of_an_even_number_of_classes_by_hand():
    # Median of 100 and 300 is 200: sqrt(2) and sqrt(2 / 3).
    np.testing.assert_allclose(balanced_weights(np.array([100, 300])), [1.414214, 0.816497], rtol=1e-5)


def test_weights_end_at_a_tenth_and_at_ten():
    # sqrt(10^4 / 1) = 100 and sqrt(10^4 / 10^8) = 0.01.
    np.testing.assert_allclose(balanced_weights(np.array([1, 10**4, 10**8])), [10, 1, 0.1], rtol=1e-6)


def test_class_without_pixels_weighs_nothing_and_moves_no_median():
    np.testing.assert_allclose(balanced_weights(np.array([0, 100, 400, 2500, 0])), [0, 2, 1, 0.4, 0], rtol=1e-6)
    assert balanced_weights(np.array([0, 0])).tolist() == [0, 0]


@pytest.mark.parametrize("labels", ["full", "scored"])
def test_pixels_of_outputs_are_those_of_the_given_cases(cache, labels):
    label_map = build_label_map(cache.classes, labels)
    indices = [2, 5, 9]
    slow = np.zeros(label_map.outputs, int)
    for index in indices:
        for output in label_map.target_of_class[cache.mask_HW(index)].reshape(-1):
            if output != VOID:
                slow[output] += 1
    assert count_output_pixels(cache, indices, label_map).tolist() == slow.tolist()
    assert slow.sum() == 3 * (64 * 96 - 16)


def _rare_classes(*class_pixels, scored=(1, 2)):
    cases = [SimpleNamespace(class_pixels=pixels) for pixels in class_pixels]
    cache = SimpleNamespace(cases=cases, classes=_Classes(scored, len(class_pixels[0]) - 1))
    return RareClasses(cache, range(len(cases)))


class _Classes(tuple):
    """As much of a class table as the draw needs."""

    def __new__(cls, scored, classes):
        made = super().__new__(cls, range(classes))
        made.scored_indices = scored
        return made


def _draw(rare, index, times=3000):
    random = np.random.default_rng(0)
    return [rare.draw(index, random) for _ in range(times)]


def test_rare_class_is_drawn_in_inverse_proportion_to_its_pixels_in_training():
    # Class 1 has 300 + 600 pixels, class 2 has 90 + 10: 1/900 to 1/100, so class 2 in 9 of 10 draws, in both cases.
    rare = _rare_classes((5, 300, 90, 7), (5, 600, 10, 7))
    for index in (0, 1):
        drawn = _draw(rare, index)
        assert set(drawn) == {1, 2}
        # Standard deviation sqrt(3000 * 0.9 * 0.1) = 16.
        assert abs(drawn.count(2) - 2700) < 80


def test_only_scored_classes_of_the_case_are_drawn():
    rare = _rare_classes((5, 300, 0, 7), (5, 0, 10, 7), (5, 0, 0, 7))
    assert set(_draw(rare, 0, 50)) == {1}
    assert set(_draw(rare, 1, 50)) == {2}
    assert set(_draw(rare, 2, 50)) == {None}


def test_case_with_a_rare_class_is_another_one_and_each_comes_as_often():
    # Class 1 has 900 pixels, class 2 has 100; of the three cases with class 2 one is the sample's own.
    rare = _rare_classes((5, 300, 80, 7), (5, 600, 10, 7), (5, 0, 10, 7))
    random = np.random.default_rng(0)
    drawn = [rare.draw_case(0, random) for _ in range(3000)]
    assert set(drawn) == {(1, 1), (1, 2), (2, 2)}
    # 1 / 900 to 1 / 100: class 2 in 9 of 10; standard deviation of its halves sqrt(3000 * 0.45 * 0.55) = 27.
    assert abs(drawn.count((1, 1)) - 300) < 80
    assert abs(drawn.count((1, 2)) - 1350) < 140


def test_no_case_is_drawn_where_no_other_has_the_class():
    random = np.random.default_rng(0)
    assert _rare_classes((5, 0, 10, 7), (5, 0, 0, 7)).draw_case(0, random) is None
    assert _rare_classes((5, 0, 0, 7), (5, 0, 0, 7)).draw_case(0, random) is None


def test_scored_classes_are_ordered_by_their_pixels():
    assert _rare_classes((5, 300, 90, 7), (5, 600, 10, 7)).rarest_first == (2, 1)
    assert _rare_classes((5, 3, 3, 7)).rarest_first == (1, 2)
