import math

import numpy as np

from benchmarks.quality.arms import EpochsThenTop
from benchmarks.quality.playing import _make_arms
from benchmarks.quality.simulator import Simulation, Verdict
from benchmarks.quality.tables import Table

NAN = math.nan
EPOCHS = 4
FLAT = Table("flat", {"x": np.array([0.0, 1.0])}, np.full((2, EPOCHS), [[0.5], [0.6]]), np.ones((2, EPOCHS)))


def test_best_of_a_first_round_of_two_epochs_are_trained_to_the_end_best_first():
    arm = EpochsThenTop(FLAT, 0, epochs=2, round_seconds=5.0)
    asked = []
    for first, second in ((0.9, 0.1), (0.2, 0.3), (0.4, 0.2)):
        asked.append(arm.ask())
        number = len(asked) - 1
        assert arm.report(number, 1, first, 1.0) is Verdict.GO_ON
        assert arm.report(number, 2, second, 1.0) is Verdict.PAUSE
    # The round's five seconds were over within the third trial; what counts is the score after the second epoch.
    assert [number for number, _ in asked] == [0, 1, 2]
    assert [arm.ask(), arm.ask(), arm.ask()] == [asked[1], asked[2], asked[0]]
    assert [arm.report(1, epoch, 0.1, 1.0) for epoch in (3, 4)] == [Verdict.GO_ON] * 2
    assert arm.ask()[0] == 3, "none waits: a further draw"


def test_a_trial_that_diverges_in_the_first_round_does_not_wait():
    arm = EpochsThenTop(FLAT, 0, epochs=2, round_seconds=1.0)
    arm.ask()
    assert arm.report(0, 1, 0.5, 1.0) is Verdict.GO_ON
    assert arm.report(0, 2, NAN, 1.0) is Verdict.STOP
    assert arm.ask()[0] == 1


def test_first_round_of_as_many_epochs_as_the_task_has_or_more_is_plain_random_search():
    for epochs in (EPOCHS, EPOCHS + 5):
        arm = EpochsThenTop(FLAT, 0, epochs=epochs, round_seconds=6.0)
        run = Simulation(FLAT, arm, workers=1, budget_seconds=20.0, seed=0).run()
        assert [training.epoch for training in run.trainings.values()] == [EPOCHS] * 5 + [0]
        assert run.idle_share == 0.0


def test_half_of_the_time_is_for_a_first_round_of_one_three_or_nine_epochs():
    """Of ten trainings of four seconds on one worker twenty seconds; what was done 3.5 seconds later."""
    epochs = {
        "one-epoch-then-top": [1] * 19 + [4],
        "3-epochs-then-top": [3] * 5 + [4] * 2,
        "9-epochs-then-top": [3] + [4] * 5,
    }
    for name, expected in epochs.items():
        run = Simulation(FLAT, _make_arms(10)[name](FLAT, 0), workers=1, budget_seconds=23.5, seed=0).run()
        assert sorted(training.epoch for training in run.trainings.values()) == expected
