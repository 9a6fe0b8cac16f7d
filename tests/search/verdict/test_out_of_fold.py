from dataclasses import replace

import pytest

from search.verdict.out_of_fold import EnsembleVerdict, OutOfFold

CHOSEN = EnsembleVerdict(
    kept=True, members=(), metric="iou", metrics={"iou": 0.7, "miou": 0.5}, plain=0.6, nested=0.65, networks=4
)
REACHED = OutOfFold(
    metric="iou",
    metrics={"iou": 0.6, "miou": 0.4},
    fold_scores={0: 0.5, 1: 0.7},
    images=10,
    unseen_score=0.58,
    seen_folds=(0,),
    single_class=None,
)


def test_what_to_expect_of_a_chosen_ensemble_is_what_nothing_was_chosen_by():
    """0.7 flatters, since its members were chosen by it; without the images that they are scored on they have 0.65."""
    assert (CHOSEN.score, CHOSEN.expected) == (0.7, 0.65)
    assert replace(CHOSEN, kept=False).expected == 0.6, "the winner's networks alone"
    assert replace(REACHED, ensemble=CHOSEN).expected == {"iou": 0.65, "miou": 0.5}


def test_what_to_expect_where_no_ensemble_was_chosen_is_what_the_folds_reached():
    assert REACHED.expected == replace(REACHED, ensemble=replace(CHOSEN, kept=False)).expected == REACHED.metrics


def test_folds_are_told_by_their_mean_and_spread():
    # 0.5 and 0.7 are 0.1 from 0.6 each: sqrt(0.02 / 1).
    assert (REACHED.fold_mean, REACHED.spread) == (pytest.approx(0.6), pytest.approx(0.1414214))
    alone = replace(REACHED, fold_scores={0: 0.5})
    assert (alone.fold_mean, alone.spread) == (0.5, 0.0)
