"""A network that takes decoded pixels of any size: normalisation and padding inside.

Encoders live in `encoders`, decoders in `decoders`; where pretrained weights come from lives in `weights`.
"""

from dataclasses import replace
from functools import cache
from typing import Any, Final

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segcore.config import STRIDE, TrainConfig
from segcore.errors import ConfigError
from segcore.networks.decoders import build_network, find_stride, smallest_side
from segcore.networks.encoders import find_normalisation, is_mix_transformer, require_backbone, takes_one_size
from segcore.networks.exact_head import ExactHead
from segcore.networks.weights import describe_fit, load_weights, require_weights

_OTHER_DECODERS: Final = ("upernet", "unet", "segformer", "dpt")
"""Tried for a backbone that the wanted one does not fit: between them they take all that any takes."""
_MISFITS: Final = (RuntimeError, ValueError, KeyError, IndexError, AssertionError, AttributeError, TypeError)
"""What timm and SMP raise for a backbone that does not do what a decoder asks of it."""

_MAKING: Final = (
    "backbone", "backbone_options", "decoder", "decoder_channels", "attention", "head_precision", "input_mode",
    "crop_size",
)  # fmt: skip
"""Choices that the shapes of a network come of."""
_LEARNING_FROM_INPUT: Final = (nn.Hardtanh, nn.SiLU, nn.Hardswish, nn.Hardsigmoid)
"""Activations, ReLU6 among them, whose gradient is made of what they were given; ReLU's is made of what it gave."""


class SegmentationModel(nn.Module):
    """A network that takes decoded pixels of any size and returns logits of that size.

    Args:
        network: takes normalised (N, 3, H, W) with H and W divisible by `stride`.
        mean: the encoder's mean of each channel, pixels scaled to 0..1.
        std: the encoder's standard deviation of each channel.
        stride: pixels; images are padded to a multiple of it.
        smallest_side: pixels; images are padded to so many at least.
    """

    mean_3: Tensor
    std_3: Tensor

    def __init__(
        self,
        network: smp.base.SegmentationModel,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        stride: int = STRIDE,
        smallest_side: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.stride = stride
        self.smallest_side = smallest_side
        self.register_buffer("mean_3", torch.tensor(mean))
        self.register_buffer("std_3", torch.tensor(std))

    def forward(self, images_NHW3: Tensor) -> Tensor:
        """Return logits (N, C, H, W) of uint8 RGB pixels (N, H, W, 3)."""
        height, width = images_NHW3.shape[1:3]
        normalised_NHW3 = (images_NHW3.float() / 255 - self.mean_3) / self.std_3
        # Channels last in memory is what permuted pixels are already, and what convolutions run fastest on.
        padding = (0, self._missing(width), 0, self._missing(height))
        padded_N3HW = F.pad(normalised_NHW3.permute(0, 3, 1, 2), padding)
        logits_NCHW: Tensor = self.network(padded_N3HW)
        if logits_NCHW.shape[2:] != padded_N3HW.shape[2:]:
            logits_NCHW = F.interpolate(logits_NCHW, size=padded_N3HW.shape[2:], mode="bilinear", align_corners=False)
        return logits_NCHW[..., :height, :width]

    def _missing(self, side: int) -> int:
        missing = self.smallest_side - side
        # What max(0, missing) is; a trace for ONNX would keep only the one that is larger for its own image.
        lacking = (missing + abs(missing)) // 2
        return lacking + -(side + lacking) % self.stride


def build_model(config: TrainConfig, outputs: int) -> SegmentationModel:
    """Build a network and load the weights that it starts from.

    Args:
        config: what makes the network, and the weights that it starts from, are used.
        outputs: number of classes the network tells apart.

    Raises:
        ConfigError: when there is no such backbone, or it does not fit the decoder or the images.
        WeightsError: when the weights cannot be had.
    """
    require_architecture(config)
    model = build_architecture(config, outputs)
    load_weights(model.network, config)
    if config.weights == "none":
        _start_bias(model.network.encoder)
    return model


def build_architecture(config: TrainConfig, outputs: int) -> SegmentationModel:
    """Build a network with random weights, for weights that are loaded afterwards."""
    require_backbone(config.backbone)
    try:
        network = build_network(config, outputs)
    except ConfigError:
        raise
    except _MISFITS as error:
        raise ConfigError(
            f"backbone={config.backbone!r} cannot be the encoder of decoder={config.decoder!r} ({_first_line(error)})."
        ) from error
    if config.head_precision == "fp32":
        _compute_exactly(network)
    _keep_inputs(network)
    mean, std = find_normalisation(config.backbone)
    model = SegmentationModel(network, mean, std, find_stride(network, config), smallest_side(config))
    return model.to(memory_format=torch.channels_last)


def _start_bias(encoder: nn.Module) -> None:
    """Give a first convolution whose bias starts at 0 the bias that torch starts one with.

    Where an image is padded every channel would be 0 after it, and a layer normalisation that follows, as in ConvNeXt,
    would divide by almost nothing: the first gradient of the bias came to 4e8.
    """
    first = next((module for module in encoder.modules() if isinstance(module, nn.Conv2d)), None)
    if first is not None and first.bias is not None and not first.bias.any():
        bound = first.weight[0].numel() ** -0.5
        nn.init.uniform_(first.bias, -bound, bound)


def _keep_inputs(network: nn.Module) -> None:
    # What learns from its input copies it before it is overwritten: a pass over memory more, and no memory less.
    for module in network.modules():
        if isinstance(module, _LEARNING_FROM_INPUT):
            module.inplace = False


def _compute_exactly(network: smp.base.SegmentationModel) -> None:
    # DPT's head has its layers inside, and enlarges what they say.
    if isinstance(network, smp.DPT):
        network.segmentation_head.head = ExactHead(*network.segmentation_head.head)
    else:
        network.segmentation_head = ExactHead(*network.segmentation_head)


def require_architecture(config: TrainConfig) -> int:
    """Raise `ConfigError` within seconds when backbone and decoder do not fit, or the network does not take the images.

    Args:
        config: what makes the network is used; what was tried once is known.

    Returns:
        How many numbers its weights are.
    """
    try:
        return _count_tried(TrainConfig.from_values({name: getattr(config, name) for name in _MAKING}))
    except ConfigError as error:
        if isinstance(error.__cause__, _MISFITS):
            raise ConfigError(f"{error} {_find_remedy(config)}") from error
        raise


@cache
def _count_tried(config: TrainConfig) -> int:
    # A training draws the same numbers whether its network was tried before or not.
    with torch.random.fork_rng(devices=[]):
        return count_weights(try_network(config))


def count_weights(model: nn.Module) -> int:
    """Return how many numbers a network's weights and statistics are."""
    return sum(tensor.numel() for tensor in model.state_dict().values())


def try_network(config: TrainConfig) -> SegmentationModel:
    """Return a network of shapes alone, which has taken an image of street sizes.

    Raises:
        ConfigError: when backbone and decoder do not fit, without a remedy.
    """
    model = build_shapes(config, 2).eval()
    with torch.device("meta"):
        # A network of one size is tried on that, any other on sides of unlike multiples, as images of streets have.
        height, width = (1, 1) if takes_one_size(config) else (2, 3)
        try:
            model(torch.zeros(1, height * model.stride, width * model.stride, 3, dtype=torch.uint8))
        except _MISFITS as error:
            raise ConfigError(
                f"backbone={config.backbone!r} with decoder={config.decoder!r} does not take images of "
                f"street sizes ({_first_line(error)})."
            ) from error
    return model


def _find_remedy(config: TrainConfig) -> str:
    fitting = [decoder for decoder in _OTHER_DECODERS if decoder != config.decoder and _fits(config, decoder)]
    if fitting:
        return f"It fits decoder={' or '.join(fitting)}; use {'one of them' if len(fitting) > 1 else 'that'}."
    return "No decoder fits it; choose another backbone, see 'python -m segcore networks'."


def _fits(config: TrainConfig, decoder: str) -> bool:
    changes: dict[str, Any] = {"decoder": decoder, "attention": "none", "batch_size": 2}
    try:
        try_network(replace(config, **changes))
    except ConfigError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")[:200]


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
    return describe_fit(build_shapes(config, outputs).network, config)


def build_shapes(config: TrainConfig, outputs: int) -> SegmentationModel:
    """Build a network on the meta device, where nothing is computed, only shapes."""
    # SMP's own compute with what they build, which that device cannot.
    with torch.device("cpu" if is_mix_transformer(config.backbone) else "meta"):
        return build_architecture(config, outputs).to("meta")
