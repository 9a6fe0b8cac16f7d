"""Refuses, before anything starts, a search space that cannot be trained, or that has changed since before."""

import contextlib
import json
import math
import warnings
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.settings import SearchSettings
from search.space.draw import Draw, RejectedDrawError, draw, draw_config
from search.space.load import load_space
from segcore.config import TrainConfig
from segcore.errors import ConfigError
from spaces import FORMER_SPACES, Space

_PROBES: Final = 64
_LATE: Final = 1_000_001
"""A number that no trial has, odd and large."""
_CHANGED_SPACE: Final = (
    "The search space is not the one that this search began with; restore it, or launch a new search with this one"
)

Requirement = Callable[[TrainConfig], None]
"""Raises for a configuration that cannot be trained, see `segcore.training.feasible`; loading networks needs torch."""


def require_usable_space(
    space: Space, settings: SearchSettings, facts: dict[str, Any], require_trainable: Requirement
) -> int | None:
    """Draw from a space at random and refuse it when a draw is no configuration that this data can train.

    Args:
        space: the space.
        settings: its fixed values and epochs are used.
        facts: what spaces may know of the data; `smallest_side`, pixels.
        require_trainable: refuses a configuration.

    Returns:
        How many configurations it draws at most; None where a number may be anything in a range.

    Raises:
        ConfigError: naming the draw and what is wrong with it.
        WeightsError: when a backbone's weights cannot be had.
    """
    drawn: list[Draw] = []
    for found in _probe(_strict(space, settings), settings, facts):
        drawn.append(found)
        require_trainable(TrainConfig.from_values(found.values))
        again = json.loads(json.dumps(found.params))
        repeated = draw(partial(_fill, _number_late(space), settings), facts, seed=0, given=again)
        if repeated.params != found.params:
            raise ConfigError(
                f"--space {settings.space} draws {repeated.params} where {found.params} was asked for; a space must "
                "draw the same parameters from the same values, whatever trial.number is."
            )
        moved = next((name for name in found.params if repeated.distributions[name] != found.distributions[name]), None)
        if moved is not None:
            raise ConfigError(
                f"--space {settings.space} offers {moved} as {_tell_offered(found, moved)}, and as "
                f"{_tell_offered(repeated, moved)} for the same draw, so that a seed would not draw the same again; "
                "give the same choices or range, in the same order."
            )
        unlike = next((name for name in found.values if repeated.values.get(name) != found.values[name]), None)
        if unlike is not None:
            raise ConfigError(
                f"--space {settings.space} returns {unlike}={found.values[unlike]!r}, and "
                f"{repeated.values.get(unlike)!r} for the same draw, so nothing could be learnt of it; "
                "let the trial draw it, or return one value."
            )
    _require_effect(drawn, settings)
    return _count_configurations(drawn, settings)


def require_same_space(space: Space, settings: SearchSettings, facts: dict[str, Any], trials: Sequence[Draw]) -> None:
    """Refuse a space that no longer makes of what it drew before what it made of it then.

    Args:
        space: the space.
        settings: its fixed values and epochs are used.
        facts: what spaces may know of the data.
        trials: parameters of the trials that it drew, and their values; what has no value there may have any.

    Raises:
        ConfigError: naming a trial's parameters and what the space makes of them.
    """
    for trial in trials:
        try:
            found = draw(partial(_fill, space, settings), facts, seed=0, given=trial.params)
        # A space is a user's code: whatever it raises on a draw that was its own once, it is another space now.
        except Exception as error:
            raise ConfigError(f"{_CHANGED_SPACE} ({type(error).__name__}: {error}).") from error
        if found.params != trial.params:
            raise ConfigError(f"{_CHANGED_SPACE} ({trial.params} became {found.params}).")
        if (name := _find_unlike(trial.values, found.values)) is not None:
            told = f"{name}={trial.values[name]!r} then, and {name}={found.values[name]!r} now"
            raise ConfigError(f"{_CHANGED_SPACE} ({trial.params} had {told}).")


def _find_unlike(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return a value that is another one now; a file of weights may have been moved."""
    for name in sorted(before.keys() & now.keys()):
        same = before[name] == now[name]
        if not same and not (name == "weights" and Path(before[name]).name == Path(now[name]).name):
            return name
    return None


def find_edition(name: str, settings: SearchSettings, facts: dict[str, Any], trials: Sequence[Draw]) -> Space:
    """Return the space that a search began with: the newest edition of its name that draws all that was drawn.

    Args:
        name: as `load_space` takes it.
        settings: its fixed values and epochs are used.
        facts: what spaces may know of the data.
        trials: parameters of the trials that it drew, and their values.

    Raises:
        ConfigError: when no edition can, naming a trial's parameters and what the newest makes of them.
    """
    newest = load_space(name)
    for space in (newest, *FORMER_SPACES.get(name, ())):
        with contextlib.suppress(ConfigError):
            require_same_space(space, settings, facts, trials)
            return space
    require_same_space(newest, settings, facts, trials)
    return newest


def _strict(space: Space, settings: SearchSettings) -> Space:
    """Return the space, which fails where Optuna would only warn, or a search would leave out what it says."""

    def draw_strictly(trial: optuna.Trial) -> dict[str, Any] | None:
        _refuse_sets(trial)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Inconsistent parameter values")
            constants = space(trial)
        epochs = constants.get("epochs", settings.epochs) if isinstance(constants, Mapping) else settings.epochs
        if epochs != settings.epochs:
            raise ValueError(f"epochs={epochs} is returned, which --epochs {settings.epochs} gives to all trials")
        return constants

    return draw_strictly


class _LateTrial(optuna.Trial):
    """A trial of which a space that goes by numbers makes something else than of the first."""

    @property
    def number(self) -> int:
        """The number, which is 0 for all others: each is drawn in a study of its own."""
        return _LATE


def _number_late(space: Space) -> Space:
    """Return the space, which sees a trial of another number."""

    def draw_late(trial: optuna.Trial) -> dict[str, Any] | None:
        trial.__class__ = _LateTrial
        return space(trial)

    return draw_late


def _refuse_sets(trial: optuna.Trial) -> None:
    """Let a trial refuse choices without an order, which Optuna takes."""
    suggest = trial.suggest_categorical

    def suggest_ordered(name: str, choices: Any) -> Any:
        if isinstance(choices, Set) and not isinstance(choices, KeysView):
            raise ValueError(
                f"the choices of {name} are a set, whose order differs from process to process, so that a seed would "
                "not draw the same again; give a tuple, or sorted(...)"
            )
        return suggest(name, choices)

    trial.suggest_categorical = suggest_ordered  # type: ignore[method-assign]


def _tell_offered(found: Draw, name: str) -> str:
    offered = found.distributions[name]
    return f"{offered.choices}" if isinstance(offered, CategoricalDistribution) else f"{offered}"


def _require_effect(drawn: Sequence[Draw], settings: SearchSettings) -> None:
    """Refuse a parameter that is drawn in vain; one that --set gives is for the user to say."""
    for name in sorted({name for found in drawn for name in found.params} - settings.fixed.keys()):
        having = [found for found in drawn if name in found.params]
        values = {json.dumps(found.values[name]) for found in having}
        if len(values) == 1 and len({json.dumps(found.params[name]) for found in having}) > 1:
            raise ConfigError(
                f"--space {settings.space} draws {name}, and trains all with {name}={values.pop()}: its choices mean "
                "the same, as 1 and 1.0 do, or what it returns wins over what it drew, and --epochs over both. Do not "
                f"draw {name}, or do not return it."
            )


def _count_configurations(drawn: Sequence[Draw], settings: SearchSettings) -> int | None:
    """Return an upper bound: every choice with every other; None without end."""
    sizes: dict[str, int] = {}
    for found in drawn:
        for name, offered in found.distributions.items():
            if name not in settings.fixed and (size := _count_values(offered)) is not None:
                sizes[name] = max(size, sizes.get(name, 1))
            elif name not in settings.fixed:
                return None
    return math.prod(sizes.values())


def _count_values(offered: BaseDistribution) -> int | None:
    match offered:
        case CategoricalDistribution():
            return len(offered.choices)
        case IntDistribution() | FloatDistribution(step=float()):
            return round((offered.high - offered.low) / (offered.step or 1)) + 1
        case _:
            return 1 if offered.single() else None


def _probe(space: Space, settings: SearchSettings, facts: dict[str, Any]) -> Iterator[Draw]:
    rejected: RejectedDrawError | None = None
    drawn = 0
    for seed in range(_PROBES):
        try:
            yield draw(partial(_fill, space, settings), facts, seed=seed)
            drawn += 1
        except RejectedDrawError as error:
            rejected = error
    if not drawn:
        raise ConfigError(f"{rejected} So did all of {_PROBES} draws; let it reject fewer of its combinations.")


def _fill(space: Space, settings: SearchSettings, trial: optuna.Trial) -> dict[str, Any]:
    return draw_config(space, trial, settings).values()
