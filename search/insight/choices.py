"""How the values of a choice compare, as its trials stand: which backbone, which loss, which crop size.

How much a choice explains at all says `importance`, which weighs all of them together.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Any, Final

import numpy as np

from search.insight.importance import read_known
from search.memory.history import History
from search.memory.outcome import FAILURES
from search.propose.standing import rank_standings

_RESAMPLES: Final = 500
_FEWEST_PER_VALUE: Final = 2
"""Of one trial nobody knows whether its value or chance made it."""
_MOST_LISTED: Final = 8
"""Numbers with more values come from a range, not from a list."""
_MOST_DIGITS: Final = 4
"""So does one with more significant digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueStanding:
    """How the trials with one value of a choice stand.

    Args:
        value: of the choice, as text; of a choice from a range a third of its trials, such as 0.001 to 0.003.
        trials: how many drew it.
        standing: mean share of the other trials that they beat (see `propose.standing`), 0 to 1.
        best: highest score of those that may win; None without one.
        leads: of resamples of the trials, the share in which this value ranks highest, those who tie sharing it; 0 for
            one with a single trial, and where no two values have more.
    """

    value: str
    trials: int
    standing: float
    best: float | None
    leads: float


def compare_values(history: History, choice: str, epochs: int) -> list[ValueStanding]:
    """Return how the values of a choice stand, or the thirds of a range, the highest first.

    A search tries what looks good more often, and beside other good choices: a value stands high also for its company.

    Args:
        history: the search's trials.
        choice: name of a parameter.
        epochs: of a whole training.

    Returns:
        Nothing when fewer than two values were drawn.
    """
    trials, curves = read_known(history)
    standings = rank_standings(curves, epochs).tolist()
    groups: dict[str, list[float]] = {}
    bests: dict[str, list[float]] = {}
    names = _name_values([trial.params.get(choice) for trial in trials], is_numeric(history, choice))
    for trial, standing, name in zip(trials, standings, names, strict=True):
        if choice in trial.params:
            groups.setdefault(name, []).append(standing)
            can_win = trial.best is not None and trial.outcome not in FAILURES
            bests.setdefault(name, []).extend([trial.best_score] if can_win else [])
    if len(groups) < 2:
        return []
    leads = _count_leads(groups)
    found = [
        ValueStanding(
            value=value,
            trials=len(of_value),
            standing=mean(of_value),
            best=max(bests[value], default=None),
            leads=leads[value],
        )
        for value, of_value in groups.items()
    ]
    return sorted(found, key=lambda each: -each.standing)


def list_choices(history: History) -> list[str]:
    """Return the names of what was drawn and has two values at least, by name."""
    values: dict[str, set[str]] = {}
    for trial in history.in_order:
        for name, value in trial.params.items():
            values.setdefault(name, set()).add(repr(value))
    return sorted(name for name, seen in values.items() if len(seen) > 1)


def is_numeric(history: History, choice: str) -> bool:
    """Say whether a choice is drawn from a range: numbers that are more, or have more digits, than a person lists."""
    drawn = [trial.params[choice] for trial in history.in_order if choice in trial.params]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in drawn):
        return False
    fractions = [value for value in drawn if isinstance(value, float)]
    is_odd = any(float(f"{value:.{_MOST_DIGITS}g}") != value for value in fractions)
    return is_odd or len(set(drawn)) > _MOST_LISTED


def _name_values(values: Sequence[Any], in_thirds: bool) -> list[str]:
    """Return what each value is called: its text, or the third that it lies in; equal ones lie in the same."""
    known = sorted(value for value in values if value is not None) if in_thirds else []
    if not known:
        return [str(value) for value in values]
    edges = [known[round(part * (len(known) - 1) / 3)] for part in range(4)]
    names = [f"{_tell_edge(low)} to {_tell_edge(high)}" for low, high in pairwise(edges)]
    return ["" if value is None else names[max(0, bisect_left(edges, value) - 1)] for value in values]


def _tell_edge(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def _count_leads(groups: Mapping[str, Sequence[float]]) -> dict[str, float]:
    draw = np.random.default_rng(0)
    able = {value: standings for value, standings in groups.items() if len(standings) >= _FEWEST_PER_VALUE}
    leads = dict.fromkeys(groups, 0.0)
    if len(able) > 1:
        means_VR = np.array([draw.choice(each, (_RESAMPLES, len(each))).mean(axis=1) for each in able.values()])
        is_first_VR = means_VR == means_VR.max(axis=0)
        shares_V = (is_first_VR / is_first_VR.sum(axis=0)).mean(axis=1)
        leads |= dict(zip(able, shares_V.tolist(), strict=True))
    return leads
