"""Which layer of an encoder each of its weights is of, and which are never decayed, as timm knows its models."""

import fnmatch
from collections.abc import Collection
from typing import Any, Final

import timm
import torch
from timm.models import group_parameters

from segcore.config import TrainConfig
from segcore.errors import ConfigError
from segcore.networks.fitting import find_fitting

OF_TIMM: Final = "model."
"""Where an encoder of segmentation_models.pytorch keeps timm's model."""


def find_layers(config: TrainConfig, names: Collection[str]) -> dict[str, int]:
    """Return how many layers below the decoder each weight of an encoder is: 1 for those of its last layer.

    Args:
        config: its backbone is used.
        names: of the encoder's weights.

    Raises:
        ConfigError: when timm knows no layers of it.
    """
    whole, name_of = _match(config, names)
    unknown = [name for name in names if name not in name_of]
    if not hasattr(whole, "group_matcher") or unknown:
        raise ConfigError(
            f"encoder_layer_decay={config.encoder_layer_decay}: timm knows no layers of backbone={config.backbone!r}"
            f"{f' ({unknown[0]})' if unknown else ''}; use encoder_layer_decay=1, or encoder_rate_factor for the whole "
            "encoder."
        )
    layers: dict[str, int] = group_parameters(whole, whole.group_matcher(coarse=False), reverse=True)
    # The last layer is the classifier, in whose place the decoder is.
    top = max(layers.values())
    return {name: top - layers[name_of[name]] for name in names}


def find_undecayed(config: TrainConfig, names: Collection[str]) -> frozenset[str]:
    """Return which weights of an encoder its authors never decay, such as the places of a transformer's patches.

    Args:
        config: its backbone is used.
        names: of the encoder's weights.
    """
    whole, name_of = _match(config, names)
    patterns = whole.no_weight_decay() if hasattr(whole, "no_weight_decay") else ()
    return frozenset(
        name for name, theirs in name_of.items() if any(fnmatch.fnmatch(theirs, pattern) for pattern in patterns)
    )


def _match(config: TrainConfig, names: Collection[str]) -> tuple[Any, dict[str, str]]:
    """Return timm's whole model without weights, None for others' backbones, and its name of each of the encoder's."""
    if not timm.is_model(config.backbone):
        return None, {}
    with torch.device("meta"):
        whole = timm.create_model(config.backbone)
    theirs = [name for name, _ in whole.named_parameters()]
    own = [name.removeprefix(OF_TIMM) for name in names]
    forth = find_fitting(theirs, own)
    # What only takes features out of a model may keep the whole one inside.
    back = {inner: outer for outer, inner in find_fitting(own, theirs).items()}
    return whole, {OF_TIMM + name: found for name, found in max(forth, back, key=len).items()}
