"""A network that takes decoded pixels of any size: normalisation and padding inside.

Decoders live in `decoders`; where pretrained weights come from lives in `weights`.
"""

import difflib

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segcore.config import STRIDE, TrainConfig
from segcore.errors import ConfigError
from segcore.networks.decoders import build_network
from segcore.networks.exact_head import ExactHead
from segcore.networks.weights import describe_fit, load_weights, require_weights


class SegmentationModel(nn.Module):
    """A network that takes decoded pixels of any size and returns logits of that size.

    Args:
        network: takes normalised (N, 3, H, W) with H and W divisible by 32.
        mean: the encoder's mean of each channel, pixels scaled to 0..1.
        std: the encoder's standard deviation of each channel.
    """

    mean_3: Tensor
    std_3: Tensor

    def __init__(self, network: smp.base.SegmentationModel, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean_3", torch.tensor(mean))
        self.register_buffer("std_3", torch.tensor(std))

    def forward(self, images_NHW3: Tensor) -> Tensor:
        """Return logits (N, C, H, W) of uint8 RGB pixels (N, H, W, 3)."""
        height, width = images_NHW3.shape[1:3]
        normalised_NHW3 = (images_NHW3.float() / 255 - self.mean_3) / self.std_3
        # Channels last in memory is what permuted pixels are already, and what convolutions run fastest on.
        padded_N3HW = F.pad(normalised_NHW3.permute(0, 3, 1, 2), (0, -width % STRIDE, 0, -height % STRIDE))
        logits_NCHW: Tensor = self.network(padded_N3HW)
        return logits_NCHW[..., :height, :width]


def build_model(config: TrainConfig, outputs: int) -> SegmentationModel:
    """Build a network and load the weights that it starts from.

    Args:
        config: backbone, weights and decoder_channels are used.
        outputs: number of classes the network tells apart.

    Raises:
        ConfigError: when the backbone is no timm model, gives no feature pyramid, or takes one image size only.
        WeightsError: when the weights cannot be had.
    """
    require_architecture(config)
    model = build_architecture(config, outputs)
    load_weights(model.network, config)
    return model


def build_architecture(config: TrainConfig, outputs: int) -> SegmentationModel:
    """Build a network with random weights, for weights that are loaded afterwards."""
    require_backbone(config.backbone)
    try:
        network = build_network(config, outputs)
    except (RuntimeError, ValueError, KeyError, AssertionError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"backbone={config.backbone!r} cannot be the encoder of decoder={config.decoder!r} ({error}); "
            "choose a timm model with a feature pyramid, such as a ResNet, an EfficientNet or a ConvNeXt."
        ) from error
    if config.head_precision == "fp32":
        network.segmentation_head = ExactHead(*network.segmentation_head)
    cfg = network.encoder.model.pretrained_cfg
    model = SegmentationModel(network, cfg["mean"], cfg["std"])
    return model.to(memory_format=torch.channels_last)


def require_architecture(config: TrainConfig) -> int:
    """Raise `ConfigError` within a second when backbone and decoder do not fit, or take images of one size only.

    Args:
        config: backbone, decoder, decoder_channels and attention are used.

    Returns:
        How many numbers its weights are.
    """
    # On the meta device nothing is computed, only shapes.
    with torch.device("meta"):
        model = build_architecture(config, 2).eval()
        try:
            model(torch.zeros(1, 2 * STRIDE, 3 * STRIDE, 3, dtype=torch.uint8))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"backbone={config.backbone!r} with decoder={config.decoder!r} does not take images of any size "
                f"({error}); choose a convolutional backbone."
            ) from error
    return sum(tensor.numel() for tensor in model.state_dict().values())


def require_start(config: TrainConfig, outputs: int) -> str:
    """Raise `WeightsError` when the weights that a network starts from cannot be had, or are not of its backbone.

    Args:
        config: weights, and what makes the network, are used.
        outputs: number of classes the network tells apart.

    Returns:
        What a file's network is taken of, as `describe_fit`.
    """
    require_weights(config)
    if config.weights in ("none", "imagenet"):
        return ""
    with torch.device("meta"):
        model = build_architecture(config, outputs)
    return describe_fit(model.network, config)


def require_backbone(name: str) -> None:
    """Raise `ConfigError` with the nearest names when timm has no such model."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models() for the names."
        raise ConfigError(f"backbone={name!r} is no timm model; {hint}")
