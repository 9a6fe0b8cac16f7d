"""Predictions at the original size of an image, whatever size the network saw.

So the score of a crop model and of a full-size model can be compared. Many images, and their scores, are in `cases`.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.config import TrainConfig
from segcore.expressions import parse_loss
from segcore.feeding.transforms import scaled_size
from segcore.machine import Machine, autocast
from segcore.networks.model import SegmentationModel
from segcore.prediction.options import PredictOptions, PredictPlan, plan_prediction
from segcore.prediction.staging import lay_out, send
from segcore.prediction.tiling import blend_tiles

DEFAULT_OPTIONS: Final = PredictOptions()


@torch.inference_mode()
def predict_probabilities(
    model: SegmentationModel,
    image_HW3: npt.NDArray[np.uint8],
    config: TrainConfig,
    machine: Machine,
    options: PredictOptions = DEFAULT_OPTIONS,
) -> Tensor:
    """Return probabilities of one image at its original size, see `to_probabilities`.

    By default a network trained on resized images sees the image resized, and its probabilities are enlarged
    bilinearly; one trained on crops or full images sees the whole image. Looks at several sizes or at the mirrored
    image are averaged one after the other, so that memory is that of one look.

    Args:
        model: in evaluation mode, on the machine's device.
        image_HW3: RGB pixels, uint8.
        config: input_mode, scale, crop_size and precision are used.
        machine: where the model is.
        options: how to look at the image.

    Returns:
        fp32 probabilities (outputs, H, W) on the device.

    Raises:
        ConfigError: when the options ask for a scale that nobody gave.
    """
    return average_probabilities((model,), image_HW3, config, machine, options)


@torch.inference_mode()
def average_probabilities(
    models: Sequence[SegmentationModel],
    image_HW3: npt.NDArray[np.uint8],
    config: TrainConfig,
    machine: Machine,
    options: PredictOptions = DEFAULT_OPTIONS,
    weights: Sequence[int] = (),
) -> Tensor:
    """Return the mean over networks of what `predict_probabilities` returns.

    The networks look at the same pixels one after the other, and their probabilities are added before they are
    enlarged: memory is that of one image in one network and of one sum, however many networks there are.

    Args:
        models: at least one, in evaluation mode, on the machine's device.
        image_HW3: RGB pixels, uint8.
        config: input_mode, scale, crop_size and precision are used.
        machine: where the models are.
        options: how to look at the image.
        weights: how often each network counts, at least 1; empty: all alike.

    Returns:
        fp32 probabilities (outputs, H, W) on the device.

    Raises:
        ConfigError: when the options ask for a scale that nobody gave.
    """
    plan = plan_prediction(options, config)
    weighted = tuple(zip(models, weights or (1,) * len(models), strict=True))
    total_CHW = None
    for factor in plan.factors:
        resized_HW3 = send(lay_out(resize_image(image_HW3, factor), machine), machine)
        for mirrored in plan.mirrored:
            total_CHW = _add(
                total_CHW, _look(weighted, resized_HW3, mirrored, image_HW3.shape[:2], plan, config, machine)
            )
    assert total_CHW is not None, "a plan has at least one look"
    return total_CHW.div_(len(plan.factors) * len(plan.mirrored) * sum(weight for _, weight in weighted))


def to_probabilities(logits_NCHW: Tensor, config: TrainConfig) -> Tensor:
    """Return what logits mean by the loss that they were trained with, fp32, each 0 to 1.

    With `bce` alone each output was trained against the rest: its sigmoid, so that all may be small where nothing
    known is seen. With any other loss, or a sum, the outputs share one softmax.

    Args:
        logits_NCHW: of any float type.
        config: its `loss` is used.
    """
    one_against_rest = {name for _, name in parse_loss(config.loss)} == {"bce"}
    return logits_NCHW.float().sigmoid() if one_against_rest else logits_NCHW.float().softmax(dim=1)


def find_greatest(probabilities_CHW: Tensor) -> Tensor:
    """Return the output of the greatest probability of each pixel, int64 (H, W); the first of equal ones."""
    # On a CPU argmax takes several times as long as max, which finds the same.
    return probabilities_CHW.max(dim=0).indices


def predict_classes(
    model: SegmentationModel,
    image_HW3: npt.NDArray[np.uint8],
    class_of_output: Tensor,
    config: TrainConfig,
    machine: Machine,
    options: PredictOptions = DEFAULT_OPTIONS,
) -> Tensor:
    """Return the most probable class index of each pixel, uint8, 255 for background, on the device.

    Args:
        model: in evaluation mode, on the machine's device.
        image_HW3: RGB pixels, uint8.
        class_of_output: `LabelMap.class_of_output` on the device.
        config: input_mode, scale and precision are used.
        machine: where the model is.
        options: how to look at the image.
    """
    probabilities_CHW = predict_probabilities(model, image_HW3, config, machine, options)
    return class_of_output[find_greatest(probabilities_CHW)]


def _look(
    weighted: Sequence[tuple[SegmentationModel, int]],
    resized_HW3: Tensor,
    mirrored: bool,
    size: tuple[int, ...],
    plan: PredictPlan,
    config: TrainConfig,
    machine: Machine,
) -> Tensor:
    def add_all(pixels_NHW3: Tensor) -> Tensor:
        total_NCHW = None
        for model, weight in weighted:
            total_NCHW = _add(total_NCHW, classify(model, pixels_NHW3, config, machine, weight))
        assert total_NCHW is not None, "an ensemble has at least one network"
        return total_NCHW

    pixels_HW3 = resized_HW3.flip(1) if mirrored else resized_HW3
    if plan.tiling is None:
        probabilities_CHW = add_all(pixels_HW3.unsqueeze(0))[0]
    else:
        probabilities_CHW = blend_tiles(pixels_HW3, plan.tiling, add_all)
    return restore_size(probabilities_CHW.flip(2) if mirrored else probabilities_CHW, size[0], size[1])


def _add(total: Tensor | None, part: Tensor) -> Tensor:
    # A call, because a loop variable, and functools.reduce alike, would keep one part while the next is made.
    return part if total is None else total.add_(part)


def classify(
    model: SegmentationModel, pixels_NHW3: Tensor, config: TrainConfig, machine: Machine, weight: int = 1
) -> Tensor:
    """Return a network's probabilities (N, outputs, H, W) of pixels times its weight, at the training's precision."""
    with autocast(config, machine):
        logits_NCHW: Tensor = model(pixels_NHW3)
    probabilities_NCHW = to_probabilities(logits_NCHW, config)
    return probabilities_NCHW if weight == 1 else probabilities_NCHW.mul_(weight)


def resize_image(image_HW3: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    """Return an image whose sides are `factor` times as long; itself when that is 1."""
    if factor == 1:
        return image_HW3
    height, width = scaled_size(image_HW3.shape[0], image_HW3.shape[1], factor)
    # Areas average what a smaller image has no room for; they would enlarge into squares.
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    resized_HW3: npt.NDArray[np.uint8] = cv2.resize(image_HW3, (width, height), interpolation=interpolation)
    return resized_HW3


def restore_size(probabilities_CHW: Tensor, height: int, width: int) -> Tensor:
    """Return probabilities at an image's size, enlarged bilinearly where they have another."""
    if probabilities_CHW.shape[1:] == (height, width):
        return probabilities_CHW
    return F.interpolate(probabilities_CHW.unsqueeze(0), size=(height, width), mode="bilinear", align_corners=False)[0]
