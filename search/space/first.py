"""What is known before a search: configurations to try first, from files and from earlier searches.

They are resolved once, at the launch, and stand in `settings.json` from then on, so that a resumed search goes on with
the same ones. The sampler learns from those that the space could have drawn; others that a person gave are trained all
the same. What is known of a space without a person lives in `spaces.known_good`.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from search.settings import SearchSettings, describe_damage
from search.space.check import Requirement
from search.space.draw import Draw, RejectedDrawError, draw, draw_config
from segcore.config import TrainConfig, make_paths_whole
from segcore.data.names import refuse_repeated_keys
from segcore.data.texts import read_text
from segcore.errors import ConfigError, StreetError
from segcore.regular import refuse_irregular
from spaces import Space
from spaces.known_good import KNOWN_GOOD

_OWN_VALUES: Final = ("epochs", "seed")
"""A search has these for all its trials."""
_DRAWS: Final = 64
"""A space may reject so many combinations in a row."""


def read_prior(file: Path) -> dict[str, Any]:
    """Read the values of a configuration: a `best.json`, what `best --json` prints, or `TrainConfig` values by name.

    Raises:
        ConfigError: when the file cannot be read, or holds no configuration.
    """
    try:
        refuse_irregular(file)
        values = _parse_prior(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"--seed-config {file} cannot be read ({describe_damage(error)}); give a best.json, or an object of "
            'TrainConfig values such as {"backbone": "resnet34", "learning_rate": 0.001}.'
        ) from error
    return validate_given(values, f"--seed-config {file}")


def _parse_prior(text: str) -> dict[str, Any]:
    document = json.loads(text, object_pairs_hook=refuse_repeated_keys)
    if isinstance(document, dict) and isinstance(document.get("best"), dict):
        document = document["best"]
    is_best = isinstance(document, dict) and "values" in document
    values = document["values"] if is_best else document
    if not isinstance(values, dict):
        raise ValueError(f"{'its values are' if is_best else 'it holds'} {json.dumps(values)[:40]}, no object")
    # A winner's patience is that of its retraining.
    given = {name: value for name, value in values.items() if not (is_best and name == "patience_epochs")}
    if not given.keys() - {*_OWN_VALUES}:
        raise ValueError(f"it gives no value{' but what all trials have' if given else ''}")
    return given


def resolve_first(
    given: Sequence[tuple[str, dict[str, Any]]],
    space: Space,
    settings: SearchSettings,
    facts: dict[str, Any],
    require_trainable: Requirement,
) -> list[dict[str, Any]]:
    """Make whole configurations of what is given; what it leaves out the space draws or sets.

    Args:
        given: where each comes from, as a person knows it, and its values, from `read_prior` and `read_earlier`.
        space: the search's space.
        settings: epochs, seed and fixed values are the search's.
        facts: what spaces may know of the data.
        require_trainable: refuses a configuration.

    Returns:
        By configuration its `values`, its `params` as the space would have drawn them, and whether it could have
        (`drawable`); each once.

    Raises:
        ConfigError: when one cannot be trained, with where it comes from, or there are more than trials.
        WeightsError: likewise, when its weights cannot be had.
    """
    resolved: list[dict[str, Any]] = []
    for number, (source, values) in enumerate(given):
        try:
            whole = _resolve(values, space, settings, facts, number)
            require_trainable(TrainConfig.from_values(whole["values"]))
        except StreetError as error:
            raise type(error)(f"{source}: {error}") from error
        if all(whole["values"] != other["values"] for other in resolved):
            resolved.append(whole)
    if len(resolved) > settings.trials:
        raise ConfigError(
            f"--trials {settings.trials}: there are {len(resolved)} configurations to try first; "
            f"use --trials {len(resolved)} or more."
        )
    return resolved


def add_known(
    first: Sequence[dict[str, Any]],
    space: Space,
    settings: SearchSettings,
    facts: dict[str, Any],
    require_trainable: Requirement,
) -> list[dict[str, Any]]:
    """Return what is tried first with what is known to be good in the search's space behind it, if anything is.

    Args:
        first: what a person gave, from `resolve_first`.
        space: the search's space.
        settings: epochs, seed and fixed values are the search's; half of its trials at most are not drawn.
        facts: what spaces may know of the data.
        require_trainable: refuses a configuration.
    """
    found = list(first)
    most = min(settings.trials // 2, len(first) + settings.known)
    for known in KNOWN_GOOD.get(settings.space, ()):
        if len(found) >= most:
            break
        whole = _resolve_known(known, space, settings, facts, require_trainable)
        if whole is not None and all(whole["values"] != other["values"] for other in found):
            found.append(whole)
    return found


def _resolve_known(
    known: Mapping[str, Any], space: Space, settings: SearchSettings, facts: dict[str, Any], require: Requirement
) -> dict[str, Any] | None:
    """Return a whole configuration that the space could have drawn and the data can train; None where there is none."""
    for attempt in range(_DRAWS):
        # What is drawn beside it, another network above all, may have no place for it, or too little memory.
        with contextlib.suppress(StreetError):
            whole = _resolve(dict(known), space, settings, facts, attempt)
            if whole["drawable"]:
                require(TrainConfig.from_values(whole["values"]))
                return whole
    return None


def _resolve(
    given: dict[str, Any], space: Space, settings: SearchSettings, facts: dict[str, Any], number: int
) -> dict[str, Any]:
    found = _draw_beside(given, space, settings, facts, number)
    drawn = found.values
    own = {name: drawn[name] for name in _OWN_VALUES}
    config = TrainConfig.from_values(make_paths_whole({**drawn, **given, **settings.fixed, **own}))
    drawable = config.values() == drawn
    return {"values": config.values(), "params": found.params if drawable else {}, "drawable": drawable}


def _draw_beside(
    given: dict[str, Any], space: Space, settings: SearchSettings, facts: dict[str, Any], number: int
) -> Draw:
    """Draw what is not given; without regard to it where the space rejects all that has it."""
    rejected: RejectedDrawError | None = None
    for kept in (given, {}):
        for attempt in range(_DRAWS):
            try:
                return draw(
                    lambda trial: draw_config(space, trial, settings).values(),
                    facts,
                    seed=settings.seed + number + attempt,
                    given=kept,
                )
            except RejectedDrawError as error:
                rejected = error
    raise ConfigError(f"{rejected} So did all of {_DRAWS} draws; let it reject fewer of its combinations.")


def validate_given(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Return given values as `TrainConfig` takes them; a `ConfigError` says where they come from."""
    try:
        checked = TrainConfig.from_values(values).values()
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return {name: checked[name] for name in values}
