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
    """The winner begins slowly; with a first rung at the end nobody is stopped."""
    past.record(
        "upset",
        [
            (past.full(past.LOW), 1.0, (0.5, 0.6, 0.7), "finished"),
            (past.full(past.HIGH), 3.0, (0.4, 0.65, 0.9), "finished"),
        ],
        epochs=3,
        grace_epochs=3,
    )
    return load(past, "upset")


@pytest.fixture(scope="module")
def falling(past) -> RecordedSearch:
    """Each trial begins lower than those before it; it ended before it had its fifth trial."""
    curves = [((0.5, 0.6), "finished"), ((0.4, 0.55), "finished")]
    curves += [((0.3,), "stopped by ASHA"), ((0.2,), "stopped by ASHA")]
    trials = [(past.full(past.LOW), 2.0, ious, outcome) for ious, outcome in curves]
    past.record("falling", trials, epochs=2, trials=5)
    return load(past, "falling")


def test_own_settings_decide_as_they_did(hand):
    """Of 1 at a rung none goes on, of 2 and 3 one, of 4 and 5 two, when nobody is left to begin of 6 and of 3 also.

    Rung 1: 0.2 waits; 0.1 waits and 0.2 goes on; 0.3, 0.25, 0.28 and 0.9 go on. Rung 2: 0.4 waits; 0.5 goes on; 0.35
    waits; in the end, of three, 0.4 goes on.
    """
    row = decide(hand, 1, 2)
    assert (row.stopped, row.revived) == ({1: 1, 3: 2}, (0,))
    assert (row.saved_epochs, row.sooner, row.open, row.most_epochs) == (0, (), (), 0)
    assert "replayed, leave the same 2 trials stopped after the same epochs" in describe_decisions(hand)


def test_a_trial_that_would_have_gone_on_is_open(hand):
    """Trial 1 passes where nobody looks: to the rung at 2 it has one epoch of 1 s, to its end three."""
    row = decide(hand, 2, 2)
    assert (row.stopped, row.revived, row.open) == ({3: 2}, (0,), (1,))
    assert (row.least_epochs, row.most_epochs, row.least_seconds, row.most_seconds) == (1, 3, 1.0, 3.0)


def test_open_trials_cost_at_least_the_way_to_their_next_rung(hand):
    """The rung is 3, which trials 1 and 3 do not reach in their record; there trial 0 is second of two."""
    row = decide(hand, 3, 2)
    assert (row.stopped, row.open) == ({0: 3}, (1, 3))
    assert (row.least_epochs, row.most_epochs) == (2 + 1, 3 + 2)
    assert (row.least_seconds, row.most_seconds) == (2 * 1.0 + 1 * 2.0, 3 * 1.0 + 2 * 2.0)


def test_what_is_withheld_of_a_trial_is_saved_until_it_goes_on(falling):
    """Of two at the rung one goes on, trial 0; of four two, and with trial 1 its withheld epoch."""
    row = decide(falling, 1, 2)
    assert (row.stopped, row.revived, row.saved_epochs) == ({2: 1, 3: 1}, (0, 1), 0)
    # Of three one goes on, trial 0; that two go on takes six.
    row = decide(falling, 1, 3)
    assert (row.stopped, row.revived, row.sooner) == ({1: 1, 2: 1, 3: 1}, (0,), (1,))
    assert (row.saved_epochs, row.saved_seconds, row.best) == (1, 2.0, 0.6)


def test_when_all_have_begun_shares_are_rounded_up(past):
    """Of four at the rung a third is one, rounded up two: trial 1 goes on after all."""
    curves = [(0.5, 0.6), (0.4, 0.55), (0.3,), (0.2,)]
    past.record("whole", [(past.full(past.LOW), 2.0, ious, "finished") for ious in curves], epochs=2)
    row = decide(load(past, "whole"), 1, 3)
    assert (row.stopped, row.revived, row.saved_epochs) == ({2: 1, 3: 1}, (0, 1), 0)


def test_a_trial_that_goes_on_after_its_record_is_open(past):
    """With the second at the rung the first goes on; the record says that it never did."""
    trials = [(past.full(past.LOW), 1.0, (iou,), "stopped by ASHA") for iou in (0.6, 0.5)]
    past.record("odd", trials)
    row = decide(load(past, "odd"), 1, 2)
    assert (row.stopped, row.revived, row.open, row.least_epochs) == ({1: 1}, (0,), (0,), 1)
    told = describe_decisions(load(past, "odd"))
    assert "decide otherwise on trials 0: " in told


def test_winner_that_is_stopped_is_told_with_what_is_left(upset):
    row = decide(upset, 1, 2)
    assert (row.stopped, row.sooner, row.saved_epochs, row.saved_seconds) == ({1: 1}, (1,), 2, 6.0)
    assert row.best == 0.7
    told = describe_decisions(upset, grace_epochs=[1, 2], reduction_factors=[2])
    lines = {tuple(line.split()[:2]): line for line in told.splitlines()}
    assert lines["1", "2"].endswith("stopped after epoch 1, best 0.7000; stopped sooner: 1")
    # After epoch 2 it is the better of two; the other goes on when nobody is left to begin.
    assert lines["2", "2"].endswith("  survives")
    assert lines["*", "3"].split()[:7] == ["*", "3", "2", "1.00", "0", "0", "0"]
    assert "best iou 0.9000, trial 1" in told and "leave the same 0 trials stopped" in told


def test_ranks_that_settle_late_are_told(past):
    """Six whole trainings whose order turns round after the first epoch."""
    trials = [
        (past.full(past.LOW), 1.0, (0.6 - place, 0.2 + place, 0.3 + place, 0.3 + place), "finished")
        for place in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    past.record("late", trials)
    told = describe_decisions(load(past, "late"))
    assert "of 6 whole trainings, 0% of the pairs stand as they do in the end (Kendall's tau -1.00)" in told
    assert "--grace-epochs 2" in told


def test_few_whole_trainings_say_nothing_of_ranks(hand):
    assert "2 trials ran as long as the longest, and 6 are needed" in describe_decisions(hand)


def test_a_trial_that_failed_does_not_count_as_the_best(past):
    trials = [(past.full(past.LOW), 1.0, (0.9,), "failed"), (past.full(past.LOW), 1.0, (0.2, 0.3), "finished")]
    past.record("failing", trials)
    assert decide(load(past, "failing"), 2, 4).best == 0.3
