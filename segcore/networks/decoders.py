"""Decoders over an encoder, from segmentation_models.pytorch: one builder each, and what each asks of an image's sides.

How an encoder is built lives in `encoders`, its weights in `weights`; what wraps the network (normalisation, padding)
lives in `model`.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, Final

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder
from torch import Tensor, nn

from segcore.config import STRIDE, TrainConfig, decoder_widths
from segcore.networks.backbone_options import read_backbone_options
from segcore.networks.encoders import find_encoder, name_encoder

_SE_REDUCTION: Final = 16
_PAN_SIDE: Final = 128
"""Pixels; below it nothing is left of the third halving of features at a sixteenth."""
_FPN_GROUPS: Final = 32
"""Of FPN's normalisation, each of which needs more than a single number."""


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
        config: backbone, decoder, decoder_channels, attention, input_mode and crop_size are used.
        outputs: number of classes the network tells apart.

    Returns:
        A network that takes (N, 3, H, W), see `find_stride` and `smallest_side`, and returns logits of that size, or
        nearly (`dpt` over patches of 14 pixels).
    """
    network = _BUILDERS[config.decoder](config, outputs)
    if config.attention == "se":
        _replace_attention(network.decoder)
    return network


def find_stride(network: smp.base.SegmentationModel, config: TrainConfig) -> int:
    """Return what the sides of a network's input are multiples of, pixels.

    Args:
        network: of `build_network`.
        config: of the network.
    """
    encoder = find_encoder(config)
    if not isinstance(network, smp.DPT) or encoder.takes_one_size:
        return encoder.stride
    patch = int(network.encoder.output_stride)
    # The deepest of its levels is at a thirty-second, whatever the patches, and the others are twice as large each.
    return max(encoder.stride, patch) if patch >= STRIDE else patch * (STRIDE // _power_of_two(patch))


def smallest_side(config: TrainConfig) -> int:
    """Return the pixels that each side of an input has at least."""
    if config.decoder == "pan":
        return _PAN_SIDE
    return 2 * STRIDE if config.decoder == "fpn" and _fpn_width(config) // 2 <= _FPN_GROUPS else 1


def _unet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.Unet(
        **_encoder(config),
        decoder_channels=decoder_widths(config.decoder_channels),
        decoder_attention_type=_attention(config),
        classes=outputs,
    )


def _unetplusplus(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.UnetPlusPlus(
        **_encoder(config),
        decoder_channels=decoder_widths(config.decoder_channels),
        decoder_attention_type=_attention(config),
        classes=outputs,
    )


def _manet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.MAnet(**_encoder(config), decoder_channels=decoder_widths(config.decoder_channels), classes=outputs)


def _linknet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.Linknet(**_encoder(config), classes=outputs)


def _fpn(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    channels = _fpn_width(config)
    return smp.FPN(
        **_encoder(config),
        decoder_pyramid_channels=channels,
        decoder_segmentation_channels=channels // 2,
        classes=outputs,
    )


def _fpn_width(config: TrainConfig) -> int:
    # Half of it is what is normalised by groups.
    each = 2 * _FPN_GROUPS
    return max(each, config.decoder_channels // each * each)


def _deeplabv3(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.DeepLabV3(**_encoder(config), decoder_channels=config.decoder_channels, classes=outputs)


def _deeplabv3plus(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.DeepLabV3Plus(**_encoder(config), decoder_channels=config.decoder_channels, classes=outputs)


def _pspnet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    # The library leaves out the deep stages by default; the paper dilates them to an eighth (Zhao et al. 2017).
    return smp.PSPNet(
        **_encoder(config),
        encoder_depth=5,
        output_stride=8,
        upsampling=8,
        psp_out_channels=config.decoder_channels,
        classes=outputs,
    )


def _pan(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.PAN(**_encoder(config), decoder_channels=config.decoder_channels, classes=outputs)


def _upernet(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.UPerNet(**_encoder(config), decoder_channels=config.decoder_channels, classes=outputs)


def _segformer(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    return smp.Segformer(**_encoder(config), decoder_segmentation_channels=config.decoder_channels, classes=outputs)


def _dpt(config: TrainConfig, outputs: int) -> smp.base.SegmentationModel:
    width = config.decoder_channels
    widths = (width, 2 * width, 4 * width, 4 * width)
    with warnings.catch_warnings():
        # Without a class token its place is a projection of the features alone.
        warnings.filterwarnings("ignore", "Encoder does not have prefix tokens")
        network = smp.DPT(
            **_encoder(config),
            num_classes=0,
            decoder_intermediate_channels=widths,
            decoder_fusion_channels=width,
            classes=outputs,
        )
    strides = [_power_of_two(stride) for stride in network.encoder.output_strides]
    if strides != network.encoder.output_strides:
        # Its levels are twice as large each only from patches of 8, 16 or 32 pixels; DINOv2's have 14.
        network.decoder = DPTDecoder(
            encoder_out_channels=network.encoder.out_channels,
            encoder_output_strides=strides,
            encoder_has_prefix_tokens=network.encoder.has_prefix_tokens,
            intermediate_channels=widths,
            fusion_channels=width,
        )
        network.initialize()
    return network


_BUILDERS: Final[dict[str, Callable[[TrainConfig, int], smp.base.SegmentationModel]]] = {
    "unet": _unet,
    "unetplusplus": _unetplusplus,
    "manet": _manet,
    "linknet": _linknet,
    "fpn": _fpn,
    "deeplabv3": _deeplabv3,
    "deeplabv3plus": _deeplabv3plus,
    "pspnet": _pspnet,
    "pan": _pan,
    "upernet": _upernet,
    "segformer": _segformer,
    "dpt": _dpt,
}


def _encoder(config: TrainConfig) -> dict[str, Any]:
    """Return the arguments of every network that make its encoder."""
    options = {**find_encoder(config).options, **read_backbone_options(config)}
    return {"encoder_name": name_encoder(config.backbone), "encoder_weights": None, **options}


def _power_of_two(pixels: int) -> int:
    return 1 << round(math.log2(pixels))


def _attention(config: TrainConfig) -> str | None:
    # Both kinds start as the library's scSE, which knows each block's channels; `se` then takes its places.
    return None if config.attention == "none" else "scse"


def _replace_attention(decoder: nn.Module) -> None:
    for module in decoder.modules():
        block = getattr(module, "attention", None)
        if isinstance(block, smp.base.modules.SCSEModule):
            module.attention = SqueezeExcitation(block.sSE[0].in_channels)
