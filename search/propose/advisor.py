"""Chooses the next configuration from what the trials so far did; the model that guides a search.

The scores become standings, and a Gaussian process predicts them for many candidates. By turns the candidate is chosen
that is expected to improve most on the best, and the one that is best in a draw from what is likely (Thompson, "On the
likelihood that one unknown probability exceeds another", 1933). The first uses what is known, the second finds what
else there is. How a space is drawn from and who remembers lives in `proposer`.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution

from search.judge.pareto import rank_fronts
from search.propose.encoding import Encoding, Floats, Params
from search.propose.standing import rank_standings
from search.propose.surrogate import Surrogate

_CANDIDATES: Final = 300
_MODEL_TRIALS: Final = 150
_BELIEVED: Final = 150
"""Trials of which nothing is known yet that are taken for granted, the last ones; keeping away from them is for all."""
_PARENTS: Final = 10
_PROPOSALS: Final = 6
"""What is proposed next to the best keeps the search broad: always only the best finds worse configurations."""
_FAR: Final = 100.0
"""More than normal scores differ by."""
_LEAST_DISTANCE: Final = 0.3
"""Where each parameter's range is 1, and parameters are many: what is nearer to a known trial teaches little more."""
_LEAST_SPACING: Final = 0.55
"""The same where parameters are few, in the distance at which the trials would lie apart if they filled the space."""
_CROWDED: Final = 0.27
"""Trials that must be nearer than that to each other are alike: their first epochs tell who starts fast, not who is
better."""


class Advisor:
    """Knows a space by draws from it.

    Args:
        distributions: of every parameter, by name.
        pool: configurations drawn at random.
        epochs: of a whole training.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], pool: Sequence[Params], epochs: int) -> None:
        self._epochs = epochs
        self._parameters = len(distributions)
        self._encoding = Encoding(distributions)
        self._pool_NP = np.stack([self.encode(params) for params in pool])

    def encode(self, params: Params) -> Floats:
        """Return a configuration as `advise` takes it."""
        return self._encoding.encode(params)

    def is_crowded(self, trials: int) -> bool:
        """Say whether so many trials fill the space so well that those which are proposed are alike."""
        return _least_distance(trials, self._parameters) < _CROWDED

    def advise(
        self,
        codes: Sequence[Floats],
        curves: Sequence[Sequence[float]],
        pending: Sequence[Floats],
        random: np.random.Generator,
        latencies: Sequence[float] | None = None,
    ) -> list[Params]:
        """Return a few configurations worth a trial, the best first, and each unlike those before it.

        Args:
            codes: trials of which something is known.
            curves: their scores by epoch; empty for those that failed by their configuration.
            pending: trials of which nothing is known yet; what is like them is not proposed.
            random: draws the candidates.
            latencies: milliseconds of a prediction by trial, infinite where unknown, if low ones are sought, too.
        """
        standings = rank_standings(curves, self._epochs)
        if latencies is not None:
            # What failed loses against all, however fast it was.
            costs = [cost if curve else math.inf for cost, curve in zip(latencies, curves, strict=True)]
            standings = -np.array(rank_fronts(standings.tolist(), costs), dtype=float)
        order = np.argsort(-standings, kind="stable")
        taken_NP = np.array([*codes, *pending])
        known_NP = taken_NP[: len(codes)]
        chosen = _thin(order)
        surrogate = Surrogate(self._encoding.features(known_NP[chosen]), to_normal_scores(standings, chosen))
        if pending:
            surrogate.believe(self._encoding.features(np.stack(pending[-_BELIEVED:])))
        candidates_NP = self._draw_candidates(known_NP[order], random)
        features = self._encoding.features(candidates_NP)
        apart = _nearest(features, self._encoding.features(taken_NP))
        near = apart < _least_distance(*taken_NP.shape)
        # Where everything is near, what is farthest is still worth more than a repetition.
        worths = [np.where(near, apart - _FAR, each) for each in _judge(surrogate, features, random)]
        return [self._encoding.decode(candidates_NP[place]) for place in _choose_apart(features, worths)]

    def _draw_candidates(self, ranked_NP: Floats, random: np.random.Generator) -> Floats:
        """Return candidates, half from anywhere and half like the best trials."""
        half = _CANDIDATES // 2
        anywhere = self._encoding.shake(self._pool_NP[random.integers(len(self._pool_NP), size=half)], random)
        parents = max(3, min(_PARENTS, len(ranked_NP) // 5))
        alike = self._encoding.vary(ranked_NP[random.integers(min(parents, len(ranked_NP)), size=half)], random)
        return np.concatenate([anywhere, alike])


def to_normal_scores(standings: Floats, chosen: npt.NDArray[np.intp]) -> Floats:
    """Return the normal quantiles that chosen standings have among all; equals share their middle rank."""
    ordered, asked = np.sort(standings), standings[chosen]
    ranks = (np.searchsorted(ordered, asked, "left") + np.searchsorted(ordered, asked, "right")) / 2
    normal = statistics.NormalDist()
    return np.array([normal.inv_cdf(rank / len(standings)) for rank in ranks.tolist()])


def _thin(order: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return places of at most `_MODEL_TRIALS` trials: the best, and of the others evenly many of every rank."""
    if len(order) <= _MODEL_TRIALS:
        return np.sort(order)
    best = _MODEL_TRIALS // 2
    others = np.linspace(best, len(order) - 1, _MODEL_TRIALS - best).astype(np.intp)
    return np.sort(np.concatenate([order[:best], order[others]]))


def _least_distance(points: int, parameters: int) -> float:
    """Return how far from each other so many configurations are to be at least."""
    return float(min(_LEAST_DISTANCE, _LEAST_SPACING * points ** (-1 / parameters)))


def _judge(surrogate: Surrogate, features: Sequence[Floats], random: np.random.Generator) -> list[Floats]:
    """Return what candidates are worth for each proposal: by turns what is expected of them and what luck may bring."""
    gains = surrogate.expect_improvement(features)
    return [each for drawn in surrogate.draw(features, _PROPOSALS // 2, random) for each in (gains, drawn)]


def _choose_apart(features: Sequence[Floats], worths: Sequence[Floats]) -> list[int]:
    """Return for each judgement the place of its most worthy candidate that is not near those chosen before."""
    points, least = np.concatenate(features, axis=1), _least_distance(_PROPOSALS, len(features))
    chosen: list[int] = []
    for worth in worths:
        for place in np.argsort(-worth, kind="stable").tolist():
            if all(((points[place] - points[other]) ** 2).sum() > least**2 for other in chosen):
                chosen.append(place)
                break
    return chosen


def _nearest(features: Sequence[Floats], others: Sequence[Floats]) -> Floats:
    """Return how far each point is from the nearest of others."""
    points, rest = np.concatenate(features, axis=1), np.concatenate(others, axis=1)
    # |p - r|^2 = |p|^2 + (|r|^2 - 2 p r), what is in brackets by one product: of thousands of trials each pass counts.
    rest_NF = np.column_stack([rest, (rest**2).sum(axis=1)])
    products = np.column_stack([-2 * points, np.ones(len(points))]) @ rest_NF.T
    nearest: Floats = np.sqrt(np.maximum((points**2).sum(axis=1) + products.min(axis=1), 0.0))
    return nearest
