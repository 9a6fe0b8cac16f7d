import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.standing import first_landmark, rank_standings

scores = st.floats(0, 1, allow_nan=False)


@pytest.mark.parametrize(("epochs", "landmark"), [(1, 1), (9, 1), (13, 1), (14, 2), (27, 3), (52, 6)])
def test_the_first_landmark_is_a_ninth_of_the_epochs(epochs, landmark):
    assert first_landmark(epochs) == landmark


def test_who_got_further_stands_higher_then_who_scored_higher_there():
    """Of 9 epochs landmarks are 1, 2, 4, 8 and 9: the trials passed 4, 4, 2, 1 and 1 epochs of them."""
    curves = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.3, 0.9], [0.9, 0.9, 0.9], [0.7], [0.8]]
    # 0 beats 1 by 0.4 : 0.3 after epoch 4, whatever came later; both beat 2, which beats 3 and 4; 4 beats 3.
    assert rank_standings(curves, 9) == pytest.approx([1.0, 0.75, 0.5, 0.0, 0.25])


def test_before_the_first_landmark_the_last_scores_are_compared():
    """Of 27 epochs the first landmark is 3; who passed it stands above."""
    assert rank_standings([[0.9, 0.2], [0.3], [0.1, 0.1, 0.1]], 27) == pytest.approx([0.0, 0.5, 1.0])


def test_the_end_is_a_landmark():
    assert rank_standings([[0.5] * 9, [0.6] * 8, [0.4] * 9], 9) == pytest.approx([1.0, 0.0, 0.5])


def test_a_tie_is_half_a_win():
    assert rank_standings([[0.5], [0.5], [0.1]], 9) == pytest.approx([0.75, 0.75, 0.0])


def test_failed_trials_lose_against_all_and_tie_among_themselves():
    assert rank_standings([[], [0.1], [], [0.2]], 9) == pytest.approx([0.5 / 3, 2 / 3, 0.5 / 3, 1.0])


def test_a_lone_trial_beats_none():
    assert rank_standings([[0.5]], 9) == pytest.approx([0.0])


@given(st.lists(st.lists(scores, max_size=9), min_size=2, max_size=8))
def test_standings_are_shares_of_a_tournament(curves):
    """Each pair has one win to give."""
    standings = rank_standings(curves, 9)
    assert all(-1e-9 <= standing <= 1 + 1e-9 for standing in standings)
    assert sum(standings) == pytest.approx(len(curves) / 2)
