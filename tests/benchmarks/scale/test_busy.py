import pytest

from benchmarks.scale.busy import busy_share, find_steady


def test_time_counts_from_the_first_to_the_last_time_that_all_workers_are_busy():
    """One worker begins before the other, and goes on after it."""
    spans = [(0.0, 10.0), (2.0, 12.0), (11.0, 21.0), (14.0, 24.0), (21.5, 31.5), (32.0, 42.0)]
    assert find_steady(spans) == ((2.0, 21.5), 2)


def test_epochs_that_reach_over_an_edge_count_with_what_lies_within():
    # Of 2 workers x 12 s: 8 s of the first epoch, 10 of the second, 3 of the third, none of the fourth.
    spans = [(0.0, 10.0), (2.0, 12.0), (11.0, 21.0), (14.0, 24.0)]
    assert busy_share(spans, 2.0, 14.0, workers=2) == pytest.approx(21 / 24)


def test_no_time_at_all_is_no_idleness():
    assert busy_share([(0.0, 1.0)], 0.0, 0.0, workers=1) == 1.0
