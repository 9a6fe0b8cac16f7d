"""What the texts of a configuration say: a sum of losses, and arguments of an encoder.

Which fields hold them is in `config`; what a loss computes in `training.losses`, what an encoder takes in
`networks.backbone_options`.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

from segcore.errors import ConfigError

LOSS_NAMES: Final = ("ce", "bce", "jaccard", "focal", "dice", "lovasz", "boundary")

OptionValue = bool | int | float | str


def parse_loss(expression: str) -> tuple[tuple[float, str], ...]:
    """Split a loss expression into weights and names.

    Args:
        expression: names joined by '+', each with an optional weight before '*': 'ce+0.5*jaccard'.

    Returns:
        (weight, name) of each term.

    Raises:
        ConfigError: for an unknown name, a name used twice or a weight that is not a positive number.
    """
    terms = tuple(_parse_term(term.strip(), expression) for term in expression.split("+"))
    names = [name for _, name in terms]
    if len(set(names)) < len(names):
        raise ConfigError(f"loss {expression!r:.100} names a loss twice; write each once with its weight.")
    return terms


def translate_first_losses(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a file of the first format, which wrote `ce` as bce and `bce` as binary, as of today's."""
    loss = re.sub(r"\bbce\b", "ce", str(values.get("loss", "bce")))
    return {**values, "loss": re.sub(r"\bbinary\b", "bce", loss)}


def parse_backbone_options(text: str) -> dict[str, OptionValue]:
    """Split the text of `backbone_options` into names and values: whole numbers, numbers, true, false or words.

    Raises:
        ConfigError: for a part that is no assignment, a name given twice, or a value of another kind.
    """
    options: dict[str, OptionValue] = {}
    for part in text.split(",") if text.strip() else ():
        name, value = (each.strip() for each in part.partition("=")[::2])
        if not name.isidentifier() or not re.fullmatch(r"[\w.+-]+", value):
            raise ConfigError(
                f"backbone_options={text!r:.200}: {part.strip()!r:.100} is no argument; write NAME=VALUE joined by "
                "commas, such as drop_path_rate=0.1."
            )
        if name in options:
            raise ConfigError(f"backbone_options={text!r:.200} names {name} twice; keep one.")
        options[name] = _read_option(value)
    return options


def _parse_term(term: str, expression: str) -> tuple[float, str]:
    weight_text, star, name = term.rpartition("*")
    try:
        weight = float(weight_text) if star else 1.0
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ConfigError(f"loss {expression!r:.100}: the weight {weight_text!r:.100} is not a positive number.")
    name = name.strip()
    if name == "binary":
        raise ConfigError(
            f"loss {expression!r:.100}: 'binary' is called 'bce' (each class against the rest); "
            "softmax cross-entropy is 'ce'."
        )
    if name not in LOSS_NAMES:
        raise ConfigError(
            f"loss {expression!r:.100}: {name!r:.100} is no loss; use {', '.join(LOSS_NAMES)} or a sum such as "
            "'ce+0.5*jaccard'."
        )
    return weight, name


def _read_option(value: str) -> OptionValue:
    if value in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
