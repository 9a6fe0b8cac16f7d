"""Finds a search space and draws a configuration from it; what it may draw is checked in `check`."""

import importlib
from collections.abc import Mapping
from typing import Any

import optuna

from search.settings import SearchSettings
from segcore.config import TrainConfig
from segcore.errors import ConfigError
from spaces import SPACES, Space


def new_study(sampler: optuna.samplers.BaseSampler, facts: dict[str, Any]) -> optuna.Study:
    """Return an empty study in memory that maximises and knows the facts of the data."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for name, value in facts.items():
        study.set_user_attr(name, value)
    return study


def load_space(name: str) -> Space:
    """Return a space by its name, or by the import path of a user's own.

    Args:
        name: one of `SPACES`, or `package.module:function`.

    Raises:
        ConfigError: when there is no such space.
    """
    if name in SPACES:
        return SPACES[name]
    module_name, colon, function_name = name.partition(":")
    if not colon:
        raise ConfigError(
            f"--space {name!r} is no space; use {', '.join(sorted(SPACES))}, or package.module:function for your own."
        )
    try:
        space = getattr(importlib.import_module(module_name), function_name)
    # A user's module may fail with anything.
    except Exception as error:
        raise ConfigError(
            f"--space {name!r} cannot be imported ({type(error).__name__}: {error}); "
            "start in the folder that holds the module, or put it on PYTHONPATH."
        ) from error
    if not callable(space):
        raise ConfigError(f"--space {name!r} is no function; it must take an optuna.Trial.")
    found: Space = space
    return found


def draw_config(space: Space, trial: optuna.Trial, settings: SearchSettings) -> TrainConfig:
    """Let a space draw, add the search's fixed values, and validate the whole.

    Raises:
        ConfigError: when the space fails, or its values are no `TrainConfig`.
    """
    try:
        constants = space(trial) or {}
    except Exception as error:
        raise ConfigError(
            f"--space {settings.space}: the function failed with {type(error).__name__}: {error}."
        ) from error
    if not isinstance(constants, Mapping):
        raise ConfigError(
            f"--space {settings.space} returned {constants!r}; return a dictionary of TrainConfig values, or nothing."
        )
    values = {"seed": settings.seed, **trial.params, **constants, **settings.fixed, "epochs": settings.epochs}
    try:
        return TrainConfig.from_values(values)
    except ConfigError as error:
        raise ConfigError(f"--space {settings.space} draws what no training can follow: {error}") from error
