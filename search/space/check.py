"""Refuses, before anything starts, a search space that trainings could not follow."""

from collections.abc import Callable
from typing import Any

import optuna

from search.settings import SearchSettings
from search.space.draw import draw_config, new_study
from segcore.config import TrainConfig
from spaces import Space

_PROBES = 64

Requirement = Callable[[TrainConfig], None]
"""Raises for a configuration that cannot be trained, see `segcore.training.feasible`; loading networks needs torch."""


def require_usable_space(
    space: Space, settings: SearchSettings, facts: dict[str, Any], require_trainable: Requirement
) -> None:
    """Draw from a space at random and refuse it when a draw is no configuration that this data can train.

    Args:
        space: the space.
        settings: its fixed values and epochs are used.
        facts: what spaces may know of the data; `smallest_side`, pixels.
        require_trainable: refuses a configuration.

    Raises:
        ConfigError: naming the draw and what is wrong with it.
        WeightsError: when a backbone's weights cannot be had.
    """
    study = new_study(optuna.samplers.RandomSampler(seed=0), facts)
    for _ in range(_PROBES):
        trial = study.ask()
        config = draw_config(space, trial, settings)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        require_trainable(config)
