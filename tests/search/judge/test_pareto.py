"""Fronts of trials that no other beats in both score and cost."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.judge.pareto import find_front, rank_fronts


@pytest.mark.parametrize(
    ("scores", "costs", "fronts"),
    [
        ([], [], []),
        ([0.5, 0.6, 0.4, 0.3], [10.0, 20.0, 5.0, 12.0], [0, 0, 0, 1]),  # the last is beaten by the first and the third
        ([0.5, 0.5, 0.5], [10.0, 10.0, 11.0], [0, 0, 1]),  # equals share a front; as good and dearer is beaten
        ([0.5, 0.4, 0.3], [10.0, 10.0, 10.0], [0, 1, 2]),
        ([0.5, 0.6], [1.0, inf], [0, 0]),  # the best is on the first front, whatever it costs
    ],
)
def test_fronts_worked_out_by_hand(scores, costs, fronts):
    assert rank_fronts(scores, costs) == fronts


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25))
def test_fronts_are_those_of_peeling(points):
    """The definition: the first front is what nothing beats, the second what nothing but the first beats, ..."""
    expected, left, front = {}, set(range(len(points))), 0
    while left:
        kept = {
            one
            for one in left
            if not any(
                points[other][0] >= points[one][0]
                and points[other][1] <= points[one][1]
                and points[other] != points[one]
                for other in left
            )
        }
        expected |= dict.fromkeys(kept, front)
        left, front = left - kept, front + 1
    found = rank_fronts([float(score) for score, _ in points], [float(cost) for _, cost in points])
    assert found == [expected[index] for index in range(len(points))]


def test_front_has_the_trials_that_no_other_beats_in_both(make_history):
    """Trial 3 is slower and worse than 0; 4 is as fast as 1 and worse; 5 was not measured; 6 failed; 7 equals 0."""
    costs = [(0.8, 30.0), (0.6, 10.0), (0.9, 90.0), (0.7, 40.0), (0.5, 10.0), (0.99, None), (0.95, 1.0), (0.8, 30.0)]
    outcomes = ["finished"] * 6 + ["failed", "finished"]

    def write(script):
        for number, ((iou, latency_ms), outcome) in enumerate(zip(costs, outcomes, strict=True)):
            script.ask(number)
            measured = {} if latency_ms is None else {"latency_ms": latency_ms}
            script.write("epoch", trial=number, epoch=1, metrics={"iou": iou, **measured})
            script.end(number, outcome)

    assert [trial.number for trial in find_front(make_history(write))] == [1, 0, 7, 2]


def test_of_equal_scores_the_slower_is_on_no_front(make_history):
    def write(script):
        for number, latency_ms in enumerate((50.0, 20.0)):
            script.ask(number)
            script.write("epoch", trial=number, epoch=1, metrics={"iou": 0.5, "latency_ms": latency_ms})

    assert [trial.number for trial in find_front(make_history(write))] == [1]
