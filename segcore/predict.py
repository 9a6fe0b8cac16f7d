"""Predictions at the original size of an image, whatever size the network saw; and scoring them.

Every trial is measured here, so that the score of a crop model and of a full-size model can be compared.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segcore.cache import PixelCache
from segcore.config import TrainConfig
from segcore.labels import build_label_map
from segcore.machine import Machine, autocast
from segcore.metrics import ImageScore, count_confusion, score_image
from segcore.model import SegmentationModel
from segcore.predict_options import PredictOptions, PredictPlan, plan_prediction
from segcore.tiling import blend_tiles
from segcore.transforms import scaled_size

DEFAULT_OPTIONS: Final = PredictOptions()


@torch.inference_mode()
def predict_probabilities(
    model: SegmentationModel,
    image_HW3: npt.NDArray[np.uint8],
    config: TrainConfig,
    machine: Machine,
    options: PredictOptions = DEFAULT_OPTIONS,
) -> Tensor:
    """Return softmax probabilities of one image at its original size.

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
    plan = plan_prediction(options, config)
    looks = _look(model, image_HW3, plan, config, machine)
    total_CHW = functools.reduce(Tensor.add_, looks)
    return total_CHW.div_(len(plan.factors) * len(plan.mirrored))


def predict_classes(
    model: SegmentationModel,
    image_HW3: npt.NDArray[np.uint8],
    class_of_output: Tensor,
    config: TrainConfig,
    machine: Machine,
) -> Tensor:
    """Return the most probable class index of each pixel, uint8, 255 for background, on the device.

    Args:
        model: in evaluation mode, on the machine's device.
        image_HW3: RGB pixels, uint8.
        class_of_output: `LabelMap.class_of_output` on the device.
        config: input_mode, scale and precision are used.
        machine: where the model is.
    """
    probabilities_CHW = predict_probabilities(model, image_HW3, config, machine)
    return class_of_output[probabilities_CHW.argmax(dim=0)]


def predict_cases(
    model: SegmentationModel,
    cache: PixelCache,
    indices: Sequence[int],
    config: TrainConfig,
    machine: Machine,
) -> Iterator[Tensor]:
    """Yield the predicted class indices (H, W) of cases, on the device, in the order of `indices`."""
    label_map = build_label_map(cache.classes, config.labels)
    class_of_output = torch.from_numpy(label_map.class_of_output).to(machine.device)
    model.eval()
    for index in indices:
        yield predict_classes(model, cache.image_HW3(index), class_of_output, config, machine)


def score_cases(predictions: Iterator[Tensor], cache: PixelCache, indices: Sequence[int]) -> tuple[ImageScore, ...]:
    """Compare predictions with the truth at original size.

    Args:
        predictions: class indices (H, W) of each case, 255 as background, on any device.
        cache: the decoded data.
        indices: the cases, in the order of the predictions.
    """
    classes = len(cache.classes)
    counts = []
    for index, prediction_HW in zip(indices, predictions, strict=True):
        truth_HW = torch.from_numpy(np.array(cache.mask_HW(index))).to(prediction_HW.device)
        counts.append(count_confusion(truth_HW, prediction_HW, classes))
    # One copy at the end: a copy per image would make a GPU wait for each.
    confusions = torch.stack(counts).cpu().numpy()
    return tuple(
        score_image(cache.cases[index].name, cache.cases[index].timeofday, confusion_CP, cache.classes)
        for index, confusion_CP in zip(indices, confusions, strict=True)
    )


def _look(
    model: SegmentationModel,
    image_HW3: npt.NDArray[np.uint8],
    plan: PredictPlan,
    config: TrainConfig,
    machine: Machine,
) -> Iterator[Tensor]:
    def classify(pixels_NHW3: Tensor) -> Tensor:
        with autocast(config, machine):
            logits_NCHW: Tensor = model(pixels_NHW3)
        return logits_NCHW.float().softmax(dim=1)

    height, width = image_HW3.shape[:2]
    for factor in plan.factors:
        resized_HW3 = torch.from_numpy(_resize(image_HW3, factor)).to(machine.device)
        for mirrored in plan.mirrored:
            pixels_HW3 = resized_HW3.flip(1) if mirrored else resized_HW3
            if plan.tiling is None:
                probabilities_CHW = classify(pixels_HW3.unsqueeze(0))[0]
            else:
                probabilities_CHW = blend_tiles(pixels_HW3, plan.tiling, classify)
            yield _restore(probabilities_CHW, mirrored, height, width)


def _resize(image_HW3: npt.NDArray[np.uint8], factor: float) -> npt.NDArray[np.uint8]:
    if factor != 1:
        height, width = scaled_size(image_HW3.shape[0], image_HW3.shape[1], factor)
        # Areas average what a smaller image has no room for; they would enlarge into squares.
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        image_HW3 = cv2.resize(image_HW3, (width, height), interpolation=interpolation)
    # A cached image is a read-only map of a file, which torch does not take.
    return np.array(image_HW3, order="C")


def _restore(probabilities_CHW: Tensor, mirrored: bool, height: int, width: int) -> Tensor:
    if mirrored:
        probabilities_CHW = probabilities_CHW.flip(2)
    if probabilities_CHW.shape[1:] == (height, width):
        return probabilities_CHW
    return F.interpolate(probabilities_CHW.unsqueeze(0), size=(height, width), mode="bilinear", align_corners=False)[0]
