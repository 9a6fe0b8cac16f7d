"""Chooses the next configuration from what the trials so far did; the model that guides a search.

The scores become standings, a Gaussian process predicts them, and of many candidates those are chosen by turns which
are expected to improve most on the best, and which turn out best in a draw from what is likely (Thompson, "On the
likelihood that one unknown probability exceeds another", 1933): the first use what is known, the second find what else
there is. How a space is drawn from and who remembers lives in `proposer`.

Trials of earlier searches teach the same process, in which one more coordinate says whether a trial is of this search
(as of one task among several: Swersky et al., "Multi-Task Bayesian Optimization", 2013). How far apart that sets them
is learnt like the length of any parameter; where they rank this search's own trials the wrong way round, they are
left out.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution

from search.judge.pareto import rank_fronts
from search.propose.encoding import Encoding, Floats, Params
from search.propose.standing import rank_standings, thin_out
from search.propose.surrogate import Surrogate

_CANDIDATES: Final = 300
_MODEL_TRIALS: Final = 150
_BELIEVED: Final = 150
"""Trials of which nothing is known yet that are taken for granted, the last ones; keeping away from them is for all."""
_PARENTS: Final = 10
_PROPOSALS: Final = 6
"""What is proposed next to the best keeps the search broad: always only the best finds worse configurations."""
EARLIER_TRIALS: Final = 75
_FAR: Final = 100.0
"""More than normal scores differ by."""
_LEAST_DISTANCE: Final = 0.3
"""Where each parameter's range is 1, and parameters are many: what is nearer to a known trial teaches little more."""
_LEAST_SPACING: Final = 0.55
"""The same where parameters are few, in the distance at which the trials would lie apart if they filled the space."""


class Advisor:
    """Knows a space by draws from it.

    Args:
        distributions: of every parameter, by name.
        pool: configurations drawn at random.
        epochs: of a whole training.
        earlier: configurations of earlier searches' trials, with the standing of each in its own search, from 0 to 1.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        pool: Sequence[Params],
        epochs: int,
        earlier: Sequence[tuple[Mapping[str, Any], float]] = (),
    ) -> None:
        self._epochs = epochs
        self._encoding = Encoding(distributions)
        self._pool_NP = self._stack([self.encode(params) for params in pool])
        self._earlier = self._read_earlier(earlier) if earlier else None

    def encode(self, params: Mapping[str, Any]) -> Floats:
        """Return a configuration as `advise` takes it."""
        return self._encoding.encode(params)

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
            scores = [standing if curve else -math.inf for standing, curve in zip(standings, curves, strict=True)]
            standings = -np.array(rank_fronts(scores, latencies), dtype=float)
        taken_NP = self._stack([*codes, *pending])
        known_NP = taken_NP[: len(codes)]
        earlier = self._find_related(known_NP, standings)
        surrogate, best = self._learn(known_NP, standings, earlier)
        if pending:
            surrogate.believe(self._view(taken_NP[len(codes) :][-_BELIEVED:], earlier))
        candidates_NP = self._draw_candidates(known_NP[np.argsort(-standings, kind="stable")], random)
        features = self._encoding.features(candidates_NP)
        apart = _nearest(features, self._encoding.features(taken_NP))
        near = apart < _least_distance(*taken_NP.shape)
        worths = _judge(surrogate, best, self._view(candidates_NP, earlier), random)
        # Where everything is near, what is farthest is still worth more than a repetition.
        worths = [np.where(near, apart - _FAR, each) for each in worths]
        return [self._encoding.decode(candidates_NP[place]) for place in _choose_apart(features, worths)]

    def _stack(self, codes: Sequence[Floats]) -> Floats:
        return np.array(codes, dtype=float).reshape(-1, len(self._encoding.names))

    def _view(self, codes_NP: Floats, earlier: "_Earlier | None") -> list[Floats]:
        """Return the features of configurations of this search, beside those of others if there are any."""
        features = self._encoding.features(codes_NP)
        return [*features, np.zeros((len(codes_NP), 1))] if earlier is not None else features

    def _read_earlier(self, trials: Sequence[tuple[Mapping[str, Any], float]]) -> "_Earlier":
        codes_NP = self._stack([self.encode(params) for params, _ in trials])
        standings = np.array([standing for _, standing in trials])
        chosen = thin_out(standings, EARLIER_TRIALS)
        targets = to_normal_scores(standings, chosen)
        surrogate = Surrogate(self._encoding.features(codes_NP[chosen]), targets)
        return _Earlier(codes_NP=codes_NP[chosen], targets=targets, surrogate=surrogate)

    def _find_related(self, known_NP: Floats, standings: Floats) -> "_Earlier | None":
        """Return the earlier trials, unless they rank those of this search the wrong way round."""
        if self._earlier is None:
            return None
        predicted = self._earlier.surrogate.predict(self._encoding.features(known_NP))
        agrees = np.cov(np.argsort(np.argsort(predicted)), standings)[0, 1] > 0
        return self._earlier if agrees else None

    def _learn(self, known_NP: Floats, standings: Floats, earlier: "_Earlier | None") -> tuple[Surrogate, float]:
        """Return what predicts trials of this search, and what it predicts of the best known configuration."""
        chosen = thin_out(standings, _MODEL_TRIALS)
        targets = to_normal_scores(standings, chosen)
        views = own = self._view(known_NP[chosen], earlier)
        if earlier is not None:
            others = self._encoding.features(earlier.codes_NP)
            places = np.ones((len(earlier.codes_NP), 1))
            views = [np.concatenate(pair) for pair in zip(own, [*others, places], strict=True)]
            targets = np.concatenate([targets, earlier.targets])
            own = [np.concatenate(pair) for pair in zip(own, self._view(earlier.codes_NP, earlier), strict=True)]
        surrogate = Surrogate(views, targets)
        return surrogate, float(surrogate.predict(own).max())

    def _draw_candidates(self, ranked_NP: Floats, random: np.random.Generator) -> Floats:
        """Return candidates, half from anywhere and half like the best trials."""
        half = _CANDIDATES // 2
        anywhere = self._encoding.shake(self._pool_NP[random.integers(len(self._pool_NP), size=half)], random)
        parents = max(3, min(_PARENTS, len(ranked_NP) // 5))
        alike = self._encoding.vary(ranked_NP[random.integers(min(parents, len(ranked_NP)), size=half)], random)
        return np.concatenate([anywhere, alike])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Earlier:
    """Trials of earlier searches.

    Args:
        codes_NP: their configurations.
        targets: their standings as normal scores.
        surrogate: what they predict alone.
    """

    codes_NP: Floats
    targets: Floats
    surrogate: Surrogate


def to_normal_scores(standings: Floats, chosen: npt.NDArray[np.intp]) -> Floats:
    """Return the normal quantiles that chosen standings have among all; equals share their middle rank."""
    ordered, asked = np.sort(standings), standings[chosen]
    ranks = (np.searchsorted(ordered, asked, "left") + np.searchsorted(ordered, asked, "right")) / 2
    normal = statistics.NormalDist()
    return np.array([normal.inv_cdf(rank / len(standings)) for rank in ranks.tolist()])


def _least_distance(points: int, parameters: int) -> float:
    """Return how far from each other so many configurations are to be at least."""
    return float(min(_LEAST_DISTANCE, _LEAST_SPACING * points ** (-1 / parameters)))


def _judge(surrogate: Surrogate, best: float, features: Sequence[Floats], random: np.random.Generator) -> list[Floats]:
    """Return what candidates are worth for each proposal: by turns what is expected of them and what luck may bring."""
    gains = surrogate.expect_improvement(features, best)
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
