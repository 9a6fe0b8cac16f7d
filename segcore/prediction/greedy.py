"""Which candidates make the best ensemble, and how often each counts: greedy selection with replacement.

Caruana et al., Ensemble Selection from Libraries of Models, 2004 (https://doi.org/10.1145/1015330.1015432): begin with
the best few, then add again and again whichever candidate helps most, the same one as often as it does. What is
selected are weights that all folds share, so that each image is scored by networks that never saw it; and since weights
that were chosen on images flatter on them, the choice is made again without each part of the images and scored there.
Every network that is added is run for each image, so a choice is kept only where it is surely better.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from segcore.prediction.votes import Ballot, Weights, reduce_weights
from segcore.scoring.metrics import Tally

STEPS: Final = 12
"""Candidates that are added one by one after the first few, at most."""
PATIENCE: Final = 4
"""After so many that did not help no further one is added."""

Score = Callable[[Sequence[Tally]], float]
"""What is to be large, of some images; NaN where they have nothing to count."""
IsAhead = Callable[[Sequence[Tally], Sequence[Tally]], bool]
"""Whether the first scores are above the second, of the same images, by more than what other images would change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which candidates make an ensemble, and what it reaches out of fold.

    Args:
        weights: how often each candidate counts.
        scores: of all images with these weights.
        score: over them; it flatters where the weights were chosen on these images.
        alone: that of the plain model, which nothing was chosen for.
        nested: that of weights which were chosen without the images that they are scored on: the honest one.
        each: that of each candidate alone.
        kept: whether an ensemble was chosen; else the weights are those of the plain model.
    """

    weights: Weights
    scores: tuple[Tally, ...]
    score: float
    alone: float
    nested: float
    each: tuple[float, ...]
    kept: bool

    @property
    def optimism(self) -> float:
        """By how much the score of chosen weights flatters."""
        return self.score - self.nested if self.kept else 0.0


def choose_ensemble(
    ballot: Ballot, plain: Weights, parts: Sequence[int], score: Score, most: int, is_ahead: IsAhead
) -> Choice:
    """Choose weights for candidates; the plain model stays where nothing beats it on images it was not chosen on.

    Args:
        ballot: the candidates' votes.
        plain: weights of the model that would be built without a choice.
        parts: part of each image: its fold, or what else keeps neighbouring frames together. With a single one nothing
            can be held out, so that the plain model stays.
        score: of some images.
        most: most candidates in the ensemble, at least 1.
        is_ahead: says whether that is sure.
    """

    def within(kept: Sequence[int]) -> Callable[[Sequence[Weights]], list[float]]:
        def score_all(wanted: Sequence[Weights]) -> list[float]:
            return [_finite(score([scores[each] for each in kept])) for scores in ballot.score(wanted)]

        return score_all

    everything = within(range(len(parts)))
    (alone,) = everything([plain])
    each = everything(_singles(len(plain)))
    weights = select_greedily(len(plain), everything, most)
    held_out: dict[int, Tally] = {}
    for part in sorted(set(parts)):
        others = [position for position, other in enumerate(parts) if other != part]
        (scores,) = ballot.score([select_greedily(len(plain), within(others), most)])
        held_out |= {position: scores[position] for position, own in enumerate(parts) if own == part}
    unseen = [held_out[position] for position in range(len(parts))]
    nested = _finite(score(unseen))
    kept = len(set(parts)) > 1 and nested > alone and everything([weights])[0] > alone
    kept = kept and is_ahead(unseen, ballot.score([plain])[0])
    chosen = weights if kept else plain
    return Choice(
        weights=chosen,
        scores=ballot.score([chosen])[0],
        score=everything([chosen])[0],
        alone=alone,
        nested=nested,
        each=tuple(each),
        kept=kept,
    )


def select_greedily(count: int, score_all: Callable[[Sequence[Weights]], list[float]], most: int) -> Weights:
    """Return the weights that score best on the way of the selection; of equals those that came first.

    Args:
        count: how many candidates there are.
        score_all: returns the score of each of several weights.
        most: most candidates that count at all, at least 1.
    """
    singles = _singles(count)
    alone = score_all(singles)
    order = sorted(range(count), key=lambda position: -alone[position])
    starts = [_add(singles, order[: size + 1]) for size in range(min(most, count))]
    best_score, best = _find_best(starts, score_all)
    weights, in_vain = best, 0
    for _ in range(STEPS):
        if in_vain == PATIENCE:
            break
        allowed = [position for position in range(count) if weights[position] or sum(map(bool, weights)) < most]
        found, weights = _find_best([_add([weights, singles[each]], (0, 1)) for each in allowed], score_all)
        in_vain += 1
        if found > best_score:
            best_score, best, in_vain = found, weights, 0
    return reduce_weights(best)


def _find_best(
    wanted: Sequence[Weights], score_all: Callable[[Sequence[Weights]], list[float]]
) -> tuple[float, Weights]:
    """Return the best score and its weights, of equals the first."""
    return max(zip(score_all(wanted), wanted, strict=True), key=lambda pair: pair[0])


def _singles(count: int) -> list[Weights]:
    return [tuple(int(position == each) for position in range(count)) for each in range(count)]


def _add(vectors: Sequence[Weights], chosen: Sequence[int]) -> Weights:
    return tuple(map(sum, zip(*(vectors[each] for each in chosen), strict=True)))


def _finite(score: float) -> float:
    return -math.inf if math.isnan(score) else score
