import math

import pytest

from segcore.errors import ConfigError, DataError
from segcore.prediction.options import PredictOptions
from segcore.prediction.tune_report import describe_options
from segcore.prediction.tune_ways import (
    SCALES,
    choose_best,
    find_current,
    find_pareto,
    measure_gain,
    propose_flips,
    propose_modes,
    propose_scales,
)
from tests.segcore.prediction.conftest import measured


def test_modes_begin_with_the_present_one_and_hold_no_way_twice(make_config):
    crop = make_config(input_mode="crop", crop_size=256)
    found = [describe_options(options) for options in propose_modes(PredictOptions(), [crop], 1936)]
    assert found == ["full", "resize 0.5", "resize 0.75", "tiles of 256", "overlap of 256 by 0.5"]
    resized = make_config(input_mode="resize", scale=0.4)
    found = [describe_options(options) for options in propose_modes(PredictOptions(flip=True), [resized], 400)]
    # Tiles of 512 would be the whole image of 400.
    assert found == ["resize 0.4 + flip", "full", "resize 0.4", "resize 0.5", "resize 0.75"]
    # What networks of two trainings do by themselves has no other name.
    now = PredictOptions()
    assert propose_modes(now, [resized, make_config(input_mode="resize", scale=0.6)], 400)[0] == now


def test_flips_are_tried_on_ways_that_nothing_beats(make_config):
    rows = [
        measured(10, 0.5, mode="resize", scale=0.5),
        measured(20, 0.4, mode="resize", scale=0.75),
        measured(40, 0.6, mode="full"),
    ]
    config = make_config()
    assert [describe_options(options) for options in propose_flips(rows, [config])] == [
        "resize 0.5 + flip",
        "full + flip",
    ]
    # Twice 40 ms are more than 70.
    assert [describe_options(options) for options in propose_flips(rows, [config], 70)] == ["resize 0.5 + flip"]
    known = measured(19, 0.51, mode="resize", scale=0.5, flip=True)
    assert [describe_options(options) for options in propose_flips([*rows, known], [config])] == ["full + flip"]


def test_scales_are_tried_on_the_two_best_ways(make_config):
    rows = [measured(time, iou, tile_size=32 * time, mode="tiles") for time, iou in ((1, 0.3), (2, 0.5), (3, 0.4))]
    config = make_config()
    found = propose_scales(rows, [config])
    assert [(options.tile_size, options.scales) for options in found] == [(64, SCALES), (96, SCALES)]
    # 0.75² + 1 + 1.25² = 3.125 times the time: 6.25 ms fit, 9.375 do not, and the next best takes its place.
    assert [options.tile_size for options in propose_scales(rows, [config], 7)] == [64, 32]
    assert [options.tile_size for options in propose_scales(rows, [config], 6.2)] == [32]


def test_pareto_front_by_hand():
    rows = [measured(30, 0.7), measured(10, 0.5), measured(20, 0.55), measured(20, 0.6), measured(40, 0.65)]
    rows.append(measured(15, 0.5))
    assert [(row.milliseconds, row.score) for row in find_pareto(rows)] == [(10, 0.5), (20, 0.6), (30, 0.7)]


def test_best_is_chosen_within_the_time():
    rows = [measured(30, 0.7), measured(10, 0.5), measured(25, 0.7)]
    assert choose_best(rows).milliseconds == 25
    assert choose_best(rows, 20).milliseconds == choose_best(rows, 10).milliseconds == 10
    with pytest.raises(ConfigError, match=r"max_ms=5: the fastest way takes 10.0 ms"):
        choose_best(rows, 5)
    with pytest.raises(ConfigError, match="No way of predicting fits"):
        choose_best([])


def test_ways_are_not_compared_without_a_class_that_counts():
    with pytest.raises(DataError, match="None of the images that were predicted has a pixel of a class that the obj"):
        choose_best([measured(10, math.nan), measured(5, 0.0)])


def test_present_way_is_found_by_its_meaning_and_not_by_its_place(make_config):
    config = make_config(input_mode="resize", scale=0.5)
    rows = [measured(10, 0.5, mode="full"), measured(5, 0.4, mode="resize", scale=0.5)]
    assert find_current(rows, PredictOptions(), [config]) is rows[1]
    assert find_current(rows[:1], PredictOptions(), [config]) is None


def test_gain_is_that_of_pairs_of_images():
    # Differences 0.1, 0.3 (the third image has no score): mean 0.2, deviation 0.1414, error 0.1.
    gain = measure_gain(measured(1, 0, image_scores=(0.5, 0.9, None)), measured(1, 0, image_scores=(0.4, 0.6, None)))
    assert (gain.score, gain.error) == (pytest.approx(0.2), pytest.approx(0.1))
    assert math.isnan(measure_gain(measured(1, 0, image_scores=(0.5,)), measured(1, 0, image_scores=(0.4,))).error)
