"""Draws from a space without Optuna's study: many draws at once, and draws that keep given values.

Also what a space looks like to those who do not run it: its parameters, which choice decides whether one exists, and
which value a point of the unit cube or the place of a choice stands for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.quality.tasks import Floats, Params, Sampler

_PROBES = 200
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When a parameter exists.

    Args:
        parent: the categorical parameter that decides it.
        values: those of its choices beside which the parameter is drawn.
    """

    parent: str
    values: tuple[Any, ...]


class _Study:
    """Stands for the study of a trial: what a space knows of the data."""

    def __init__(self) -> None:
        self.user_attrs: dict[str, Any] = {}

    def set_user_attr(self, name: str, value: Any) -> None:
        """Note a fact."""
        self.user_attrs[name] = value


class RandomTrial:
    """Stands for an Optuna trial and draws evenly, but for what it is told to keep.

    Args:
        random: draws.
        kept: values that stay where the space still has them.
    """

    def __init__(self, random: np.random.Generator, kept: Params) -> None:
        self._random = random
        self._kept = kept
        self.params: Params = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self.study = _Study()

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Draw one of the choices."""
        drawn = choices[int(self._random.integers(len(choices)))]
        return self._take(name, drawn, CategoricalDistribution(tuple(choices)))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a number."""
        share = self._random.random()
        drawn = low * (high / low) ** share if log else low + (high - low) * share
        return float(self._take(name, float(drawn), FloatDistribution(low, high, log=log)))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Draw a whole number."""
        share = self._random.random()
        drawn = (low - 0.5) * ((high + 0.5) / (low - 0.5)) ** share if log else low - 0.5 + (high - low + 1) * share
        return int(self._take(name, int(np.clip(round(drawn), low, high)), IntDistribution(low, high, log=log)))

    def _take(self, name: str, drawn: Any, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        self.params[name] = self._kept.get(name, drawn)
        return self.params[name]


def draw_params(space: Sampler, random: np.random.Generator, kept: Params) -> Params:
    """Draw a configuration that keeps the given values of the parameters it has."""
    trial = RandomTrial(random, kept)
    space(cast(optuna.Trial, trial))
    return trial.params


def find_distributions(space: Sampler) -> dict[str, BaseDistribution]:
    """Return every parameter that a space was seen to draw and that can take more than one value."""
    found: dict[str, BaseDistribution] = {}
    for trial in _probe(space):
        found |= trial.distributions
    return {name: distribution for name, distribution in found.items() if not distribution.single()}


def find_conditions(space: Sampler) -> dict[str, Condition]:
    """Return the condition of every parameter whose presence one choice decides; the earliest drawn such choice.

    A parameter that is always there has none, nor has one that hangs on a number or on several choices at once.
    """
    draws = [trial.params for trial in _probe(space)]
    distributions = find_distributions(space)
    conditions: dict[str, Condition] = {}
    for name in distributions:
        if all(name in params for params in draws):
            continue
        for parent, distribution in distributions.items():
            if parent != name and isinstance(distribution, CategoricalDistribution):
                values = _values_beside(name, parent, distribution, draws)
                if values:
                    conditions[name] = Condition(parent=parent, values=values)
                    break
    return conditions


def decode(point: Floats, distributions: dict[str, BaseDistribution]) -> Params:
    """Return the values at a point of the unit cube.

    Args:
        point: a coordinate in [0, 1] per parameter.
        distributions: of the parameters, in the same order.
    """
    return {name: _decode(float(share), each) for share, (name, each) in zip(point, distributions.items(), strict=True)}


def _decode(share: float, distribution: BaseDistribution) -> int | float | bool | str | None:
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return choices[min(int(share * len(choices)), len(choices) - 1)]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    value = low * (high / low) ** share if distribution.log else low + (high - low) * share
    value = min(max(value, low), high)
    return round(value) if isinstance(distribution, IntDistribution) else value


def restore(value: Any, distribution: BaseDistribution) -> Any:
    """Return the value of a parameter that a peer knows as a number; a choice by its place among the choices."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(value)]
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def _values_beside(
    name: str, parent: str, distribution: CategoricalDistribution, draws: list[Params]
) -> tuple[Any, ...]:
    """Return the parent's choices with which a parameter came, when they are never without it; else nothing."""
    beside = {params.get(parent, _ABSENT) for params in draws if name in params}
    without = {params.get(parent, _ABSENT) for params in draws if name not in params}
    decides = not beside & without and _ABSENT not in beside
    return tuple(choice for choice in distribution.choices if choice in beside) if decides else ()


def _probe(space: Sampler) -> list[RandomTrial]:
    random = np.random.default_rng(0)
    trials = [RandomTrial(random, {}) for _ in range(_PROBES)]
    for trial in trials:
        space(cast(optuna.Trial, trial))
    return trials
