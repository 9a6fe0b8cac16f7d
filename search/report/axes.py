"""Axes: where a value lies on one, and which values are written beside it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
_DECADE: Final = 10.0
_MARGIN: Final = 0.04
_MOST_LOG_TICKS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A range of numbers.

    Args:
        label: what it means, with its unit.
        low: its least value.
        high: its largest, above `low`.
        log: whether equal ratios lie equally far apart; then `low` is positive.
        names: by value, what is written in place of it; only these are written then.
    """

    label: str
    low: float
    high: float
    log: bool = False
    names: Sequence[tuple[float, str]] = ()

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high one."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return the values that are written beside it, with their text.

        Args:
            most: about so many at most.
        """
        if self.names:
            return list(self.names)
        if self.log:
            found = _log_ticks(self.low, self.high)
            return [(value, f"{value:g}") for value in found[:: math.ceil(len(found) / _MOST_LOG_TICKS)]]
        step = _step(self.high - self.low, most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(number * step, _text(number * step, step)) for number in range(first, last + 1)]


def span(label: str, values: Iterable[float], *, log: bool | None = None, zero: bool = False) -> Axis:
    """Return an axis that holds all values, with a margin on either side.

    Args:
        label: what it means.
        values: NaN is left out.
        log: see `Axis`; None: where all are positive and the largest is ten times the least.
        zero: whether it begins at 0 and has no margin there.
    """
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if log is None:
        log = low > 0 and high / low >= _DECADE
    if log:
        factor = (high / low) ** _MARGIN if high > low else 1.5
        return Axis(label=label, low=low / factor, high=high * factor, log=True)
    margin = _MARGIN * (high - low) or abs(high) * _MARGIN or 1.0
    return Axis(label=label, low=0.0 if zero else low - margin, high=high + margin)


def _step(length: float, most: int) -> float:
    raw = length / max(1, most)
    power = float(10 ** math.floor(math.log10(raw)))
    return next(step * power for step in _STEPS if step * power >= raw - 1e-12)


def _text(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value + 0.0:,.{decimals}f}"


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [factor * 10.0**power for power in decades for factor in factors if low <= factor * 10.0**power <= high]
        if len(found) >= 3:
            return found
    return found
