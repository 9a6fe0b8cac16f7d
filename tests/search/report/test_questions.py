import pytest

from search.insight.answers import answer_cost
from search.memory.events import Closed
from search.report.questions import lead


@pytest.mark.parametrize(
    ("trials", "closed", "told"),
    [
        ([], False, "It has not come to its end: what follows may change (no trial has begun)."),
        # It was left between two trials: of those that wait one goes on.
        ([{"ious": [0.5], "outcome": "stopped by ASHA"}], False, "It has not come to its end"),
        ([{"ious": [0.5]}], True, "Its trials have ended (1 finished)."),
        ([{"ious": [], "outcome": "diverged"}] * 4, False, "Its trials have ended (4 diverged)."),
        ([{"ious": [0.5]}, {"ious": [], "outcome": ""}], True, "It has not come to its end"),
    ],
)
def test_a_report_says_whether_what_it_tells_may_change(make_record, make_matter, make_trials, trials, closed, told):
    history = make_trials(*trials)
    if closed:
        history.apply(Closed(metrics={}, note=""))
    assert told in lead(make_matter(make_record(history)), "now")


def test_what_fell_behind_in_a_confirmation_keeps_no_report_from_its_end(make_record, make_matter, make_trials):
    """Trained ahead, and not needed any more when the other was dismissed."""
    history = make_trials({"ious": [0.5]}, {"ious": [0.4]})
    history.apply(Closed(metrics={}, note=""))
    confirmation = make_trials({"ious": [0.5]}, {"ious": [0.4], "outcome": ""})
    record = make_record(history, confirmation=confirmation)
    told = lead(make_matter(record), "now"), answer_cost(record).certainty
    confirmation.apply(Closed(metrics={}, note=""))
    then = lead(make_matter(record), "now"), answer_cost(record).certainty
    assert ["Its trials have ended" in told[0], told[1].endswith("; it goes on.")] == [False, True]
    assert ["Its trials have ended" in then[0], then[1].endswith("; it goes on.")] == [True, False]
