"""Draws a configuration from a search space; which spaces are refused is decided in `check`.

What a space draws has to outlive the process as JSON, and is drawn again from there. So every choice has a plain name:
a number, a text, a truth value or None is its own, and anything else has its JSON text.
"""

import json
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from search.settings import SearchSettings
from search.space.load import describe_failure
from segcore.config import TrainConfig, make_paths_whole
from segcore.data.caching.cache import PixelCache
from segcore.data.names import find_repeated
from segcore.errors import ConfigError
from spaces import Space

Params = Mapping[str, Any]
_SHOWN_LETTERS: Final = 200
_MOST_CHOICES: Final = 1000
_TOLD: Final[set[tuple[str, str, int]]] = set()
"""Warnings of spaces that were told, with the file and the line they come from."""


class RejectedDrawError(ConfigError):
    """A space gave up a combination of its own by `optuna.TrialPruned`; another draw may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A configuration that a space drew.

    Args:
        params: the plain name of what was drawn for each parameter.
        values: what the space makes of them; in a search every `TrainConfig` value.
        distributions: what each parameter was drawn from, its choices by their plain names; a draw of which only the
            journal tells has none.
    """

    params: dict[str, Any]
    values: dict[str, Any]
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)


def space_facts(cache: PixelCache) -> dict[str, Any]:
    """Return what a search space may know of the data."""
    return {"smallest_side": cache.usual_side, "images": len(cache.cases)}


def draw(
    fill: Callable[[optuna.Trial], dict[str, Any]], facts: Params, *, seed: int, given: Params | None = None
) -> Draw:
    """Draw a configuration.

    Args:
        fill: draws from a trial and returns the values, such as `draw_config` for a space.
        facts: what spaces may know of the data.
        seed: decides what is not given.
        given: plain names or values by parameter; taken where the space allows them.

    Raises:
        ConfigError: when the space fails, or draws what no training can follow.
    """
    # Setting a level makes Python forget those of all loggers, which takes longer than the draw.
    if optuna.logging.get_verbosity() != optuna.logging.WARNING:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=_GivenSampler(given or {}, seed))
    for name, fact in facts.items():
        study.set_user_attr(name, fact)
    trial = study.ask()
    with warnings.catch_warnings(record=True) as heard:
        # At every draw Optuna warns of choices that its databases could not keep; here their plain names are kept. It
        # also warns of what works all the same: a range that ends between two steps, a former name of a function.
        warnings.filterwarnings(
            "ignore", "Choices for a categorical|The distribution is specified by|suggest_.* deprecated"
        )
        values = fill(trial)
        distributions = {name: _with_plain_choices(name, each) for name, each in trial.distributions.items()}
        params = {name: name_choice(value) for name, value in trial.params.items()}
    for each in heard:
        _warn_once(each)
    return Draw(params=params, values=values, distributions=distributions)


def _warn_once(heard: warnings.WarningMessage) -> None:
    """Warn of what a space warns of; Python itself forgets with every draw what it has told."""
    told = (str(heard.message), heard.filename, heard.lineno)
    if told not in _TOLD:
        _TOLD.add(told)
        warnings.warn_explicit(heard.message, heard.category, heard.filename, heard.lineno)


def draw_config(space: Space, trial: optuna.Trial, settings: SearchSettings) -> TrainConfig:
    """Let a space draw, add the search's fixed values, and validate the whole.

    Raises:
        RejectedDrawError: when the space does not want this combination.
        ConfigError: when the space fails, or its values are no `TrainConfig`.
    """
    try:
        constants = space(trial) or {}
    except optuna.TrialPruned as error:
        raise RejectedDrawError(f"--space {settings.space} raised TrialPruned for {trial.params}.") from error
    except KeyboardInterrupt:
        raise
    # A user's function may fail with anything, and even end the process.
    except BaseException as error:
        raise ConfigError(f"--space {settings.space}: the function failed with {describe_failure(error)}.") from error
    if not isinstance(constants, Mapping):
        raise ConfigError(
            f"--space {settings.space} returned {show_value(constants)}; return a dictionary of TrainConfig values, or "
            "nothing."
        )
    values = {"seed": settings.seed, **trial.params, **constants, **settings.fixed, "epochs": settings.epochs}
    try:
        # Workers run in folders of their own.
        return TrainConfig.from_values(make_paths_whole({name: to_plain(value) for name, value in values.items()}))
    except ConfigError as error:
        raise ConfigError(f"--space {settings.space} draws what no training can follow: {error}") from error


def to_plain(value: Any) -> Any:
    """Return a value as JSON gives it back: arrays and tuples as lists, NumPy's numbers and enums as plain ones.

    Raises:
        ConfigError: when JSON cannot hold it.
    """
    try:
        return _make_plain(value)
    except RecursionError:
        raise ConfigError(
            "lists or dictionaries that hold each other, or thousands of each other, cannot be kept; draw numbers, "
            "texts, or lists of them."
        ) from None


def show_value(value: Any) -> str:
    """Return the beginning of how Python writes what a user's code made."""
    try:
        told = repr(value)
        return told if len(told) <= _SHOWN_LETTERS else f"{told[:_SHOWN_LETTERS]}..."
    # Of a number of thousands of digits Python refuses it, and a user's class may fail with anything.
    except Exception:
        return "something that cannot be shown"


def _make_plain(value: Any) -> Any:
    match value:
        case Enum():
            return _make_plain(value.value)
        case np.generic():
            return _make_plain(value.item())
        case np.ndarray():
            return _make_plain(value.tolist())
        case float() if not math.isfinite(value):
            raise ConfigError(f"{value!r} is no finite number; JSON holds none other.")
        case int() if abs(value) > sys.float_info.max:
            raise ConfigError(f"{show_value(value)} is larger than any number that a search can compare; draw less.")
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_make_plain(each) for each in value]
        case Mapping():
            return {str(name): _make_plain(each) for name, each in value.items()}
    raise ConfigError(
        f"{show_value(value)} of type {type(value).__name__} cannot be kept; draw numbers, texts, or lists of them."
    )


def name_choice(value: Any) -> bool | int | float | str | None:
    """Return the plain name of what was drawn for a parameter: itself where it is plain, else its JSON text."""
    plain = to_plain(value)
    return json.dumps(plain) if isinstance(plain, list | dict) else plain


def allows(distribution: BaseDistribution, value: Any) -> bool:
    """Say whether a parameter may have a value, given as such or by its plain name."""
    if isinstance(distribution, CategoricalDistribution):
        return bool(_list_same(distribution, value))
    # A value may be a word, such as a batch size "auto", where the space draws numbers.
    if _is_number(value) and isinstance(distribution, FloatDistribution | IntDistribution):
        steps = (value - distribution.low) / distribution.step if distribution.step else 0.0
        return bool(distribution.low <= value <= distribution.high and abs(steps - round(steps)) < 1e-8)
    return False


def _list_same(distribution: CategoricalDistribution, value: Any) -> list[Any]:
    """Return the choices that a value may stand for: those of its very name, else those of its number."""
    named = [(choice, name_choice(choice)) for choice in distribution.choices]
    name = name_choice(value)
    text = json.dumps(name)
    # To Python 1, 1.0 and True are equal. A space may offer all three, yet a configuration has 1.0 for a 1.
    same = [choice for choice, each in named if json.dumps(each) == text]
    return same or [choice for choice, each in named if _is_number(each) and _is_number(name) and each == name]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _with_plain_choices(parameter: str, distribution: BaseDistribution) -> BaseDistribution:
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    try:
        names = [name_choice(choice) for choice in distribution.choices]
    except ConfigError as error:
        raise ConfigError(f"{parameter}: {error}") from None
    texts = [json.dumps(name) for name in names]
    if twice := find_repeated(texts):
        raise ConfigError(f"{parameter}: two choices are {twice[0]} in JSON; give each once, or unlike names.")
    return CategoricalDistribution(names)


def _require_comparable(parameter: str, distribution: BaseDistribution) -> None:
    """Refuse choices that Optuna could not find again among each other, or of which a search learns nothing."""
    if not isinstance(distribution, CategoricalDistribution):
        return
    if len(distribution.choices) > _MOST_CHOICES:
        raise ConfigError(
            f"{parameter}: has {len(distribution.choices):,} choices, and at most {_MOST_CHOICES:,} can be told apart "
            "by trials; draw a number by suggest_int or suggest_float."
        )
    try:
        for choice in distribution.choices:
            distribution.to_internal_repr(choice)
    # Comparing NumPy's arrays raises this, of whatever shape or nesting they are.
    except ValueError as error:
        raise ConfigError(
            f"{parameter}: its choices cannot be compared ({error}); give plain numbers and lists, such as "
            "array.tolist()."
        ) from error


class _GivenSampler(optuna.samplers.BaseSampler):
    """Draws what is given where the space allows it, and at random elsewhere."""

    def __init__(self, given: Params, seed: int) -> None:
        self._given = given
        self._random = optuna.samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        _require_comparable(param_name, param_distribution)
        if param_name in self._given and allows(param_distribution, self._given[param_name]):
            return _choice(param_distribution, self._given[param_name])
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _choice(distribution: BaseDistribution, value: Any) -> Any:
    """Return the space's own choice that a plain name stands for."""
    if isinstance(distribution, CategoricalDistribution):
        return _list_same(distribution, value)[0]
    return value
