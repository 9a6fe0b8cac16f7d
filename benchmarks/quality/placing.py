"""A space of recorded trials: what it draws, and where a configuration lies among others of it."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

from benchmarks.quality.tasks import Floats, Params
from search.propose.encoding import Encoding, widen
from search.space.draw import Draw, draw
from spaces import Space

_PROBES: Final = 200


class PlacedSpace:
    """A space over the data that it was recorded on.

    Args:
        space: draws configurations.
        facts: what it may know of the data.
        fixed: parameters that every trial had alike; they place nothing.
        draws: of recorded trials, which may lie outside what it draws by chance.
    """

    def __init__(self, space: Space, facts: dict[str, Any], fixed: Collection[str], draws: Sequence[Draw] = ()) -> None:
        self._space, self._facts = space, facts
        ranges = self._find_ranges(draws)
        self._encoding = Encoding({name: drawn for name, drawn in ranges.items() if name not in fixed})

    def draw(self, trial: optuna.Trial) -> None:
        """Draw a configuration."""
        for name, value in self._facts.items():
            trial.study.set_user_attr(name, value)
        self._space(trial)

    def place(self, params: Params) -> Floats:
        """Return where a configuration lies: choices that differ are 1 apart, numbers at most 1."""
        features = self._encoding.features(self._encoding.encode(params)[None])
        placed: Floats = np.concatenate([np.zeros((1, 0)), *features], axis=1)[0]
        return placed

    def _find_ranges(self, draws: Sequence[Draw]) -> dict[str, BaseDistribution]:
        def fill(trial: optuna.Trial) -> Params:
            self._space(trial)
            return {}

        probes = [draw(fill, self._facts, seed=seed) for seed in range(_PROBES)]
        ranges: dict[str, BaseDistribution] = {}
        for each in [*draws, *probes]:
            for name, drawn in each.distributions.items():
                ranges[name] = widen(ranges.get(name, drawn), drawn)
        return ranges
