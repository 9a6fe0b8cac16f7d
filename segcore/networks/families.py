"""Which encoders and decoders fit: a table of families, tried on shapes alone, for a person who chooses a network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from segcore.config import DecoderName, TrainConfig
from segcore.errors import ConfigError
from segcore.networks.encoders import find_encoder
from segcore.networks.model import SegmentationModel, count_weights, try_network

DECODERS: Final[tuple[str, ...]] = get_args(DecoderName)
SHOWN_CROP: Final = 256
"""Pixels; of a multiple of 32 a network of one size is built for any."""

FAMILIES: Final[dict[str, str]] = {
    "ResNet": "resnet18",
    "ResNet-D": "resnet50d",
    "Wide ResNet": "wide_resnet50_2",
    "ResNeXt": "resnext50_32x4d",
    "ResNeSt": "resnest14d",
    "Res2Net": "res2net50d",
    "DenseNet": "densenet121",
    "VGG": "vgg11_bn",
    "HRNet": "hrnet_w18_small",
    "DLA": "dla34",
    "RegNet": "regnety_002",
    "EfficientNet": "tf_efficientnet_b0",
    "EfficientNet-Lite": "tf_efficientnet_lite0",
    "EfficientNetV2": "tf_efficientnetv2_s",
    "MobileNetV3": "mobilenetv3_large_100",
    "MobileNetV4": "mobilenetv4_conv_small",
    "FastViT": "fastvit_t8",
    "RepViT": "repvit_m0_9",
    "EfficientViT (MIT)": "efficientvit_b0",
    "GhostNet": "ghostnet_100",
    "EdgeNeXt": "edgenext_xx_small",
    "MobileViT": "mobilevitv2_050",
    "SwiftFormer": "swiftformer_xs",
    "TinyViT": "tiny_vit_5m_224",
    "ConvNeXt": "convnext_atto",
    "ConvNeXtV2": "convnextv2_atto",
    "InceptionNeXt": "inception_next_atto",
    "MambaOut": "mambaout_femto",
    "MetaFormer": "caformer_s18",
    "MiT (SegFormer)": "mit_b0",
    "PVTv2": "pvt_v2_b0",
    "Swin": "swin_tiny_patch4_window7_224",
    "SwinV2": "swinv2_tiny_window8_256",
    "MaxViT": "maxvit_tiny_tf_224",
    "CoAtNet": "coatnet_0_224",
    "Hiera": "hiera_tiny_224",
    "GCViT": "gcvit_xxtiny",
    "NextViT": "nextvit_small",
    "Twins": "twins_svt_small",
    "DaViT": "davit_tiny",
    "MViTv2": "mvitv2_tiny",
    "ViT": "vit_tiny_patch16_224",
    "DeiT": "deit_tiny_patch16_224",
    "DINOv2": "vit_small_patch14_dinov2",
    "DINOv3": "vit_small_patch16_dinov3",
    "EVA-02": "eva02_tiny_patch14_224",
    "BEiT": "beit_base_patch16_224",
    "SAM": "samvit_base_patch16",
}
"""A small network of each; larger ones of a family fit what it fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An encoder and its decoder.

    Args:
        family: name of its kind; empty for one that was asked for by name.
        backbone: as `TrainConfig.backbone`.
        parameters: numbers of the whole network by decoder, at its default width; None where it does not fit.
        stride: sides of images are padded to a multiple of so many pixels; 0: no decoder fits.
        takes_one_size: whether it learns crops, and predicts in tiles, of one size alone.
    """

    family: str
    backbone: str
    parameters: dict[str, int | None]
    stride: int
    takes_one_size: bool


def try_families(backbones: Sequence[str]) -> Iterator[Network]:
    """Try encoders with every decoder and yield what came of it, encoder by encoder.

    Args:
        backbones: which; none: one of each family.

    Raises:
        ConfigError: for a backbone that does not exist.
    """
    family_of = {backbone: family for family, backbone in FAMILIES.items()}
    for backbone in backbones or FAMILIES.values():
        one_size = find_encoder(_configure(backbone, DECODERS[0])).takes_one_size
        models = {decoder: _try(_configure(backbone, decoder)) for decoder in DECODERS}
        yield Network(
            family=family_of.get(backbone, ""),
            backbone=backbone,
            parameters={decoder: None if model is None else count_weights(model) for decoder, model in models.items()},
            stride=next((model.stride for model in models.values() if model is not None), 0),
            takes_one_size=one_size,
        )


def _configure(backbone: str, decoder: str) -> TrainConfig:
    values: dict[str, Any] = {"backbone": backbone, "decoder": decoder}
    return TrainConfig.from_values({**values, "input_mode": "crop", "crop_size": SHOWN_CROP})


def _try(config: TrainConfig) -> SegmentationModel | None:
    try:
        return try_network(config)
    except ConfigError:
        return None
