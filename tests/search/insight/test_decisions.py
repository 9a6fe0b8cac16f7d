import math
from dataclasses import replace

import pytest

from search.insight.decisions import Decisions, find_unlike, replay_decisions, replay_settings
from search.memory.events import Asked, Ended, Epoch, Kept
from search.memory.history import History
from search.memory.outcome import Outcome
from search.settings import SearchSettings

HAND = (
    (2.0, (0.2, 0.4, 0.5, 0.6), "finished"),
    (1.0, (0.1,), "stopped by ASHA"),
    (3.0, (0.3, 0.5, 0.7, 0.8), "finished"),
    (2.0, (0.25, 0.35), "stopped by ASHA"),
    (2.0, (0.28,), "diverged"),
    (1.0, (), "out of memory"),
    (1.0, (), "failed"),
    (1.0, (0.9,), ""),
)


class Past:
    """A search of the past, one trial after the other, an epoch a second.

    Args:
        settings: of it.
        trials: seconds per epoch, iou by epoch (None: no score), and outcome ("": none).
    """

    def __init__(self, settings: SearchSettings, *trials: tuple[float, tuple, str]) -> None:
        self.settings, self.history = settings, History("iou")
        clock = 0.0
        for number, (seconds, ious, outcome) in enumerate(trials):
            clock += 1
            self.history.apply(Asked(trial=number, fold=0, values={}, params={}, time=clock))
            for epoch, iou in enumerate(ious, start=1):
                clock += 1
                metrics = {"seconds": seconds, **({} if iou is None else {"iou": iou})}
                self.history.apply(Epoch(trial=number, epoch=epoch, metrics=metrics, time=clock))
            if outcome:
                clock += 1
                self.history.apply(Ended(trial=number, outcome=Outcome(outcome), time=clock))

    def decide(self, grace_epochs: int, reduction_factor: int) -> Decisions:
        return replay_decisions(self.history, self.settings, grace_epochs, reduction_factor)


@pytest.fixture
def record(make_settings):
    """Return a function that records trials: ASHA compares after epochs 1 and 2 of 4 and lets the best half go on."""

    def make(*trials: tuple[float, tuple, str], **changes) -> Past:
        base = {"epochs": 4, "grace_epochs": 1, "reduction_factor": 2, "trials": len(trials)}
        return Past(make_settings(**{**base, **changes}), *trials)

    return make


@pytest.fixture
def hand(record) -> Past:
    return record(*HAND)


@pytest.fixture
def upset(record) -> Past:
    """The winner begins slowly; with a first rung at the end nobody is stopped."""
    trials = (1.0, (0.5, 0.6, 0.7), "finished"), (3.0, (0.4, 0.65, 0.9), "finished")
    return record(*trials, epochs=3, grace_epochs=3)


@pytest.fixture
def falling(record) -> Past:
    """Each trial begins lower than those before it; it ended before it had its fifth trial."""
    trials = [(2.0, (0.5, 0.6), "finished"), (2.0, (0.4, 0.55), "finished")]
    trials += [(2.0, (0.3,), "stopped by ASHA"), (2.0, (0.2,), "stopped by ASHA")]
    return record(*trials, epochs=2, trials=5)


def test_own_settings_decide_as_they_did(hand):
    """Of 1 at a rung none goes on, of 2 and 3 one, of 4 and 5 two, when nobody is left to begin of 6 and of 3 also.

    Rung 1: 0.2 waits; 0.1 waits and 0.2 goes on; 0.3, 0.25, 0.28 and 0.9 go on. Rung 2: 0.4 waits; 0.5 goes on; 0.35
    waits; in the end, of three, 0.4 goes on.
    """
    row = hand.decide(1, 2)
    assert (row.stopped, row.revived) == ({1: 1, 3: 2}, (0,))
    assert (row.saved_epochs, row.sooner, row.open, row.most_epochs) == (0, (), (), 0)
    assert find_unlike(hand.history, row) == []


def test_a_trial_that_a_person_pruned_as_it_waited_is_no_other_decision(record):
    """Trial 1 waited after its epoch as the search has it; that a person ended it there is no verdict of ASHA's."""
    pruned = record(*(trial if number != 1 else (*trial[:2], "pruned") for number, trial in enumerate(HAND)))
    row = pruned.decide(1, 2)
    assert row.stopped[1] == 1
    assert find_unlike(pruned.history, row) == []


@pytest.mark.parametrize(("first_rung", "stopped"), [(0, {0, 1, 2}), (3, {1})])
def test_a_trial_that_was_judged_later_than_others_is_so_again(make_settings, first_rung, stopped):
    """Trial 2 is the worst at both rungs; where it passes the second, trial 0 is the better there and goes on."""
    settings, history = make_settings(epochs=4, grace_epochs=1, reduction_factor=2, trials=9), History("iou")
    for number, each in enumerate((0, 0, first_rung)):
        history.apply(Asked(trial=number, fold=0, values={}, params={}, first_rung=each, time=10.0 * number))
        for epoch in (1, 2):
            metrics = {"iou": 0.5 - 0.1 * number}
            history.apply(Epoch(trial=number, epoch=epoch, metrics=metrics, time=10.0 * number + epoch))
    assert set(replay_decisions(history, settings, 1, 2).stopped) == stopped


def test_a_trial_that_would_have_gone_on_is_open(hand):
    """Trial 1 passes where nobody looks: to the rung at 2 it has one epoch of 1 s, to its end three."""
    row = hand.decide(2, 2)
    assert (row.stopped, row.revived, row.open) == ({3: 2}, (0,), (1,))
    assert (row.least_epochs, row.most_epochs, row.least_seconds, row.most_seconds) == (1, 3, 1.0, 3.0)


def test_open_trials_cost_at_least_the_way_to_their_next_rung(hand):
    """The rung is 3, which trials 1 and 3 do not reach in their record; there trial 0 is second of two."""
    row = hand.decide(3, 2)
    assert (row.stopped, row.open) == ({0: 3}, (1, 3))
    assert (row.least_epochs, row.most_epochs) == (2 + 1, 3 + 2)
    assert (row.least_seconds, row.most_seconds) == (2 * 1.0 + 1 * 2.0, 3 * 1.0 + 2 * 2.0)


def test_what_is_withheld_of_a_trial_is_saved_until_it_goes_on(falling):
    """Of two at the rung one goes on, trial 0; of four two, and with trial 1 its withheld epoch."""
    row = falling.decide(1, 2)
    assert (row.stopped, row.revived, row.saved_epochs) == ({2: 1, 3: 1}, (0, 1), 0)
    # Of three one goes on, trial 0; that two go on takes six.
    row = falling.decide(1, 3)
    assert (row.stopped, row.revived, row.sooner) == ({1: 1, 2: 1, 3: 1}, (0,), (1,))
    assert (row.saved_epochs, row.saved_seconds, row.best) == (1, 2.0, 0.6)


def test_when_all_have_begun_shares_are_rounded_up(record):
    """Of four at the rung a third is one, rounded up two: trial 1 goes on after all."""
    curves = [(0.5, 0.6), (0.4, 0.55), (0.3,), (0.2,)]
    row = record(*((2.0, ious, "finished") for ious in curves), epochs=2).decide(1, 3)
    assert (row.stopped, row.revived, row.saved_epochs) == ({2: 1, 3: 1}, (0, 1), 0)


@pytest.mark.parametrize("end", ["failed", "pruned"])
def test_who_failed_gives_its_place_to_the_next_when_all_have_begun(record, end):
    """Of three at the rung two go on in the end; the best of them is lost there, so that the third does too."""
    past = record((1.0, (0.3, 0.5), "finished"), (1.0, (0.5,), end), (1.0, (0.4, 0.6), "finished"), epochs=2)
    row = past.decide(1, 2)
    assert (row.stopped, row.saved_epochs) == ({}, 0)
    assert find_unlike(past.history, row) == []


def test_a_trial_too_far_behind_to_wait_never_goes_on(record):
    """As the 16th stops, seven have gone on, nine wait, and the last is given up: it is among the best half of 32."""
    past = record(*((1.0, (0.9 - number / 100,), "stopped by ASHA") for number in range(32)), trials=99, epochs=2)
    assert past.decide(1, 2).open == tuple(range(15))


def test_a_trial_that_goes_on_after_its_record_is_open(record):
    """With the second at the rung the first goes on; the record says that it never did."""
    odd = record(*((1.0, (iou,), "stopped by ASHA") for iou in (0.6, 0.5)))
    row = odd.decide(1, 2)
    assert (row.stopped, row.revived, row.open, row.least_epochs) == ({1: 1}, (0,), (0,), 1)
    assert find_unlike(odd.history, row) == [0]


def test_a_trial_that_goes_on_from_the_last_rung_costs_what_is_left(record):
    row = record(*((1.0, (iou, iou), "stopped by ASHA") for iou in (0.6, 0.5)), trials=9).decide(2, 2)
    assert (row.stopped, row.open) == ({1: 2}, (0,))
    assert (row.least_epochs, row.most_epochs) == (2, 2)


def test_a_trial_that_a_person_kept_is_stopped_by_no_settings(record):
    past = record((1.0, (0.5, 0.6), "finished"), (1.0, (0.1, 0.2), "finished"), epochs=2, trials=9)
    assert past.decide(1, 2).stopped == {1: 1}
    past.history.apply(Kept(trial=1, reason="a person"))
    assert past.decide(1, 2).stopped == {}


def test_winner_that_is_stopped_is_told_with_what_is_left(upset):
    row = upset.decide(1, 2)
    assert (row.stopped, row.sooner, row.saved_epochs, row.saved_seconds) == ({1: 1}, (1,), 2, 6.0)
    assert row.best == 0.7
    # After epoch 2 it is the better of two; the other goes on when nobody is left to begin.
    row = upset.decide(2, 2)
    assert (row.stopped, row.revived) == ({}, (0,))


def test_settings_that_are_looked_at_hold_the_searchs_own(upset):
    """A first rung at the end is looked at where it is the search's own alone."""
    rows = replay_settings(upset.history, upset.settings, [1, 2, 4], [2])
    assert [(row.grace_epochs, row.reduction_factor) for row in rows] == [(1, 2), (2, 2), (3, 2)]
    rows = replay_settings(upset.history, upset.settings)
    assert [(row.grace_epochs, row.reduction_factor) for row in rows] == [
        (1, 2), (1, 3), (1, 4), (2, 2), (2, 3), (2, 4), (3, 2),
    ]  # fmt: skip


def test_a_trial_that_failed_does_not_count_as_the_best(record):
    assert record((1.0, (0.9,), "failed"), (1.0, (0.2, 0.3), "finished")).decide(2, 4).best == 0.3


def test_epoch_without_a_score_stops_a_trial_for_good(record):
    row = record((1.0, (None, 0.9), "finished"), (1.0, (0.2, 0.3), "finished")).decide(1, 2)
    assert row.stopped == {0: 1}
    assert row.best == 0.3


def test_search_without_a_score_has_no_best(record):
    assert math.isnan(record((1.0, (), "failed")).decide(1, 2).best)


@pytest.mark.parametrize(("objective", "gone_on"), [("iou", (0, 1)), ("iou,latency_ms", (1, 2))])
def test_latency_counts_where_it_is_sought(record, objective, gone_on):
    """Of four at the rung two go on. Trial 1 beats 0 in both; 2 is the fastest, so that by both it comes before 0."""
    past = record(*((1.0, (iou,), "stopped by ASHA") for iou in (0.5, 0.6, 0.4, 0.1)), objective=objective, trials=9)
    for number, latency_ms in enumerate((30.0, 20.0, 10.0, 40.0)):
        epochs = past.history.trials[number].epochs
        epochs[1] = replace(epochs[1], metrics={**epochs[1].metrics, "latency_ms": latency_ms})
    assert past.decide(1, 2).open == gone_on
