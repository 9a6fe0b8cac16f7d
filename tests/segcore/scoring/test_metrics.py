import dataclasses

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from segcore.data.classes import VOID
from segcore.scoring.boundary import count_boundaries
from segcore.scoring.metrics import (
    best_single_class,
    class_boundary_ious,
    count_by_histogram,
    count_confusion,
    divide_metric,
    score_image,
    summarise_scores,
    tally_score,
)
from tests.conftest import CLASSES

# The classes of conftest: road, car, person, sky; car and person are scored.
ROAD, CAR, PERSON, SKY = range(4)


def _confusion(truth, prediction, classes=4):
    return count_confusion(
        torch.tensor(truth, dtype=torch.uint8), torch.tensor(prediction, dtype=torch.uint8), classes
    ).numpy()


def _score(classes, truth, prediction, condition="day"):
    return score_image("image", condition, _confusion(truth, prediction), classes)


def test_images_in_no_known_condition_have_no_metric_of_one(classes):
    scores = [_score(classes, [CAR], [CAR], ""), _score(classes, [CAR], [ROAD], "night")]
    metrics = summarise_scores(scores, classes, every_class=True)
    assert {name: value for name, value in metrics.items() if name.startswith("iou_at/")} == {"iou_at/night": 0.0}


def test_image_score_is_the_mean_over_scored_classes_in_its_truth(classes):
    # Car: truth 2, predicted 1, both 1, union 2. Person: truth 1, predicted 2, both 1, union 2. Road and sky,
    # which are taken for each other, are not scored. Mean (1/2 + 1/2) / 2.
    score = _score(classes, [CAR, CAR, PERSON, SKY, ROAD], [CAR, PERSON, PERSON, ROAD, SKY])
    assert score.iou == pytest.approx(0.5)
    # Car: truth 3, predicted 2, both 2: 2/3. Person: truth 1, predicted 1, both 1: 1. Mean 5/6.
    score = _score(classes, [CAR, CAR, CAR, PERSON], [CAR, CAR, ROAD, PERSON])
    assert score.iou == pytest.approx(5 / 6)


def test_class_absent_from_truth_costs_nothing_even_when_predicted(classes):
    # Person is predicted on a road pixel but is in no truth: only car counts, 2/2.
    assert _score(classes, [CAR, CAR, ROAD], [CAR, CAR, PERSON]).iou == 1.0


def test_pixels_wrongly_given_to_an_absent_class_are_missed_by_their_true_class(classes):
    # Person is in no truth; the car pixel it took is lost to car: both 1, union 2.
    assert _score(classes, [CAR, CAR, ROAD], [CAR, PERSON, ROAD]).iou == 0.5


def test_class_absent_from_truth_and_prediction_is_left_out(classes):
    # Person occurs nowhere: neither 0 nor 1 enters the mean, which is car's 1/3.
    assert _score(classes, [CAR, ROAD, ROAD], [CAR, CAR, CAR]).iou == pytest.approx(1 / 3)


def test_image_without_scored_classes_is_left_out_of_the_mean(classes):
    scores = [
        _score(classes, [CAR, CAR], [CAR, ROAD]),  # 1/2
        _score(classes, [ROAD, SKY], [CAR, PERSON]),  # no scored class in the truth
    ]
    assert scores[1].iou is None
    assert summarise_scores(scores, classes, every_class=True)["iou"] == 0.5


def test_void_pixels_count_in_neither_truth_nor_prediction(classes):
    # Without the void pixels: car both 1, union 1. Counted as prediction they would make the union 3.
    score = _score(classes, [CAR, VOID, VOID, ROAD], [CAR, CAR, PERSON, ROAD])
    assert score.iou == 1.0
    assert score.confusion_CP.sum() == 2


def test_background_prediction_misses_the_truth_and_is_no_class(classes):
    # A network of scored classes predicts background (255): car both 1, union 2; nothing is predicted wrongly.
    score = _score(classes, [CAR, CAR, ROAD], [CAR, VOID, VOID])
    assert score.iou == 0.5
    assert score.confusion_CP[CAR].tolist() == [0, 1, 0, 0, 1]
    assert score.confusion_CP[ROAD].tolist() == [0, 0, 0, 0, 1]


def test_score_is_the_mean_over_images_instead_of_over_pooled_pixels(classes):
    # Images: 1/1 and 1/4; mean 0.625. Pooled: car both 2, union 5: 0.4.
    scores = [_score(classes, [CAR], [CAR]), _score(classes, [CAR] * 4, [CAR, ROAD, ROAD, ROAD])]
    metrics = summarise_scores(scores, classes, every_class=True)
    assert metrics["iou"] == pytest.approx(0.625)
    assert metrics["iou/car"] == pytest.approx(0.4)
    assert metrics["miou_scored"] == pytest.approx(0.4)


def test_miou_leaves_out_classes_that_occur_nowhere(classes):
    # Road: both 1, union 2. Car: both 1, union 2. Person and sky occur nowhere. Mean 1/2.
    metrics = summarise_scores([_score(classes, [ROAD, CAR, CAR], [ROAD, CAR, ROAD])], classes, every_class=True)
    assert metrics["miou"] == pytest.approx(0.5)
    assert set(metrics) == {"iou", "miou", "miou_scored", "iou/road", "iou/car", "iou_at/day"}


def test_miou_counts_a_class_that_is_only_predicted_as_wrong(classes):
    # Over the whole fold sky is predicted once and never true: 0. Car: both 1, union 2. Mean (1/2 + 0) / 2.
    metrics = summarise_scores([_score(classes, [CAR, CAR], [CAR, SKY])], classes, every_class=True)
    assert metrics["miou"] == pytest.approx(0.25)
    assert metrics["iou/sky"] == 0.0


def test_network_of_scored_classes_reports_scored_classes_alone(classes):
    metrics = summarise_scores([_score(classes, [ROAD, CAR, PERSON], [VOID, CAR, PERSON])], classes, every_class=False)
    assert set(metrics) == {"iou", "miou_scored", "iou/car", "iou/person", "iou_at/day"}
    counted = _count_all([(np.array([[ROAD, CAR]], np.uint8), np.array([[VOID, CAR]], np.uint8))])
    assert "boundary_iou" not in summarise_scores(counted, classes, every_class=False)


def test_each_time_of_day_has_its_own_mean(classes):
    scores = [
        _score(classes, [CAR, CAR], [CAR, CAR], "day"),  # 1
        _score(classes, [CAR, CAR], [CAR, ROAD], "day"),  # 1/2
        _score(classes, [CAR] * 4, [CAR, ROAD, ROAD, ROAD], "night"),  # 1/4
        _score(classes, [ROAD], [ROAD], "night"),  # left out
    ]
    metrics = summarise_scores(scores, classes, every_class=True)
    assert metrics["iou_at/day"] == pytest.approx(0.75)
    assert metrics["iou_at/night"] == pytest.approx(0.25)
    assert metrics["iou"] == pytest.approx(1.75 / 3)


def test_class_called_as_a_time_of_day_keeps_its_own_metric(classes):
    # The class: both 1, union 2. The images of the day: 1/2 and 1.
    named = dataclasses.replace(classes, names=("road", "day", "person", "sky"), scored=("day", "person"))
    scores = [_score(named, [CAR, ROAD], [CAR, CAR], "day"), _score(named, [PERSON], [PERSON], "day")]
    metrics = summarise_scores(scores, named, every_class=True)
    assert metrics["iou/day"] == pytest.approx(1 / 2)
    assert metrics["iou_at/day"] == pytest.approx(3 / 4)


def test_fold_without_scored_classes_has_no_iou(classes):
    metrics = summarise_scores([_score(classes, [ROAD], [ROAD])], classes, every_class=True)
    assert set(metrics) == {"miou", "iou/road"}


def test_each_class_has_an_iou_along_its_borders_over_images(classes):
    # Masks of one row: every pixel is at a border. Car: 1 of 2 and 1 of 1, so 2 of 3; person and sky occur nowhere.
    pairs = (([CAR, CAR, ROAD], [CAR, ROAD, ROAD]), ([CAR], [CAR]))
    found = class_boundary_ious(_count_all([[np.array([row], np.uint8) for row in pair] for pair in pairs]), classes)
    assert found[[ROAD, CAR]].tolist() == [pytest.approx(1 / 2), pytest.approx(2 / 3)] and np.isnan(found[PERSON])
    assert np.isnan(class_boundary_ious([_score(classes, [CAR], [CAR])], classes)).all()


def test_borders_that_were_counted_on_some_images_alone_give_no_metric(classes):
    mask_HW = np.array([[CAR, ROAD]], np.uint8)
    scores = [*_count_all([(mask_HW, mask_HW)]), _score(classes, [CAR], [ROAD])]
    assert "boundary_iou" not in summarise_scores(scores, classes, every_class=True)
    assert divide_metric(scores, classes, "boundary_iou") == {}


def test_best_single_class_is_what_one_colour_everywhere_would_score(classes):
    # All car: (2/4 + 0) / 2 = 0.25 and 1/4; mean 0.25. All person: (1/4 + 0) / 2 = 0.125 and 0 (absent); mean 0.0625.
    truths = [[CAR, CAR, PERSON, ROAD], [CAR, ROAD, ROAD, ROAD, VOID], [ROAD, SKY]]
    scores = [_score(classes, truth, [ROAD] * len(truth)) for truth in truths]
    assert best_single_class(scores, classes, "iou") == ("car", pytest.approx(0.25))
    constant = [_score(classes, truth, [CAR] * len(truth)) for truth in truths]
    assert summarise_scores(constant, classes, every_class=True)["iou"] == pytest.approx(0.25)
    # Over all 10 pixels, 5 road, 3 car, 1 person, 1 sky: all road 0.5 over four classes, all car 0.3 over two.
    assert best_single_class(scores, classes, "miou") == ("road", pytest.approx(0.125))
    assert best_single_class(scores, classes, "miou_scored") == ("car", pytest.approx(0.15))
    assert best_single_class(scores, classes, "iou/sky") == ("sky", pytest.approx(0.1))
    assert best_single_class(scores, classes, "boundary_iou") is None
    metrics = summarise_scores(constant, classes, every_class=True)
    assert (metrics["miou_scored"], metrics["iou/car"]) == (pytest.approx(0.15), pytest.approx(0.3))


def test_images_share_a_class_metric_by_how_much_each_moves_it(classes):
    # Car: 1 of 2 and 1 of 4, together 2 of 6. The first moves it by 2 (1 - 2/3) / 6 = 1/9 up, the other as much down.
    scores = [_named(classes, "a", [CAR, ROAD], [CAR, CAR]), _named(classes, "b", [CAR] * 4, [CAR, ROAD, ROAD, ROAD])]
    assert divide_metric(scores, classes, "iou/car") == {"a": pytest.approx(4 / 9), "b": pytest.approx(2 / 9)}
    assert divide_metric(scores, classes, "iou") == {"a": 0.5, "b": 0.25}


def test_images_that_say_nothing_of_a_metric_share_nothing(classes):
    scores = [_named(classes, "a", [ROAD], [ROAD]), _named(classes, "b", [CAR], [CAR])]
    assert divide_metric(scores, classes, "iou") == {"b": 1.0}
    assert divide_metric(scores, classes, "iou/sky") == {}
    assert divide_metric(scores, classes, "boundary_iou") == {}


def _named(classes, name, truth, prediction):
    return dataclasses.replace(_score(classes, truth, prediction), name=name)


pixels = hnp.arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 2, 3, VOID]))


@given(pixels, pixels)
def test_confusion_equals_a_naive_count(truth_HW, prediction_HW):
    expected = np.zeros((4, 5), np.int64)
    for true, predicted in zip(truth_HW.flat, prediction_HW.flat, strict=True):
        if true != VOID:
            expected[true, 4 if predicted == VOID else predicted] += 1
    confusion = count_confusion(torch.from_numpy(truth_HW), torch.from_numpy(prediction_HW), 4)
    assert confusion.dtype == torch.int64
    np.testing.assert_array_equal(confusion.numpy(), expected)


@given(pixels, pixels)
def test_image_score_equals_sets_of_pixels(classes, truth_HW, prediction_HW):
    ious = []
    for index in (CAR, PERSON):
        truth = {place for place, value in np.ndenumerate(truth_HW) if value == index}
        valid = {place for place, value in np.ndenumerate(truth_HW) if value != VOID}
        predicted = {place for place, value in np.ndenumerate(prediction_HW) if value == index} & valid
        if truth:
            ious.append(len(truth & predicted) / len(truth | predicted))
    score = score_image("image", "day", _confusion(truth_HW, prediction_HW), classes)
    assert score.iou == (pytest.approx(sum(ious) / len(ious)) if ious else None)


@given(pixels, pixels, pixels, pixels)
def test_counts_of_images_add_up(truth_1, prediction_1, truth_2, prediction_2):
    together = _confusion(np.concatenate([truth_1, truth_2]), np.concatenate([prediction_1, prediction_2]))
    np.testing.assert_array_equal(_confusion(truth_1, prediction_1) + _confusion(truth_2, prediction_2), together)


scored_pairs = st.lists(st.tuples(pixels, pixels), min_size=1, max_size=5)


@given(scored_pairs, st.sampled_from(["iou", "miou", "miou_scored", "boundary_iou", "iou/car", "iou/sky"]))
def test_shares_of_the_images_average_to_the_metric(pairs, metric):
    scores = _count_all(pairs)
    whole = summarise_scores(scores, CLASSES, every_class=True).get(metric)
    shares = divide_metric(scores, CLASSES, metric)
    assert (whole is None) == (not shares)
    if whole is not None:
        assert np.mean(list(shares.values())) == pytest.approx(whole)


@given(scored_pairs, st.booleans())
def test_tallies_have_the_very_metrics_of_the_scores_that_they_are_made_of(pairs, every_class):
    scores = _count_all(pairs)
    tallies = [tally_score(score) for score in scores]
    metrics = summarise_scores(scores, CLASSES, every_class=every_class)
    assert summarise_scores(tallies, CLASSES, every_class=every_class) == metrics
    for metric in metrics:
        if not metric.startswith("iou_at/"):
            assert divide_metric(tallies, CLASSES, metric) == divide_metric(scores, CLASSES, metric)


@given(scored_pairs, st.sampled_from(["miou", "miou_scored", "boundary_iou", "iou/car"]))
def test_share_of_an_image_says_what_a_little_more_of_it_would_change(pairs, metric):
    scores = _count_all(pairs)
    shares = divide_metric(scores, CLASSES, metric)
    if not shares:
        return
    whole = np.mean(list(shares.values()))
    for position, share in enumerate(shares.values()):
        weighed = [_weigh(score, 100_001 if index == position else 100_000) for index, score in enumerate(scores)]
        moved = summarise_scores(weighed, CLASSES, every_class=True)[metric]
        assert (moved - whole) * 100_000 == pytest.approx((share - whole) / len(scores), abs=1e-4)


def _count_all(pairs):
    scores = []
    for number, (truth_HW, prediction_HW) in enumerate(pairs):
        confusion = _confusion(truth_HW, prediction_HW)
        borders = count_boundaries(truth_HW, prediction_HW, 4)
        scores.append(score_image(str(number), "day", confusion, CLASSES, borders))
    return scores


def _weigh(score, times):
    return dataclasses.replace(score, confusion_CP=score.confusion_CP * times, boundary_C2=score.boundary_C2 * times)


def test_numbers_counted_for_a_gpu_are_those_counted_for_a_cpu():
    cells_N = torch.from_numpy(np.random.default_rng(0).integers(0, 421, 20_000))
    cells_N[:3] = torch.tensor([0, 420, 420])
    assert torch.equal(count_by_histogram(cells_N, 421), torch.bincount(cells_N, minlength=421))


def test_counts_above_what_floats_hold_are_exact():
    """A 32-bit float that is counted up one by one stays at 2^24."""
    assert count_by_histogram(torch.full((2**24 + 3,), 2), 4).tolist() == [0, 0, 2**24 + 3, 0]


def test_no_image_gives_no_metric(classes):
    assert summarise_scores([], classes, every_class=True) == {}
