import numpy as np
import pytest

from benchmarks.quality.paired import ABLATION, compare, resample_means
from benchmarks.quality.report import Score


def score(arm: str, task: str, seed: int, regret: float) -> Score:
    return Score(
        **{"arm": arm, "task": task, "seed": seed, "regret": regret, "area": 2 * regret},
        **{"reached": 1.0, "wasted": 0.0, "idle": 0.0, "trials": 1, "decision_ms": 0.0},
    )


def test_an_arm_that_wins_everywhere_has_an_interval_below_zero_and_no_chance_of_being_worse():
    # By task: 0.3 - 0.5 and 0.1 - 0.2 under either seed.
    played = (("a/x", 0.3, 0.5), ("b/y", 0.1, 0.2))
    scores = [
        each
        for task, own, other in played
        for seed in (0, 1)
        for each in (score("ours", task, seed, own), score(ABLATION, task, seed, other))
    ]
    row = compare(scores).splitlines()[-1]
    everywhere = "-0.150 (-0.200 -0.100) 0% -0.300 (-0.400 -0.200) 0%"
    by_family = "-0.200 (-0.200 -0.200) 0% -0.100 (-0.100 -0.100) 0%"
    assert row.split() == f"ours {everywhere} {by_family}".split()


def test_equal_arms_are_worse_with_even_odds():
    scores = [score(arm, "a/x", seed, 0.1 * seed) for arm in ("ours", ABLATION) for seed in range(3)]
    assert "+0.000 (+0.000 +0.000)  50%" in compare(scores)


def test_without_the_other_arm_there_is_nothing_to_compare():
    assert compare([score("ours", "a/x", 0, 0.1)]) == ""
    assert compare([score(ABLATION, "a/x", 0, 0.1)]) == ""


def test_tasks_are_drawn_anew_not_only_seeds():
    # Seeds agree, tasks do not: the means of two tasks are 0, 0.5 or 1, about 1 : 2 : 1.
    means = resample_means(np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert set(means) == {0.0, 0.5, 1.0}
    assert (means == 0.5).mean() == pytest.approx(0.5, abs=0.05)
