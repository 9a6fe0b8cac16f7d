import pytest

from search.insight.sharing import count_fitting, describe_sharing


@pytest.mark.parametrize(
    ("trial_gib", "gpu_gib", "trials"),
    [
        (3.3, 79.6, 8),  # 0.9 x 79.6 = 71.6 holds 21, of which no more than eight are advised
        (11.0, 79.6, 6),  # 71.6 / 11 = 6.5
        (10.0, 22.0, 1),  # 19.8 / 10 = 1.98
        (9.9, 22.0, 2),  # 19.8 / 9.9 = 2
        (0.0, 0.0, 0),
    ],
)
def test_a_tenth_of_a_gpu_is_left_free_and_no_more_than_eight_share_it(trial_gib, gpu_gib, trials):
    assert count_fitting(trial_gib, gpu_gib) == trials


@pytest.mark.parametrize("trials", range(2, 9))
def test_ray_finds_room_for_as_many_as_are_told(trials):
    told = describe_sharing(71.0 / trials, 80.0)
    share = float(told.split("--gpus-per-trial ")[1].split(",")[0])
    assert f", {trials} would fit at a time" in told
    assert int(1 / share + 1e-9) == trials, "as Ray counts"


def test_what_fills_a_gpu_alone_or_has_none_is_not_told_of():
    assert describe_sharing(40.0, 79.6) == ""
    assert describe_sharing(0.0, 0.0) == ""
