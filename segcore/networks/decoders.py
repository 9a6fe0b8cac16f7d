"""Decoders over a timm encoder, from segmentation_models.pytorch: one builder each, and which combinations exist.

What wraps the network (normalisation, padding) lives in `model`; encoders' weights live in `weights`.
"""

from collections.abc import Callable
from typing import Final

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from segcore.config import TrainConfig, decoder_widths

_SE_REDUCTION: Final = 16


class SqueezeExcitation(nn.Module):
    """Scales channels by what a small network makes of their means. (Hu et al., 2018.)

    Args:
        channels: channels of the feature map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // _SE_REDUCTION)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, features_NCHW: Tensor) -> Tensor:
        """Return the features with scaled channels."""
        gate_NC11: Tensor = self.gate(features_NCHW)
        return features_NCHW * gate_NC11


def build_network(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    """Build encoder and decoder with random weights.

    Args:
        config: backbone, decoder, decoder_channels and attention are used.
        outputs: number of classes the network tells apart.

    Returns:
        A network that takes (N, 3, H, W) with H and W divisible by 32 and returns (N, outputs, H, W).
    """
    network = _BUILDERS[config.decoder](config, outputs)
    if config.attention == "se":
        _replace_attention(network.decoder)
    return network


def _unet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.Unet(
        encoder_name=_encoder_name(config),
        encoder_weights=None,
        decoder_channels=decoder_widths(config.decoder_channels),
        decoder_attention_type=_attention(config),
        classes=outputs,
    )


def _unetplusplus(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.UnetPlusPlus(
        encoder_name=_encoder_name(config),
        encoder_weights=None,
        decoder_channels=decoder_widths(config.decoder_channels),
        decoder_attention_type=_attention(config),
        classes=outputs,
    )


def _manet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.MAnet(
        encoder_name=_encoder_name(config),
        encoder_weights=None,
        decoder_channels=decoder_widths(config.decoder_channels),
        classes=outputs,
    )


def _linknet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.Linknet(encoder_name=_encoder_name(config), encoder_weights=None, classes=outputs)


def _fpn(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    # Its group normalisation takes 32 groups.
    channels = max(64, config.decoder_channels // 64 * 64)
    return smp.FPN(
        encoder_name=_encoder_name(config),
        encoder_weights=None,
        decoder_pyramid_channels=channels,
        decoder_segmentation_channels=channels // 2,
        classes=outputs,
    )


def _deeplabv3plus(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.DeepLabV3Plus(
        encoder_name=_encoder_name(config),
        encoder_weights=None,
        decoder_channels=config.decoder_channels,
        classes=outputs,
    )


def _upernet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.UPerNet(
        encoder_name=_encoder_name(config),
        encoder_weights=None,
        decoder_channels=config.decoder_channels,
        classes=outputs,
    )


_BUILDERS: Final[dict[str, Callable[[TrainConfig, int], smp.base.SegmentationModel]]] = {
    "unet": _unet,
    "unetplusplus": _unetplusplus,
    "manet": _manet,
    "linknet": _linknet,
    "fpn": _fpn,
    "deeplabv3plus": _deeplabv3plus,
    "upernet": _upernet,
}


def _encoder_name(config: TrainConfig) -> str:
    return f"tu-{config.backbone}"


def _attention(config: TrainConfig) -> str | None:
    # Both kinds start as the library's scSE, which knows each block's channels; `se` then takes its places.
    return None if config.attention == "none" else "scse"


def _replace_attention(decoder: nn.Module) -> None:
    for module in decoder.modules():
        block = getattr(module, "attention", None)
        if isinstance(block, smp.base.modules.SCSEModule):
            module.attention = SqueezeExcitation(block.sSE[0].in_channels)
