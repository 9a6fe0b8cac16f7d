"""Predictions at the original size of an image, whatever size the network saw; and scoring them.

Every trial is measured here, so that the score of a crop model and of a full-size model can be compared.
"""

from collections.abc import Iterator, Sequence

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
from segcore.transforms import scaled_size


def predict_probabilities(
    model: SegmentationModel, image_HW3: npt.NDArray[np.uint8], config: TrainConfig, machine: Machine
) -> Tensor:
    """Return softmax probabilities of one image at its original size.

    A network trained on resized images sees the image resized, and its probabilities are enlarged bilinearly;
    one trained on crops or full images sees the whole image.

    Args:
        model: in evaluation mode, on the machine's device.
        image_HW3: RGB pixels, uint8.
        config: input_mode, scale and precision are used.
        machine: where the model is.

    Returns:
        fp32 probabilities (outputs, H, W) on the device.
    """
    height, width = image_HW3.shape[:2]
    if config.input_mode == "resize":
        small_height, small_width = scaled_size(height, width, config.scale)
        image_HW3 = cv2.resize(image_HW3, (small_width, small_height), interpolation=cv2.INTER_AREA)
    pixels_1HW3 = torch.from_numpy(np.array(image_HW3, order="C")).unsqueeze(0).to(machine.device)
    with torch.inference_mode(), autocast(config, machine):
        logits_1CHW: Tensor = model(pixels_1HW3)
    probabilities_1CHW = logits_1CHW.float().softmax(dim=1)
    if probabilities_1CHW.shape[2:] != (height, width):
        probabilities_1CHW = F.interpolate(
            probabilities_1CHW, size=(height, width), mode="bilinear", align_corners=False
        )
    return probabilities_1CHW[0]


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
