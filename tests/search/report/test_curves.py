import math

import pytest

from search.memory.outcome import Outcome
from search.report.curves import agreement_chart, curves, measure_agreement
from search.report.look import MEANINGS, css_of


def test_agreement_is_of_the_trials_that_got_to_both_epochs(make_trials):
    history = make_trials({"ious": [0.1, 0.4]}, {"ious": [0.2, 0.3]}, {"ious": [0.3, 0.5]}, {"ious": [0.9]})
    # Of three pairs the first two trials change places.
    assert measure_agreement(history, 1, 2) == (pytest.approx(1 / 3), 3)


def test_too_few_trials_agree_in_nothing(make_trials):
    history = make_trials({"ious": [0.1, 0.4]}, {"ious": [0.2, 0.3]}, {"ious": [0.2, None]})
    tau, trials = measure_agreement(history, 1, 2)
    assert math.isnan(tau)
    assert trials == 2
    assert "too few" in agreement_chart(history, [1, 2])


def test_every_trial_has_a_curve_and_every_rung_a_line(matter):
    page = curves(matter).content
    assert all(f'data-t="{number}"' in page for number in matter.history.trials)
    assert page.count('class="rung"') == len(matter.rungs) == 5
    assert page.count('class="win"') >= 1
    assert "trial_" not in page


def test_before_the_first_score_there_is_no_chart(make_matter, make_record, make_trials):
    assert "<svg" not in curves(make_matter(make_record(make_trials({"ious": [], "outcome": ""})))).content


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_a_trial_is_drawn_however_it_ended(make_trials, outcome):
    (trial,) = make_trials({"ious": [0.1], "outcome": str(outcome or "")}).in_order
    assert css_of(trial, None) in {css for css, _ in MEANINGS}
