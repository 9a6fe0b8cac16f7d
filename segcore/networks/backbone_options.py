"""Arguments of timm's that a configuration gives its encoder, such as drop path; which of them a backbone takes.

Parsing their text lives in `expressions`; what images of street sizes ask of an encoder lives in `encoders`.
"""

import difflib
import functools
import inspect
from collections.abc import Mapping
from typing import Any, Final

import timm
import torch

from segcore.config import TrainConfig
from segcore.errors import ConfigError
from segcore.expressions import OptionValue, parse_backbone_options
from segcore.networks.encoders import is_mix_transformer

_OURS: Final = frozenset(
    (
        *("self", "args", "kwargs", "cfg", "device", "dtype"),
        *("num_classes", "in_chans", "global_pool", "output_stride"),
        *("img_size", "strict_img_size", "always_partition", "dynamic_img_size", "dynamic_img_pad", "patch_drop_rate"),
    )
)
"""What the images and the decoder decide, or what leaves no picture."""


def read_backbone_options(config: TrainConfig) -> dict[str, OptionValue]:
    """Return the arguments that a configuration adds to those of its encoder.

    Args:
        config: backbone and backbone_options are used.

    Raises:
        ConfigError: when the backbone does not take them.
    """
    options = parse_backbone_options(config.backbone_options)
    if options:
        _require_options(config.backbone, config.backbone_options)
    return options


@functools.cache
def _require_options(backbone: str, text: str) -> None:
    told = f"backbone_options={text!r:.200}"
    if is_mix_transformer(backbone):
        raise ConfigError(f"{told}: backbone={backbone!r} takes none; leave them out, or use a backbone of timm's.")
    options = parse_backbone_options(text)
    taken = _find_taken(backbone)
    for name in options:
        if name not in taken:
            near = difflib.get_close_matches(name, taken, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(taken)}."
            raise ConfigError(f"{told}: {name!r:.100} is nothing that backbone={backbone!r} takes; {hint}")
    try:
        _try(backbone, options)
    # timm raises errors of many types for values that it cannot use.
    except Exception as error:
        raise ConfigError(
            f"{told}: backbone={backbone!r} does not take that ({type(error).__name__}: {error!s:.200}); leave it out, "
            "or give another value, such as drop_path_rate=0.1."
        ) from error


def _find_taken(backbone: str) -> list[str]:
    return sorted(set(inspect.signature(type(_try(backbone, {})).__init__).parameters) - _OURS)


def _try(backbone: str, options: Mapping[str, OptionValue]) -> Any:
    # On the meta device nothing is computed, only shapes.
    with torch.device("meta"):
        return timm.create_model(backbone, **options)
