"""Configurations as points: what a model of the scores sees of a search space, and candidates that it judges.

A space is known by its draws alone. Numbers become coordinates from 0 to 1, choices one coordinate each, and a
parameter that only some configurations have gets one more that says whether it is there.
"""

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Floats = npt.NDArray[np.float64]
Params = dict[str, Any]

_LEAST_STEP, _GREATEST_STEP = 0.05, 0.4


class Encoding:
    """Turns parameters into rows of codes and back, and codes into features.

    A code is a number from 0 to 1, the index of a choice, or NaN for a parameter that a configuration does not have.

    Args:
        distributions: of every parameter, by name.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution]) -> None:
        self.names = list(distributions)
        self._distributions = list(distributions.values())
        self._choices = np.array([_count_choices(each) for each in self._distributions])

    def encode(self, params: Params) -> Floats:
        """Return the codes of a configuration, one per parameter."""
        pairs = zip(self.names, self._distributions, strict=True)
        return np.array([_encode(each, params[name]) if name in params else math.nan for name, each in pairs])

    def decode(self, codes: Floats) -> Params:
        """Return the configuration of codes."""
        triples = zip(self.names, self._distributions, codes, strict=True)
        return {name: _decode(each, float(code)) for name, each, code in triples if not math.isnan(code)}

    def features(self, codes_NP: Floats) -> list[Floats]:
        """Return the coordinates of each parameter, shape (rows, coordinates).

        Two configurations that differ in a choice, or in which one lacks the parameter, are at most 1 apart in it.
        """
        return [
            _number_features(codes_NP[:, index]) if count == 0 else _choice_features(codes_NP[:, index], count)
            for index, count in enumerate(self._choices)
        ]

    def shake(self, codes_NP: Floats, random: np.random.Generator) -> Floats:
        """Return the configurations with all their numbers drawn anew."""
        fresh = np.where(np.isnan(codes_NP), np.nan, random.random(codes_NP.shape))
        return np.where(self._choices == 0, fresh, codes_NP)

    def vary(self, codes_NP: Floats, random: np.random.Generator) -> Floats:
        """Return each configuration with a few of its parameters changed: numbers a little, choices to any."""
        rows, parameters = codes_NP.shape
        spread = math.log(_GREATEST_STEP / _LEAST_STEP)
        steps = _LEAST_STEP * np.exp(spread * random.random((rows, 1)))
        numbers = np.clip(codes_NP + steps * random.standard_normal(codes_NP.shape), 0, 1)
        choices = np.floor(random.random(codes_NP.shape) * np.maximum(self._choices, 1))
        changed = random.random(codes_NP.shape) < max(1.5 / parameters, 0.2)
        changed[np.arange(rows), random.integers(0, parameters, rows)] = True
        drawn = np.where(self._choices == 0, numbers, choices)
        return np.where(changed & ~np.isnan(codes_NP), drawn, codes_NP)


def widen(known: BaseDistribution, other: BaseDistribution) -> BaseDistribution:
    """Return what holds two ranges, or two sets of choices, of a parameter for which what else was drawn decides."""
    if known == other or type(known) is not type(other):
        return other
    if isinstance(known, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        # To Python 1, 1.0 and True are equal; to a configuration they are not.
        choices = {json.dumps(choice): choice for choice in (*known.choices, *other.choices)}
        return CategoricalDistribution(tuple(choices.values()))
    assert isinstance(known, FloatDistribution | IntDistribution)
    assert isinstance(other, FloatDistribution | IntDistribution)
    low, high, step = min(known.low, other.low), max(known.high, other.high), other.step
    if (known.low, known.step) != (other.low, other.step):
        step = 1 if isinstance(other, IntDistribution) else None
    return type(known)(low, high, log=known.log and other.log, step=step)  # type: ignore[arg-type]


def _count_choices(distribution: BaseDistribution) -> int:
    """Return how many choices there are; 0 for a number, and for choices that are numbers, which have an order."""
    if not isinstance(distribution, CategoricalDistribution) or _is_ordered(distribution.choices):
        return 0
    return len(distribution.choices)


def _is_ordered(choices: Sequence[Any]) -> bool:
    numbers = all(isinstance(choice, (int, float)) and not isinstance(choice, bool) for choice in choices)
    return numbers and len(choices) > 1 and all(math.isfinite(choice) for choice in choices)


def _order(distribution: CategoricalDistribution) -> list[float]:
    return sorted(choice for choice in distribution.choices if isinstance(choice, (int, float)))


def _bounds(distribution: BaseDistribution) -> tuple[float, float]:
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    # A whole number stands for all that rounds to it.
    margin = 0.5 if isinstance(distribution, IntDistribution) else 0.0
    return distribution.low - margin, distribution.high + margin


def _encode(distribution: BaseDistribution, value: Any) -> float:
    # What else was drawn may make a space draw what it did not while the model got to know it: another choice, or a
    # word in the place of a number.
    with contextlib.suppress(TypeError, ValueError):
        return _find_code(distribution, value)
    return math.nan


def _find_code(distribution: BaseDistribution, value: Any) -> float:
    if isinstance(distribution, CategoricalDistribution):
        if _is_ordered(distribution.choices):
            return _order(distribution).index(value) / (len(distribution.choices) - 1)
        return float(distribution.to_internal_repr(value))
    low, high = _bounds(distribution)
    if low == high:
        return 0.5
    if getattr(distribution, "log", False):
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _decode(distribution: BaseDistribution, code: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        if _is_ordered(distribution.choices):
            return _order(distribution)[round(code * (len(distribution.choices) - 1))]
        return distribution.choices[int(code)]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, high = _bounds(distribution)
    value = low * (high / low) ** code if distribution.log else low + (high - low) * code
    if distribution.step is not None:
        value = distribution.low + round((value - distribution.low) / distribution.step) * distribution.step
    value = min(max(value, distribution.low), distribution.high)
    return round(value) if isinstance(distribution, IntDistribution) else value


def _number_features(codes: Floats) -> Floats:
    missing = np.isnan(codes)
    return np.stack([np.where(missing, 0.5, codes), missing * math.sqrt(0.5)], axis=1)


def _choice_features(codes: Floats, choices: int) -> Floats:
    chosen: Floats = (codes[:, None] == np.arange(choices)) * math.sqrt(0.5)
    return chosen
