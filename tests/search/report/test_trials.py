import re
from dataclasses import replace

from search.report.trials import told_trials, trials


def test_a_trial_that_trains_slower_than_it_could_says_why(make_record, make_matter, make_trials):
    history = make_trials({"ious": [0.5]}, {"ious": [0.6]})
    history.trials[1] = replace(history.trials[1], note="the network is not compiled (RuntimeError: no compiler)")
    told = str(told_trials(make_matter(make_record(history))))
    assert told.count("the network is not compiled") == 1
    assert "finished, 1 epoch\\n" in told
    assert told.index("trial 1") < told.index("the network is not compiled")


def test_what_failed_is_ranked_nowhere_and_says_why_with_those_that_failed_alike(make_record, make_matter, make_trials):
    failed = {"ious": [], "outcome": "failed"}
    history = make_trials({"ious": [0.5]}, failed, {**failed, "outcome": "out of memory"}, failed)
    for number, message in ((1, "no <b>file</b>"), (2, "too large"), (3, "no <b>file</b>")):
        history.trials[number] = replace(history.trials[number], message=message)
    page = str(trials(make_matter(make_record(history))).content)
    rows = [re.sub("<[^>]*>", "|", row) for row in re.findall("<tr.*?</tr>", page, re.DOTALL)]
    cells = [[cell for cell in row.split("|") if cell.strip()] for row in rows]
    assert cells[1:3] == [["1, 3", "failed", "no &lt;b&gt;file&lt;/b&gt;"], ["2", "out of memory", "too large"]]
    assert [(row[0], row[1]) for row in cells[4:]] == [("1", "0"), ("–", "1"), ("–", "2"), ("–", "3")]


def test_what_failed_after_a_score_has_no_rank_above_the_winner(make_record, make_matter, make_trials):
    history = make_trials({"ious": [0.9], "outcome": "failed"}, {"ious": [0.5]})
    page = str(trials(make_matter(make_record(history))).content)
    assert re.findall(r'<tr data-t="(\d+)">', page) == ["1", "0"]


def test_of_many_that_failed_alike_the_first_are_named(make_record, make_matter, make_trials):
    history = make_trials(*[{"ious": [], "outcome": "diverged"}] * 11)
    section = trials(make_matter(make_record(history)))
    assert "0, 1, 2, 3, 4, 5, 6, 7 and 3 more" in section.content
    assert "winner" not in section.hint


def test_without_a_failure_nothing_is_said_of_any(make_record, make_matter, make_trials):
    assert "Why trials failed" not in trials(make_matter(make_record(make_trials({"ious": [0.5]})))).content
