"""A Gaussian process that predicts how well configurations do, and how sure that is.

Its lengths and noise are fitted by a few steps of gradient ascent, the same for the same data: no state is kept.
Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006 (chapters 2 and 5); the steps are those
of Rprop (Riedmiller and Braun, 1993).
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS: Final = 15
_FIT_POINTS: Final = 80
_ROOT5: Final = math.sqrt(5)
_WEIGHT_SUM: Final = 6.0
"""Of the weights before anything is known: with many parameters, each matters less (Hvarfner et al., 2024)."""
_WEIGHT_SPREAD: Final = 1.5
_NOISE_MEAN: Final = math.log(0.1)
_JITTER: Final = 1e-6


class Surrogate:
    """A Gaussian process with a Matérn 5/2 kernel and a length for every parameter.

    Args:
        features: of every parameter, shape (points, coordinates).
        targets: what is predicted; higher is better.
    """

    def __init__(self, features: Sequence[Floats], targets: Floats) -> None:
        self._mean, self._spread = float(targets.mean()), float(targets.std()) or 1.0
        values = (targets - self._mean) / self._spread
        self._log_weights, log_noise = _fit(features, values)
        self._noise = math.exp(log_noise) + _JITTER
        self._points = self._scale(features)
        kernel_NN, _ = _matern(_square_distances(self._points, self._points))
        self._inverse_NN = np.linalg.inv(kernel_NN + self._noise * np.eye(len(values)))
        self._weights: Floats = self._inverse_NN @ values
        self.best = float((kernel_NN @ self._weights).max()) * self._spread + self._mean

    def believe(self, features: Sequence[Floats]) -> None:
        """Take points for granted at their predicted means, so that the next is looked for elsewhere."""
        points = self._scale(features)
        # The inverse of the greater matrix follows from the known one (Schur complement).
        across_NP, _ = _matern(_square_distances(self._points, points))
        within_PP, _ = _matern(_square_distances(points, points))
        within_PP[np.diag_indices(len(points))] += self._noise
        solved_NP = self._inverse_NN @ across_NP
        corner_PP = np.linalg.inv(within_PP - across_NP.T @ solved_NP)
        edge_NP = -solved_NP @ corner_PP
        self._inverse_NN = np.block([[self._inverse_NN - edge_NP @ solved_NP.T, edge_NP], [edge_NP.T, corner_PP]])
        self._points = np.concatenate([self._points, points])
        # What is as it was predicted changes no prediction, only how sure it is.
        self._weights = np.append(self._weights, np.zeros(len(points)))

    def expect_improvement(self, features: Sequence[Floats]) -> Floats:
        """Return by how much points are expected to be better than the best known one."""
        means, spreads = self._predict(features)
        return _improvement(means - self.best, spreads)

    def draw(self, features: Sequence[Floats], count: int, random: np.random.Generator) -> Floats:
        """Return `count` times what points may turn out to be worth, each drawn by itself from what is likely there."""
        means, spreads = self._predict(features)
        return means + spreads * random.standard_normal((count, len(means)))

    def _predict(self, features: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Return the means of what is predicted and its standard deviations."""
        points = self._scale(features)
        kernel_MN, _ = _matern(_square_distances(points, self._points))
        means = kernel_MN @ self._weights * self._spread + self._mean
        variances = np.maximum(1 - np.einsum("mn,mn->m", kernel_MN @ self._inverse_NN, kernel_MN), 1e-9)
        return means, np.sqrt(variances) * self._spread

    def _scale(self, features: Sequence[Floats]) -> Floats:
        roots = np.exp(self._log_weights / 2)
        return np.concatenate([each * root for each, root in zip(features, roots, strict=True)], axis=1)


def _fit(features: Sequence[Floats], values: Floats) -> tuple[Floats, float]:
    """Return the logarithms of the weight of every parameter and of the noise that explain the values best."""
    chosen = _spread_out(values)
    squares_PN = np.stack([_square_distances(each[chosen], each[chosen]).ravel() for each in features])
    values, count = values[chosen], len(chosen)
    prior = np.append(np.full(len(features), math.log(_WEIGHT_SUM / len(features))), _NOISE_MEAN)
    spread = np.append(np.full(len(features), _WEIGHT_SPREAD), 1.0)
    found, steps, before = prior.copy(), np.full(len(prior), 0.3), np.zeros(len(prior))
    for _ in range(_STEPS):
        weights, noise = np.exp(found[:-1]), math.exp(found[-1])
        kernel_NN, slope_NN = _matern((weights @ squares_PN).reshape(count, count))
        kernel_NN[np.diag_indices(count)] += noise + _JITTER
        inverse_NN = np.linalg.inv(kernel_NN)
        solved = inverse_NN @ values
        pull_NN = np.outer(solved, solved) - inverse_NN
        gradient = np.append(squares_PN @ (pull_NN * slope_NN).ravel() * weights, np.trace(pull_NN) * noise) / 2
        gradient -= (found - prior) / spread**2
        turned = np.sign(gradient * before)
        steps = np.clip(steps * np.where(turned > 0, 1.4, np.where(turned < 0, 0.5, 1.0)), 1e-3, 0.7)
        before = np.where(turned < 0, 0.0, gradient)
        found = found + np.sign(before) * steps
    return found[:-1], float(found[-1])


def _spread_out(values: Floats) -> npt.NDArray[np.intp]:
    """Return the places of at most `_FIT_POINTS` values, evenly from the best to the worst."""
    order = np.argsort(-values, kind="stable")
    if len(order) > _FIT_POINTS:
        order = order[np.linspace(0, len(order) - 1, _FIT_POINTS).astype(np.intp)]
    return np.sort(order)


def _square_distances(points_MF: Floats, others_NF: Floats) -> Floats:
    products = points_MF @ others_NF.T
    lengths = (points_MF**2).sum(axis=1)[:, None] + (others_NF**2).sum(axis=1)
    squares: Floats = np.maximum(lengths - 2 * products, 0.0)
    return squares


def _matern(squares: Floats) -> tuple[Floats, Floats]:
    """Return the kernel and its slope by the squared distance."""
    scaled = _ROOT5 * np.sqrt(squares)
    decay = np.exp(-scaled)
    return (1 + scaled + 5 / 3 * squares) * decay, -5 / 6 * (1 + scaled) * decay


def _improvement(gains: Floats, spreads: Floats) -> Floats:
    ratios = gains / spreads
    density = np.exp(-(ratios**2) / 2) / math.sqrt(2 * math.pi)
    below = np.array([0.5 * math.erfc(-ratio / math.sqrt(2)) for ratio in ratios])
    expected: Floats = spreads * (ratios * below + density)
    return expected
