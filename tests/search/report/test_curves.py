import math
from dataclasses import replace

import pytest

from search.memory.outcome import Outcome
from search.report.curves import agreement_chart, curves, is_beyond_chance, measure_agreement
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


@pytest.mark.parametrize(
    ("tau", "trials", "is_sure"),
    # Of n! orders one has a tau of 1 and one of -1: 2 of 6, 2 of 24, 2 of 120.
    [(1.0, 3, False), (-1.0, 4, False), (1.0, 5, True), (-1.0, 5, True), (0.6, 5, False), (0.3, 44, True)],
)
def test_agreement_of_so_few_trials_may_be_chance(tau, trials, is_sure):
    assert is_beyond_chance(tau, trials) is is_sure


def test_what_may_be_chance_is_faint_however_well_ranks_agree(make_trials):
    trials = [{"ious": [number / 10, number / 10]} for number in range(5)]
    few, enough = (agreement_chart(make_trials(*trials[:count]), [1, 2]) for count in (4, 5))
    assert ">1.00</text>" in few and 'fill-opacity="0.300"' in few and "fill:#fff" not in few
    assert ">1.00</text>" in enough and 'fill-opacity="1.000"' in enough and "fill:#fff" in enough


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


def test_search_of_which_every_trial_with_a_score_failed_has_no_best_score_by_time(matter, make_trials, make_matter):
    history = make_trials({"ious": [0.9], "outcome": "failed"})
    page = curves(make_matter(replace(matter.record, history=history, best=None))).content
    assert "none of them can win" in page
    assert page.count("<svg") >= 2
