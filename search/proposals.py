"""Finds the search space and refuses, before anything starts, one that trainings could not follow."""

import importlib
from collections.abc import Mapping
from typing import Any

import optuna

from search.searcher import new_study
from search.settings import SearchSettings
from segcore.config import TrainConfig
from segcore.errors import ConfigError
from segcore.model import require_architecture
from segcore.transforms import require_crop_fits
from segcore.weights import require_weights
from spaces import SPACES, Space

_PROBES = 64


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


def require_usable_space(space: Space, settings: SearchSettings, facts: dict[str, Any]) -> None:
    """Draw from a space at random and refuse it when a draw is no configuration that this data can train.

    Args:
        space: the space.
        settings: its fixed values and epochs are used.
        facts: what spaces may know of the data; `smallest_side`, pixels.

    Raises:
        ConfigError: naming the draw and what is wrong with it.
        WeightsError: when a backbone's weights cannot be had.
    """
    study = new_study(optuna.samplers.RandomSampler(seed=0), facts)
    checked: set[tuple[object, ...]] = set()
    for _ in range(_PROBES):
        trial = study.ask()
        config = draw_config(space, trial, settings)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        network = (config.backbone, config.weights, config.decoder, config.decoder_channels, config.attention)
        require_trainable(config, facts, network=network not in checked)
        checked.add(network)


def require_trainable(config: TrainConfig, facts: dict[str, Any], *, network: bool = True) -> None:
    """Refuse a configuration that this data cannot train.

    Args:
        config: the configuration.
        facts: what is known of the data; `smallest_side`, pixels.
        network: whether to look at its architecture and weights, too.

    Raises:
        ConfigError: naming what is wrong with it.
        WeightsError: when its weights cannot be had.
    """
    require_crop_fits(facts["smallest_side"], config)
    if network:
        require_architecture(config)
        require_weights(config)


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
