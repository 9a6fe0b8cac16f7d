import pytest

from search.propose.standing import first_landmark, rank_standings


@pytest.mark.parametrize(("epochs", "landmark"), [(27, 3), (9, 1), (1, 1), (40, 4), (16, 2)])
def test_first_landmark_is_a_ninth_of_the_epochs(epochs, landmark):
    assert first_landmark(epochs) == landmark


def test_who_got_further_stands_higher_then_who_scored_higher_there():
    """Of nine epochs landmarks are at 1, 2, 4, 8 and 9."""
    curves = [
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.65, 0.7],  # at 9: 0.7
        [0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.6],  # at 9: 0.6
        [0.1, 0.1, 0.1, 0.9],  # at 4: 0.9
        [0.1, 0.1, 0.1, 0.8, 0.95, 0.99],  # past 4 and not at 8: its 0.8 at 4 counts
        [0.99],  # at 1
    ]
    assert rank_standings(curves, 9) == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert rank_standings(curves[::-1], 9) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])


def test_before_the_first_landmark_the_last_scores_are_compared():
    # Of 27 epochs the first landmark is at 3: the third trial got there, the others count with 0.2 and 0.3.
    assert rank_standings([[0.4, 0.2], [0.3], [0.0, 0.0, 0.1]], 27) == pytest.approx([0.0, 0.5, 1.0])


def test_a_tie_is_half_a_win():
    assert rank_standings([[0.5], [0.5], [0.1]], 9) == pytest.approx([0.75, 0.75, 0.0])
    # Equal at the landmark at 2, whatever came after it.
    assert rank_standings([[0.5, 0.5], [0.1, 0.5, 0.9]], 9) == pytest.approx([0.5, 0.5])


def test_failed_trials_lose_against_all_and_tie_among_themselves():
    assert rank_standings([[], [0.1], [], [0.2]], 9) == pytest.approx([0.5 / 3, 2 / 3, 0.5 / 3, 1.0])
    # Also against one that scored 0 before the first landmark, which is at 2.
    assert rank_standings([[], [0.0]], 18) == pytest.approx([0.0, 1.0])


def test_trainings_of_one_epoch_are_compared_by_their_scores():
    assert rank_standings([[0.1], [0.3], [0.2]], 1) == pytest.approx([0.0, 1.0, 0.5])


def test_a_lone_trial_beats_none():
    assert rank_standings([[0.5]], 9) == pytest.approx([0.0])
