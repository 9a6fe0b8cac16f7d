import math

import pytest

from search.verdict.comparison import Interval
from search.verdict.decision import Contender, Decision, explain_doubt

BEHIND = Interval(estimate=-0.02, low=-0.03, high=-0.01)
MAYBE = Interval(estimate=-0.02, low=-0.05, high=0.01)


@pytest.mark.parametrize(
    ("over_folds", "over_images", "alone", "doubt"),
    [
        (MAYBE, BEHIND, BEHIND, "it would be behind were it the only comparison, but of 3 one may look so by chance"),
        (MAYBE, BEHIND, MAYBE, "behind on these images, but over so few folds the difference may be chance"),
        (None, BEHIND, None, "behind on these images, but another training or fold may turn that, and one fold does"),
        (MAYBE, MAYBE, MAYBE, "the difference may be 0"),
        (None, MAYBE, None, "the difference may be 0"),
        (MAYBE, None, MAYBE, "the difference may be 0"),
        (None, None, None, "too few scores"),
    ],
)
def test_doubt_is_told_by_the_first_interval_that_says_something(over_folds, over_images, alone, doubt):
    """Behind is what lies below 0 as a whole, not what is lower on average."""
    assert explain_doubt(over_folds, over_images, alone, 3).startswith(doubt)


def test_nobody_has_won_where_all_were_dismissed_or_no_round_is_whole():
    stays, gone = (Contender(trial=0, search_score=0.5, fold_scores={1: 0.4}, dismissed=why) for why in ("", "failed"))
    assert Decision(contenders=(stays, gone), folds=(1,)).winner is stays
    assert Decision(contenders=(gone, gone), folds=(1,)).winner is None
    assert Decision(contenders=(stays, gone)).winner is Decision(contenders=()).winner is None


def test_rivals_stay_beside_the_winner_and_only_who_has_a_score_counts_as_beaten():
    winner = Contender(trial=3, search_score=0.7, fold_scores={1: 0.5, 2: 0.6})
    rival = Contender(trial=1, search_score=0.6, fold_scores={1: 0.5, 2: 0.5}, doubt="the difference may be 0")
    behind = Contender(trial=2, search_score=0.6, fold_scores={1: 0.1}, dismissed="worse")
    failed = Contender(trial=4, search_score=0.6, fold_scores={}, dismissed="failed")
    decision = Decision(contenders=(winner, rival, behind, failed), folds=(1, 2))
    assert decision.rivals == [rival]
    assert decision.scored == 3
    assert decision.optimism == pytest.approx(0.15)  # 0.7 - (0.5 + 0.6) / 2


def test_without_a_winner_nothing_says_how_much_the_search_flattered():
    failed = Contender(trial=0, search_score=0.5, fold_scores={}, dismissed="failed")
    assert math.isnan(failed.score)
    assert math.isnan(Decision(contenders=(failed,), folds=(1,)).optimism)
