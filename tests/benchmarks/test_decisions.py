import pytest

from benchmarks.quality.decisions import decide, describe_decisions
from benchmarks.quality.recorded import RecordedSearch, read_searches


def load(past, name: str) -> RecordedSearch:
    (search,) = read_searches([name], past.uri)
    return search


@pytest.fixture(scope="module")
def hand(past) -> RecordedSearch:
    return load(past, "hand")


@pytest.fixture(scope="module")
def upset(past) -> RecordedSearch:
    """The winner begins slowly; with a factor of three nobody is stopped."""
    past.record(
        "upset",
        [
            (past.full(past.LOW), 1.0, (0.5, 0.6, 0.7), "finished"),
            (past.full(past.HIGH), 3.0, (0.4, 0.65, 0.9), "finished"),
        ],
        epochs=3,
        reduction_factor=3,
    )
    return load(past, "upset")


def test_own_settings_decide_as_they_did(hand):
    """Rung 1: 0.2; 0.1 is second of two; 0.3; 0.25 is second of four; 0.28 second of five. Rung 2: 0.35 is last."""
    row = decide(hand, 1, 2)
    assert row.stopped == {1: 1, 3: 2}
    assert (row.saved_epochs, row.sooner, row.open, row.most_epochs) == (0, (), (), 0)
    assert "replayed, stop the same 2 trials after the same epochs" in describe_decisions(hand)


def test_a_trial_that_would_have_gone_on_is_open(hand):
    """Trial 1 passes where nobody looks: to the rung at 2 it has one epoch of 1 s, to its end three."""
    row = decide(hand, 2, 2)
    assert (row.stopped, row.open) == ({3: 2}, (1,))
    assert (row.least_epochs, row.most_epochs, row.least_seconds, row.most_seconds) == (1, 3, 1.0, 3.0)


def test_open_trials_cost_at_least_the_way_to_their_next_rung(hand):
    """Rungs 1 and 3: trial 1 is second of two, below three nobody is stopped; trial 3 has 2 epochs of 2 s."""
    row = decide(hand, 1, 3)
    assert (row.stopped, row.open) == ({}, (1, 3))
    assert (row.least_epochs, row.most_epochs) == (2 + 1, 3 + 2)
    assert (row.least_seconds, row.most_seconds) == (2 * 1.0 + 1 * 2.0, 3 * 1.0 + 2 * 2.0)


def test_winner_that_is_stopped_is_told_with_what_is_left(upset):
    row = decide(upset, 1, 2)
    assert (row.stopped, row.sooner, row.saved_epochs, row.saved_seconds) == ({1: 1}, (1,), 2, 6.0)
    assert row.best == 0.7
    told = describe_decisions(upset, grace_epochs=[1, 2], reduction_factors=[2])
    lines = {tuple(line.split()[:2]): line for line in told.splitlines()}
    assert lines["1", "2"].endswith("stopped after epoch 1, best 0.7000; stopped sooner: 1")
    # After epoch 2 it is the better of two; the other had passed when it was alone.
    assert lines["2", "2"].endswith("  survives")
    assert lines["*", "1"].split()[:6] == ["*", "1", "3", "-1.00", "0", "0"]
    assert "best iou 0.9000, trial 1" in told and "stop the same 0 trials" in told


def test_ranks_that_settle_late_are_told(past):
    """Six whole trainings whose order turns round after the first epoch."""
    trials = [
        (past.full(past.LOW), 1.0, (0.6 - place, 0.2 + place, 0.3 + place, 0.3 + place), "finished")
        for place in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    past.record("late", trials, reduction_factor=10)
    told = describe_decisions(load(past, "late"))
    assert "of 6 whole trainings, 0% of the pairs stand as they do in the end (Kendall's tau -1.00)" in told
    assert "--grace-epochs 2" in told


def test_few_whole_trainings_say_nothing_of_ranks(hand):
    assert "2 trials ran as long as the longest, and 6 are needed" in describe_decisions(hand)


def test_a_record_that_does_not_fit_its_settings_is_told(past):
    trials = [(past.full(past.LOW), 1.0, (iou,), "stopped by ASHA") for iou in (0.5, 0.6)]
    past.record("odd", trials)
    told = describe_decisions(load(past, "odd"))
    assert "decide otherwise on trials 0, 1" in told


def test_a_trial_that_failed_does_not_count_as_the_best(past):
    trials = [(past.full(past.LOW), 1.0, (0.9,), "failed"), (past.full(past.LOW), 1.0, (0.2, 0.3), "finished")]
    past.record("failing", trials)
    assert decide(load(past, "failing"), 1, 4).best == 0.3
