import re

from search.insight.record import read_record
from search.report.winner import rivals, weakness


def test_contenders_stand_in_order_with_their_scores_and_differences(finished, make_matter):
    matter = make_matter(read_record(finished))
    page = rivals(matter).content
    confirmed = matter.record.confirmed
    assert [int(number) for number in re.findall(r'<tr data-t="(\d+)">', page)] == [
        each.trial for each in confirmed.contenders
    ]
    assert f"{confirmed.score:.4f}" in page
    assert page.count('class="whisker"') == len(confirmed.contenders) == 3
    assert "t-interval over blocks" in page


def test_before_a_confirmation_the_best_scores_are_shown(matter):
    section = rivals(matter)
    assert "Not confirmed" in section.hint
    ranked = [trial.number for trial in matter.history.ranked[:10]]
    assert [int(number) for number in re.findall(r'<tr data-t="(\d+)">', section.content)] == ranked


def test_the_winner_is_shown_by_condition_and_class(finished, make_matter):
    page = weakness(make_matter(read_record(finished))).content
    assert "Measured in the retraining, over 4 folds" in page
    assert all(name in page for name in ("night", "morning", "day", "signal", "pedestrian"))
    assert "Each class in each condition" not in page, "what images scored is not here"


def test_each_class_is_shown_in_each_condition_where_that_was_measured(retrained_record, make_matter):
    page = weakness(make_matter(retrained_record)).content
    assert "night (2)" in page
    assert re.search(r"signal \*</th>\s*<td[^>]*>0\.000</td>\s*<td[^>]*>0\.909</td>", page)


def test_a_trial_that_failed_is_no_rival_however_high_its_score(make_record, make_matter, make_trials):
    trials = {"ious": [0.9], "outcome": "failed"}, {"ious": [0.5]}, {"ious": [0.4]}
    page = rivals(make_matter(make_record(make_trials(*trials)))).content
    assert re.findall(r'<tr data-t="(\d+)">', page) == ["1", "2"]
    assert "-0.1000" in page


def test_without_a_score_there_is_no_table_of_rivals(make_record, make_matter, make_trials):
    section = rivals(make_matter(make_record(make_trials({"ious": [], "outcome": "failed"}))))
    assert section.content == "<p>No trial that can win has a score yet.</p>"
