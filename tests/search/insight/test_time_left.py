import time
from dataclasses import replace

import pytest

from search.insight.spending import account, score_against_time
from search.insight.time_left import count_at_once, estimate_seconds_left, estimate_trainings_left
from search.memory.events import Asked, Ended, Epoch, Event, Halted, Opened, Reopened, Started
from search.memory.history import History
from search.memory.outcome import Outcome


def history_of(*events: Event) -> History:
    history = History("iou")
    for event in events:
        history.apply(event)
    return history


def asked(trial: int, time: float) -> Asked:
    return Asked(trial=trial, fold=0, values={}, params={}, time=time)


def epoch(trial: int, number: int, time: float, seconds: float = 10.0) -> Epoch:
    return Epoch(trial=trial, epoch=number, metrics={"iou": 0.5, "seconds": seconds}, time=time)


def ended(trial: int, time: float, outcome: Outcome = Outcome.FINISHED) -> Ended:
    return Ended(trial=trial, outcome=outcome, time=time)


def trained(trial: int, begin: float, seconds: float, epochs: int = 1) -> list[Event]:
    """A trial from its first to its last moment, on a worker of its own."""
    each = seconds / epochs
    reports = [epoch(trial, number, begin + number * each, each) for number in range(1, epochs + 1)]
    return [asked(trial, begin), Started(trial=trial, time=begin), *reports, ended(trial, begin + seconds)]


def test_time_left_follows_from_the_trials_that_ended(make_settings):
    now = time.time()
    history = history_of(asked(0, now - 100), ended(0, now), asked(1, now - 140), ended(1, now))
    # A trial takes (100 + 140) / 2 = 120 s; 5 - 2 = 3 have not begun, two at a time: 3 x 120 / 2 = 180 s.
    assert estimate_seconds_left(history, make_settings(trials=5), 2) == pytest.approx(180)
    # One runs since 20 s, so 100 s are left of it; 2 wait: (100 + 2 x 120) / 2 = 170 s.
    history.apply(asked(2, now - 60))
    assert estimate_seconds_left(history, make_settings(trials=5), 2) == pytest.approx(180), "it waits for a worker"
    history.apply(Started(trial=2, time=now - 20))
    left = estimate_seconds_left(history, make_settings(trials=5), 2)
    assert left is not None
    assert 170 - (time.time() - now) <= left <= 170, "it has gone on since"


def test_more_workers_than_trials_do_not_shorten_a_trial(make_settings):
    history = history_of(*trained(0, 0.0, 100.0))
    # One trial of 100 s is left; seven of eight workers have nothing to do.
    assert estimate_seconds_left(history, make_settings(trials=2), 8) == pytest.approx(100)
    # Nine are left, of 900 s together.
    assert estimate_seconds_left(history, make_settings(trials=10), 8) == pytest.approx(112.5)


def test_time_that_a_trial_waited_is_not_what_trials_take(make_settings):
    """Twice ten seconds of training, a thousand of waiting in between."""
    history = history_of(asked(0, 0.0), Started(trial=0, time=0.0), epoch(0, 1, 10.0), ended(0, 10.0, Outcome.STOPPED))
    # One trial is left, and takes as long as the first.
    assert estimate_seconds_left(history, make_settings(trials=2, epochs=1), 1) == 10
    for event in (Reopened(trial=0, time=1010.0), epoch(0, 2, 1020.0), ended(0, 1020.0)):
        history.apply(event)
    assert estimate_seconds_left(history, make_settings(trials=2), 1) == 20
    # A second was trained for ten of these twenty, and waits or runs again.
    history.apply(asked(1, 1020.0))
    history.apply(epoch(1, 1, 1030.0))
    assert estimate_seconds_left(history, make_settings(trials=2), 1) == 10


def test_time_left_is_no_more_than_the_time_budget(make_settings):
    history = history_of(Opened(cache_key="key", time=0.0), asked(0, 0.0), ended(0, 100.0))
    # 9 x 100 s would be left, but 100 s of the budget of 400 s are spent.
    assert estimate_seconds_left(history, make_settings(trials=10), 1) == 900
    assert estimate_seconds_left(history, make_settings(trials=10, time_budget_seconds=400), 1) == 300


def test_before_the_first_trial_ends_nobody_knows_how_long_it_takes(make_settings):
    assert estimate_seconds_left(history_of(asked(0, 0.0)), make_settings(), 1) is None


def test_nothing_is_left_of_a_search_whose_trials_have_ended(make_settings):
    assert estimate_seconds_left(history_of(*trained(0, 0.0, 50.0)), make_settings(trials=1), 1) == 0


def test_nothing_is_left_of_a_search_whose_trials_have_all_failed(make_settings, make_trials):
    settings = make_settings(trials=2, epochs=9)
    lost, stopped = ({"ious": [0.1, 0.2], "outcome": outcome} for outcome in ("diverged", "stopped by ASHA"))
    assert estimate_seconds_left(make_trials(lost, lost), settings, 1) == 0
    # Of those that wait one goes on to its end.
    assert estimate_seconds_left(make_trials(lost, stopped), settings, 1) > 0


def test_trials_that_run_now_are_counted():
    history = history_of(
        Opened(cache_key="key", time=0.0), *trained(0, 0.0, 10.0), *trained(1, 0.0, 10.0), *trained(2, 0.0, 10.0),
        asked(3, 10.0), Started(trial=3, time=10.0), asked(4, 10.0), Started(trial=4, time=11.0), asked(5, 10.0),
    )  # fmt: skip
    assert count_at_once(history) == 2


def test_search_that_is_idle_tells_from_its_epochs_how_many_were_trained_at_once():
    """Eight workers: each takes its next trial as the last one ends, and one has paused for a while in between."""
    events = [Opened(cache_key="key", time=0.0)]
    for worker in range(8):
        for turn in range(3):
            events += trained(worker + 8 * turn, 100.0 * turn + worker, 100.0, epochs=4)
    history = history_of(*events, Halted(time=400.0))
    assert count_at_once(history) == 8
    # Journals whose epochs do not say how long they took tell it by their times.
    for trial in history.trials.values():
        for epoch, record in trial.epochs.items():
            metrics = {name: value for name, value in record.metrics.items() if name != "seconds"}
            trial.epochs[epoch] = replace(record, metrics=metrics)
    assert count_at_once(history) == 8


def test_trial_that_waited_between_two_rungs_was_not_trained_meanwhile():
    history = history_of(
        Opened(cache_key="key", time=0.0), asked(0, 0.0), epoch(0, 1, 10.0), ended(0, 10.0, Outcome.STOPPED),
        *trained(1, 10.0, 20.0), Reopened(trial=0, time=30.0), epoch(0, 2, 40.0), ended(0, 40.0),
    )  # fmt: skip
    assert count_at_once(history) == 1


def test_workers_that_had_nothing_to_do_for_a_moment_are_of_the_same_run():
    history = history_of(
        Opened(cache_key="key", time=0.0), *trained(0, 0.0, 10.0), *trained(1, 0.0, 10.0), *trained(2, 15.0, 10.0)
    )
    assert count_at_once(history) == 2


def test_workers_of_an_earlier_run_are_not_counted():
    """Three at once, a night, then two."""
    history = history_of(
        Opened(cache_key="key", time=0.0), *trained(0, 0.0, 10.0), *trained(1, 0.0, 10.0), *trained(2, 0.0, 10.0),
        Halted(time=10.0),
        Opened(cache_key="key", time=9000.0), *trained(3, 9001.0, 10.0), *trained(4, 9002.0, 10.0), Halted(time=9020.0),
    )  # fmt: skip
    assert count_at_once(history) == 2


@pytest.mark.parametrize("events", [[], [asked(0, 0.0)]], ids=["empty", "asked"])
def test_nothing_is_said_of_a_search_that_trained_nothing(events):
    assert count_at_once(history_of(*events)) is None


@pytest.mark.parametrize("jump", [-5000.0, -50.0, 50.0, 1e9])
def test_a_clock_that_jumps_breaks_nothing_that_is_told(make_settings, jump):
    """It jumps before any of the events, and for the last ones back again."""
    events = [Opened(cache_key="key", time=10_000.0), *trained(0, 10_000.0, 100.0, 2), *trained(1, 10_100.0, 90.0, 3)]
    for begin in range(len(events)):
        for end in range(begin + 1, len(events) + 1):
            jumped = [
                replace(event, time=event.time + jump * (begin <= place < end)) for place, event in enumerate(events)
            ]
            history = history_of(*jumped, asked(2, 10_190.0), Halted(time=10_200.0))
            left = estimate_seconds_left(history, make_settings(trials=4), count_at_once(history) or 1)
            assert left is not None and left >= 0
            assert all(spending.seconds >= 0 for spending in account(history))
            assert all(seconds >= 0 for seconds, _ in score_against_time(history))
            if begin:
                assert history.spent_seconds == 200.0


def whole(trial: int, begin: float, epochs: int, reports: int, seconds: float = 10.0, source: int = 0) -> list[Event]:
    """A training for so many epochs, of which some are reported; it runs."""
    asked = Asked(trial=trial, fold=0, values={"epochs": epochs}, params={}, source=source, time=begin)
    told = [epoch(trial, number, begin + number * seconds, seconds) for number in range(1, reports + 1)]
    return [asked, Started(trial=trial, time=begin), *told]


def test_time_left_of_whole_trainings_follows_from_their_epochs():
    """Of 8 epochs of 10 s two and four are left on two workers, and a training has not begun: 20 + 40 + 80 s."""
    long_ago = 1000.0
    search = history_of(*whole(0, 0.0, 8, 8, 5.0), ended(0, 40.0))
    trainings = history_of(*whole(0, long_ago, 8, 6), *whole(1, long_ago, 8, 4))
    # Nobody knows how far the running epochs are, but each is all but over: 10 + 30 + 80 s on two.
    assert estimate_trainings_left(trainings, search, 3) == pytest.approx(80)
    assert estimate_trainings_left(trainings, search, 2) == pytest.approx(30)
    for trial in (0, 1):
        trainings.apply(ended(trial, 2000.0))
    assert estimate_trainings_left(trainings, search, 2) == 0.0


def test_before_the_first_epoch_the_search_says_how_long_one_takes():
    others = *whole(1, 30.0, 4, 4, 50.0), ended(1, 230.0)
    search = history_of(*whole(0, 0.0, 4, 4, 5.0), ended(0, 20.0), *others)
    trainings = history_of(Asked(trial=0, fold=1, values={"epochs": 4}, params={}, source=0))
    # Two of 4 epochs of 5 s, one after the other, as the best took them.
    assert estimate_trainings_left(History("iou"), search, 2) == pytest.approx(40)
    assert estimate_trainings_left(trainings, search, 2) == pytest.approx(40)
    # Of one that was taken by a clock ahead of this one no time has passed.
    trainings.apply(Started(trial=0, time=8e9))
    assert estimate_trainings_left(trainings, search, 2) == pytest.approx(40)
    assert estimate_trainings_left(History("iou"), History("iou"), 2) is None


def test_a_training_that_has_no_epoch_takes_as_long_as_its_configuration_did_in_the_search():
    search = history_of(*whole(0, 0.0, 4, 4), ended(0, 40.0), *whole(1, 0.0, 4, 4, 2.0), ended(1, 8.0))
    trainings = history_of(*whole(0, 0.0, 4, 4), ended(0, 40.0))
    trainings.apply(Asked(trial=1, fold=1, values={"epochs": 4}, params={}, source=1))
    # 4 epochs of 2 s, not of the 10 s that the other training took for one.
    assert estimate_trainings_left(trainings, search, 2) == pytest.approx(8)


def test_until_one_got_to_the_end_the_rungs_say_what_is_left(make_settings):
    """Those that end first were stopped first, and say nothing of those that go on."""
    settings = make_settings(trials=4, epochs=8, grace_epochs=1)
    history = history_of(asked(0, 0.0), asked(1, 0.0))
    assert estimate_seconds_left(history, settings, 2) is None
    for trial in (0, 1):
        for event in (epoch(trial, 1, 10.0), ended(trial, 10.0, Outcome.STOPPED)):
            history.apply(event)
    # Of 4 trials 2 get to epoch 2, one to 4 and to 8: 4 + 2 + 2 + 4 = 12 epochs of 10 s, of which 2 are trained.
    assert estimate_seconds_left(history, settings, 1) == pytest.approx(100)
    # One has 7 epochs to go, however many workers there are.
    assert estimate_seconds_left(history, settings, 8) == pytest.approx(70)
    assert estimate_seconds_left(history, make_settings(trials=4, epochs=8, time_budget_seconds=30), 1) == 30
