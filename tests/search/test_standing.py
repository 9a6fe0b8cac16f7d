import pytest

from search.standing import rank_standings


def test_trials_are_compared_at_the_last_epoch_that_both_reached():
    curves = [[0.5, 0.6, 0.7], [0.6, 0.5], [0.55], [0.4]]
    # 0 loses to 1 at no epoch but the first: at epoch 2 it wins 0.6 : 0.5; against 2 at epoch 1 it loses; it beats 3.
    # 1 beats 2 and 3 at epoch 1. 2 beats 0 and 3. 3 beats none.
    assert rank_standings(curves) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0.0])


def test_a_tie_is_half_a_win():
    assert rank_standings([[0.5], [0.5], [0.1]]) == pytest.approx([0.75, 0.75, 0.0])


def test_failed_trials_lose_against_all_and_tie_among_themselves():
    assert rank_standings([[], [0.1], [], [0.2]]) == pytest.approx([0.5 / 3, 2 / 3, 0.5 / 3, 1.0])


def test_a_lone_trial_beats_none():
    assert rank_standings([[0.5]]) == pytest.approx([0.0])
