import math

import pytest

from search.insight.forecast import (
    ModeTime,
    Rung,
    expect_epochs,
    expect_rungs,
    expect_starts,
    forecast_stages,
    group_modes,
    mean_seconds,
    mean_start_seconds,
)


def test_half_of_the_trials_go_on_at_each_rung(make_settings):
    settings = make_settings(trials=20, epochs=27)
    told = [(1, 20), (2, 10), (4, 5), (8, 3), (16, 2), (27, 1)]
    assert expect_rungs(settings) == [Rung(epoch=epoch, trials=trials) for epoch, trials in told]
    # 20 x 1 + 10 x 1 + 5 x 2 + 3 x 4 + 2 x 8 + 1 x 11 epochs.
    assert expect_epochs(settings) == 79
    assert expect_starts(settings) == 20 + 10 + 5 + 3 + 2 + 1


def test_without_a_rung_all_trials_go_to_the_end(make_settings):
    settings = make_settings(trials=5, epochs=4, grace_epochs=4)
    assert expect_rungs(settings) == [Rung(epoch=4, trials=5)]
    assert expect_epochs(settings) == 20
    assert expect_starts(settings) == 5


def test_stages_take_their_epochs_on_as_many_workers_as_there_are(make_settings, make_place):
    settings = make_settings(trials=20, epochs=27, confirm=3, confirm_folds=2, folds=5)
    modes = [
        ModeTime(mode="crop", share=0.75, seconds=(30.0, 50.0), start_seconds=(5.0, 7.0), memory_gib=2.0),
        ModeTime(mode="full", share=0.25, seconds=(120.0,), start_seconds=(18.0,), memory_gib=6.0),
    ]
    # 3 of 4 epochs take 40 s, 1 of 4 takes 120 s: 60 s on the mean.
    assert mean_seconds(modes) == 60
    # 3 of 4 starts take 6 s, 1 of 4 takes 18 s: 9 s on the mean.
    assert mean_start_seconds(modes) == 9
    search, confirm, retrain = forecast_stages(settings, make_place(gpus_per_trial=0.5), modes, 8)
    assert (search.epochs, search.trainings) == (79, 20)
    # 20 trials start, and 10, 5, 3, 2 and 1 of them again: 79 epochs of 60 s and 41 starts of 9 s.
    assert search.start_share == pytest.approx(369 / 5109)
    assert search.hours == pytest.approx(5109 / 3600 / 8)
    assert search.device_hours == pytest.approx(5109 / 3600 / 2)
    # Six trainings keep six of eight workers busy, five folds keep five.
    assert (confirm.trainings, confirm.epochs) == (6, 162)
    assert confirm.hours == pytest.approx((162 * 60 + 6 * 9) / 3600 / 6)
    assert (retrain.trainings, retrain.epochs) == (5, 135)
    assert retrain.hours == pytest.approx((135 * 60 + 5 * 9) / 3600 / 5)
    # A cluster without a node yet has one of them at least.
    (alone, *_) = forecast_stages(settings, make_place(), modes, 0)
    assert alone.hours == pytest.approx(5109 / 3600)


def test_a_mode_that_could_not_be_measured_counts_nothing_and_none_gives_no_hours(make_settings, make_place):
    failed = ModeTime(mode="full", share=0.9, seconds=(), start_seconds=(), memory_gib=0.0, problems=("out of memory",))
    assert (
        mean_seconds([failed, ModeTime(mode="crop", share=0.1, seconds=(5.0,), start_seconds=(0.5,), memory_gib=1.0)])
        == 5.0
    )
    (search, *_) = forecast_stages(make_settings(), make_place(), [failed], 1)
    assert math.isnan(search.hours)
    assert math.isnan(search.start_share)


@pytest.mark.parametrize("confirm", [0, 1])
def test_a_search_that_is_not_confirmed_has_no_such_stage(make_settings, make_place, confirm):
    """One configuration alone is compared with none."""
    stages = forecast_stages(make_settings(confirm=confirm), make_place(), [], 1)
    assert [each.stage for each in stages] == ["search", "retrain"]


def test_drawn_configurations_are_grouped_by_what_is_drawn_most():
    groups = group_modes([{"input_mode": mode} for mode in ("full", "crop", "crop")])
    assert {mode: len(group) for mode, group in groups.items()} == {"crop": 2, "full": 1}
    assert list(groups) == ["crop", "full"]
    assert list(group_modes([{"input_mode": mode} for mode in ("crop", "full", "full")])) == ["full", "crop"]
