import pytest

from search.insight.stops import Stop, Stops
from search.report.stopping import count_rungs, stopping

STOPPED = "stopped by ASHA"


@pytest.fixture
def record(make_record, make_trials):
    """Of six trials at the first rung one went on at once, one later, one waits, one failed, one runs, one is new."""
    stops = Stops()
    stops.all = [
        Stop(trial=1, epoch=1, reason="rank 2 of 2", time=10, taken_up=100),
        Stop(trial=2, epoch=1, reason="rank <3> of 3", time=20),
    ]
    history = make_trials(
        {"ious": [0.5, 0.6, 0.7, 0.8]},
        {"ious": [0.4, 0.5], "outcome": STOPPED},
        {"ious": [0.3], "outcome": STOPPED},
        {"ious": [0.2], "outcome": "diverged"},
        {"ious": [0.2], "outcome": ""},
        {"ious": [], "outcome": ""},
    )
    return make_record(history, stops=stops)


def test_each_trial_at_a_rung_is_counted_once(record, make_matter):
    first, second = count_rungs(make_matter(record))
    # Went on at once, later, waits there, has not ended, failed there.
    assert (first.epoch, first.counts) == (1, (1, 1, 1, 1, 1))
    assert (second.epoch, second.counts) == (2, (1, 0, 1, 0, 0))


def test_what_was_taken_up_again_is_listed_with_its_rank_now(record, make_matter):
    page = stopping(make_matter(record)).content
    assert "rank 2 of 2" in page
    assert "The best of them is rank 2 of all now." in page
    assert "2 min" in page, "it waited from 10 s to 100 s"
    assert "&lt;3&gt;" not in page, "who still waits is not listed"


def test_nothing_is_shown_before_the_first_rung(make_record, make_matter, make_trials):
    page = stopping(make_matter(make_record(make_trials({"ious": [], "outcome": ""})))).content
    assert "No trial has got to a rung yet" in page
