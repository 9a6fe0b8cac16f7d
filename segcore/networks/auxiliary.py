"""The auxiliary head: a second classifier inside the encoder, trained beside the network and never used to predict.

It is no part of the network: what predicts, is exported or averaged does without it.
"""

from typing import Any, Final

import segmentation_models_pytorch as smp
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.fcn import FCNHead

from segcore.networks.model import SegmentationModel

_LEVEL: Final = 4
"""Halvings of the image where it looks; the deepest level of an encoder that has fewer."""


class AuxiliaryHead(nn.Module):
    """Tells classes apart by an encoder's features at a sixteenth of the image. (Zhao et al., PSPNet, 2017.)

    Args:
        network: whose encoder it looks into.
        outputs: number of classes it tells apart.
    """

    def __init__(self, network: smp.base.SegmentationModel, outputs: int) -> None:
        super().__init__()
        channels = list(network.encoder.out_channels)
        self.level = min(_LEVEL, len(channels) - 1)
        self.layers = FCNHead(channels[self.level], outputs)

    def forward(self, levels: list[Tensor], height: int, width: int) -> Tensor:
        """Return logits (N, C, height, width).

        Args:
            levels: the encoder's features, from fine to coarse.
            height: of the encoder's input, pixels.
            width: of the encoder's input, pixels.
        """
        logits_NCHW: Tensor = self.layers(levels[self.level])
        return F.interpolate(logits_NCHW, size=(height, width), mode="bilinear", align_corners=False)


def answer_twice(model: SegmentationModel, head: AuxiliaryHead, images_NHW3: Tensor) -> tuple[Tensor, Tensor]:
    """Return the network's logits and the auxiliary head's, both (N, C, H, W), of one pass through the encoder.

    Args:
        model: looks at the images.
        head: built for its network.
        images_NHW3: uint8 RGB pixels.
    """
    answers: list[Tensor] = []

    def look(_encoder: nn.Module, inputs: tuple[Tensor], found: Any) -> None:
        # Encoders of plain transformers give their levels and what is no picture.
        levels = found[0] if isinstance(found, tuple) else found
        answers.append(head(levels, *inputs[0].shape[2:]))

    handle = model.network.encoder.register_forward_hook(look)
    try:
        logits_NCHW: Tensor = model(images_NHW3)
    finally:
        handle.remove()
    height, width = images_NHW3.shape[1:3]
    return logits_NCHW, answers[0][..., :height, :width]
