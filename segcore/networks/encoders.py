"""Encoders: timm's, and SMP's mix transformers (`mit_b0` to `mit_b5`); how each is built for images of street sizes.

What stands over an encoder lives in `decoders`, where its weights come from in `weights`, which of them fit together in
`families`.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import timm
from segmentation_models_pytorch.encoders.mix_transformer import mix_transformer_encoders

from segcore.config import STRIDE, TrainConfig
from segcore.errors import ConfigError

Options = Mapping[str, Any]

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

_WINDOWS: Final[Options] = {"strict_img_size": False, "always_partition": True}
_POSITIONS: Final[Options] = {"dynamic_img_size": True}
_ANY_SIZE: Final[Mapping[str, Options]] = {
    "swin_transformer": _WINDOWS,
    "swin_transformer_v2": _WINDOWS,
    "swin_transformer_v2_cr": _WINDOWS,
    "vision_transformer": _POSITIONS,
    "vision_transformer_hybrid": _POSITIONS,
    "deit": _POSITIONS,
    "eva": _POSITIONS,
    "vitamin": _POSITIONS,
}
"""By timm's module: what makes a network that was trained on one size take others, its position embedding resized."""

_ONE_SIZE: Final = frozenset(
    ("beit", "vision_transformer_relpos", "vision_transformer_sam", "hiera", "coat", "efficientformer_v2", "gcvit")
)
"""Modules of timm whose networks are built for squares of one size, which may be any."""

_ONE_SIZE_NAMES: Final = re.compile(r"coatnext|coatnet|botne|lambda_resnet")
_WINDOWED_NAMES: Final = re.compile(r"maxvit|maxxvit|halo|bat_res")
"""Networks that cut an image into as many windows as a row of their own image size has; it must come out even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """How an encoder is built and what it takes.

    Args:
        options: of timm's constructor; of SMP's own encoders there are none.
        stride: sides of what it takes are multiples of so many pixels; a decoder may ask for others.
        takes_one_size: whether it takes squares of `stride` pixels alone.
    """

    options: Options
    stride: int
    takes_one_size: bool


def is_mix_transformer(backbone: str) -> bool:
    """Say whether a backbone is one of SMP's own, which timm does not have."""
    return backbone in mix_transformer_encoders


def name_encoder(backbone: str) -> str:
    """Return what segmentation_models.pytorch calls a backbone."""
    return backbone if is_mix_transformer(backbone) else f"tu-{backbone}"


def find_encoder(config: TrainConfig) -> Encoder:
    """Return how a configuration's encoder is built.

    Args:
        config: backbone, input_mode and crop_size are used.

    Raises:
        ConfigError: when there is no such backbone, or it takes one size only and the configuration shows it others.
    """
    require_backbone(config.backbone)
    if is_mix_transformer(config.backbone):
        return Encoder(options={}, stride=STRIDE, takes_one_size=False)
    module = timm.models.model_entrypoint(config.backbone).__module__.rpartition(".")[2]
    if module in _ONE_SIZE or _ONE_SIZE_NAMES.search(config.backbone):
        _require_one_size(config)
        return Encoder(options={"img_size": config.crop_size}, stride=config.crop_size, takes_one_size=True)
    return Encoder(options=_ANY_SIZE.get(module, {}), stride=_find_stride(config.backbone), takes_one_size=False)


def takes_one_size(config: TrainConfig) -> bool:
    """Say whether a configuration's network takes squares of its crop size alone, so that it predicts in tiles."""
    return find_encoder(config).takes_one_size


def find_normalisation(backbone: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, pixels scaled to 0..1, that a backbone's weights expect."""
    found = None if is_mix_transformer(backbone) else timm.get_pretrained_cfg(backbone)
    return (IMAGENET_MEAN, IMAGENET_STD) if found is None else (found.mean, found.std)


@cache
def require_backbone(name: str) -> None:
    """Raise `ConfigError` with the nearest names when there is no such model, or no such weights of it."""
    if is_mix_transformer(name):
        return
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, (*timm.list_models(), *mix_transformer_encoders), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models() for the names."
        raise ConfigError(f"backbone={name!r} is no timm model; {hint}")
    model, _, tag = name.partition(".")
    if not tag:
        return
    tags = [each.partition(".")[2] for each in timm.list_pretrained(model)]
    if tag not in tags:
        known = f"use one of {', '.join(tags)}, or none." if tags else f"leave it out: backbone={model}."
        raise ConfigError(f"backbone={name!r}: timm has no weights called {tag!r} of {model}; {known}")


def _find_stride(backbone: str) -> int:
    if "mobilevit" in backbone:
        # Its deepest features are cut into patches of two by two, and enlarged where they do not come out even.
        return 2 * STRIDE
    found = timm.get_pretrained_cfg(backbone) if _WINDOWED_NAMES.search(backbone) else None
    return STRIDE if found is None else max(found.input_size[1:])


def _require_one_size(config: TrainConfig) -> None:
    if config.input_mode == "crop" and config.crop_size % STRIDE == 0:
        return
    raise ConfigError(
        f"backbone={config.backbone!r} takes squares of one size, and input_mode={config.input_mode}, "
        f"crop_size={config.crop_size} shows it others; use input_mode=crop with a crop_size that is a multiple of "
        f"{STRIDE}, such as 512: it is built for that size, and predicts in tiles of it."
    )
