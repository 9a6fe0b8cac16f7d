import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.insight.grace import kendall_tau, read_whole_curves, suggest_grace, warn_of_grace

NAN = math.nan

ENDS = [1, 2, 3, 4, 5, 6]
FIRSTS = [6, 5, 4, 1, 2, 3]
SECONDS = [2, 1, 4, 3, 6, 5]
CURVES = [list(curve) for curve in zip(FIRSTS, SECONDS, [1, 2, 3, 4, 6, 5], ENDS, strict=True)]


@pytest.mark.parametrize(
    ("scores", "others", "tau"),
    [
        ([1, 2, 3], [10, 20, 30], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 1 / 3),  # 2 pairs agree, 1 does not, of 3
        ([1, 1, 2], [1, 2, 3], 2 / 3),  # a tie counts for neither
        ([NAN, 2, 3], [1, 2, 3], 1.0),  # NaN is below all
        ([NAN, NAN, 3], [1, 2, 3], 2 / 3),
        ([5], [5], 0.0),
        ([], [], 0.0),
    ],
)
def test_kendall_tau(scores, others, tau):
    assert kendall_tau(scores, others) == pytest.approx(tau)


@given(st.lists(st.tuples(*[st.sampled_from([NAN, 0.0, 1.0, 2.0, 3.0])] * 2), max_size=12))
def test_kendall_tau_is_that_of_all_pairs(pairs):
    """NaN is below all, here as -1."""
    known = [tuple(-1.0 if math.isnan(value) else value for value in pair) for pair in pairs]
    signs = [np.sign((a - c) * (b - d)) for (a, b), (c, d) in combinations(known, 2)]
    expected = sum(signs) / len(signs) if signs else 0.0
    assert kendall_tau([one for one, _ in pairs], [other for _, other in pairs]) == pytest.approx(expected)


def test_grace_is_the_epoch_from_which_ranks_stay_settled():
    grace = suggest_grace(CURVES)
    # Epoch 1: of 15 pairs, those in (6 5 4) and those across disagree (3 + 9), those in (1 2 3) agree (3).
    # Epoch 2: three neighbours are swapped: 12 agree, 3 do not. Epoch 3: one pair is swapped.
    assert grace.agreements == pytest.approx((-9 / 15, 9 / 15, 13 / 15, 1.0))
    assert grace.suggested_epochs == 2
    assert grace.trials == 6


def test_an_early_agreement_that_is_lost_again_does_not_count():
    swapped = [[curve[1], curve[0], *curve[2:]] for curve in CURVES]
    grace = suggest_grace(swapped)
    assert grace.agreements[0] == pytest.approx(9 / 15)
    assert grace.suggested_epochs == 3


def test_ranks_that_never_settle_suggest_the_last_epoch():
    curves = [[first, first, end] for first, end in zip(FIRSTS, ENDS, strict=True)]
    assert suggest_grace(curves).suggested_epochs == 3
    assert suggest_grace([[end, end] for end in ENDS]).suggested_epochs == 1


def test_fewer_than_six_curves_suggest_nothing():
    grace = suggest_grace(CURVES[:5])
    assert grace.suggested_epochs is None
    assert warn_of_grace(grace, 1) == ""
    assert suggest_grace([]).trials == 0


def test_warning_names_the_epoch_the_share_of_pairs_and_the_remedy():
    grace = suggest_grace(CURVES)
    # tau -0.6: (1 - 0.6) / 2 = 20 % of the pairs.
    assert "After epoch 1" in warn_of_grace(grace, 1)
    assert "of 6 whole trainings, 20% of the pairs" in warn_of_grace(grace, 1)
    assert "--grace-epochs 2" in warn_of_grace(grace, 1)
    assert warn_of_grace(grace, 2) == ""
    assert warn_of_grace(grace, 3) == ""


def test_warning_is_of_the_epoch_at_which_trials_are_stopped_whatever_was_before_it():
    grace = suggest_grace([list(curve) for curve in zip(ENDS, FIRSTS, ENDS, ENDS, strict=True)])
    assert grace.agreements == pytest.approx((1.0, -0.6, 1.0, 1.0))
    assert warn_of_grace(grace, 1) == ""
    assert "After epoch 2" in warn_of_grace(grace, 2) and "--grace-epochs 3" in warn_of_grace(grace, 2)


@pytest.mark.parametrize(
    ("firsts", "tau"),
    [
        ([4, 1, 2, 3, 6, 5], 7 / 15),  # (4 with 1 2 3) and (6 5) disagree: 4 of 15
        ([3, 4, 5, 1, 6, 2], 1 / 15),  # (3 4 5) with (1 2), and (6 2): 7 of 15
    ],
)
def test_ranks_that_say_little_are_no_reason_to_wait(firsts, tau):
    """Who is stopped by mistake waits and may go on."""
    grace = suggest_grace([list(curve) for curve in zip(firsts, ENDS, ENDS, strict=True)])
    assert grace.agreements[0] == pytest.approx(tau)
    assert grace.suggested_epochs == 2
    assert warn_of_grace(grace, 1) == ""


def test_ranks_that_mislead_a_little_are_warned_of():
    # (3 5 4) with (1 2), (5 4) and (6 2): 8 of 15 pairs disagree, 7 agree.
    grace = suggest_grace([list(curve) for curve in zip([3, 5, 4, 1, 6, 2], ENDS, ENDS, strict=True)])
    assert grace.agreements[0] == pytest.approx(-1 / 15)
    assert "ranks say nothing of the end, or the opposite: of 6 whole trainings, 47% of" in warn_of_grace(grace, 1)


def test_whole_curves_are_those_of_the_longest_finished_trials(make_history):
    def write(script):
        for trial in range(4):
            script.ask(trial)
        script.epochs(0, 0.1, None, 0.3)
        script.end(0)
        script.epochs(1, 0.2, 0.3)
        script.end(1)
        script.epochs(2, 0.2, 0.3, 0.4)
        script.end(2, "stopped by ASHA")
        script.epochs(3, 0.5, 0.6, 0.7)

    history = make_history(write)
    ((first, second, third),) = read_whole_curves(history)
    assert first == 0.1 and math.isnan(second) and third == 0.3
    # As of a journal whose line somebody cut out.
    del history.trials[0].epochs[1]
    ((first, _, third),) = read_whole_curves(history)
    assert math.isnan(first) and third == 0.3


def test_a_history_without_a_finished_trial_has_no_curves(make_history):
    assert read_whole_curves(make_history(lambda script: script.ask(0))) == []
