import pytest

from search.judge.silence import AttentiveClock, find_patience_seconds


def report(script, trial, *seconds):
    script.ask(trial)
    for epoch, each in enumerate(seconds, start=1):
        script.write("epoch", trial=trial, epoch=epoch, metrics={"iou": 0.5, "seconds": float(each)})


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((30, 40, 400), 600.0), ((90, 100, 110), 1000.0), ((90, 110), 1000.0)],
    ids=["short epochs wait what is set", "ten median epochs", "between two"],
)
def test_a_trial_may_be_silent_for_ten_of_its_own_epochs_and_no_less_than_is_set(make_history, seconds, expected):
    history = make_history(lambda script: report(script, 0, *seconds))
    assert find_patience_seconds(history, 0, hang_after_seconds=600.0, has_reported=True) == expected


def test_before_its_first_report_the_slowest_of_the_others_tells_six_times_over(make_history):
    def write(script):
        report(script, 0, 70, 80, 90)
        report(script, 1, 200)
        script.ask(2)

    history = make_history(write)
    assert find_patience_seconds(history, 2, hang_after_seconds=600.0, has_reported=False) == 6 * 2000
    # A new worker of trial 0 opens the data again.
    assert find_patience_seconds(history, 0, hang_after_seconds=600.0, has_reported=False) == 6 * 800


def test_where_nothing_is_known_of_any_epoch_what_is_set_counts_six_times(make_history):
    history = make_history(lambda script: script.ask(0))
    assert find_patience_seconds(history, 0, hang_after_seconds=600.0, has_reported=False) == 3600.0


def test_each_time_a_trial_was_taken_for_hung_doubles_the_patience_three_times_at_most(make_history):
    history = make_history(lambda script: report(script, 0, 100))
    found = [
        find_patience_seconds(history, 0, hang_after_seconds=0.1, has_reported=True, hangs=hangs) for hangs in range(6)
    ]
    assert found == [1000.0, 2000.0, 4000.0, 8000.0, 8000.0, 8000.0]


def test_a_clock_that_stood_still_counts_ten_seconds_of_it_at_most_and_never_more_of_it_later():
    """Looks at 3 s, then at 103 s after a standstill, and at 104 s: 3, 3 + 10 and 14 seconds count."""
    times = iter([0.0, 3.0, 103.0, 104.0, 109.0])
    clock = AttentiveClock(lambda: next(times))
    assert [clock.look() for _ in range(3)] == [3.0, 13.0, 14.0]
    assert clock.unseen_seconds == 5.0
