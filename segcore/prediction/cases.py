"""Cases of a cache predicted and scored: the next images are read and resized while the network sees the last ones.

A validation is this. What a prediction of one image is, lives in `predict`; the metric, in `scoring`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.labels import build_label_map
from segcore.feeding.transforms import scaled_size
from segcore.machine import Machine
from segcore.networks.model import SegmentationModel
from segcore.prediction.options import PredictOptions, PredictPlan, plan_prediction
from segcore.prediction.predict import (
    DEFAULT_OPTIONS,
    classify,
    find_greatest,
    predict_classes,
    resize_image,
    restore_size,
)
from segcore.prediction.staging import lay_out, make_ahead, send
from segcore.scoring.boundary import count_boundaries
from segcore.scoring.metrics import ImageScore, count_confusion, score_image
from segcore.scoring.overlaps import Overlaps

_MOST_AT_A_TIME: Final = 16
"""More bring no speed, and their pixels wait in the CPU's memory."""


def predict_cases(
    model: SegmentationModel,
    cache: PixelCache,
    indices: Sequence[int],
    config: TrainConfig,
    machine: Machine,
    options: PredictOptions = DEFAULT_OPTIONS,
    pixels_at_a_time: int = 0,
) -> Iterator[Tensor]:
    """Yield the predicted class indices (H, W) of cases, on the device, in the order of `indices`.

    Args:
        model: on the machine's device; it is put into evaluation mode.
        cache: the decoded data.
        indices: the cases.
        config: input_mode, scale, labels and precision are used.
        machine: where the model is.
        options: how to look at an image.
        pixels_at_a_time: neighbours in `indices` whose images are of one size go through the network together while
            they have no more pixels there; 0: one after the other.
    """
    label_map = build_label_map(cache.classes, config.labels)
    class_of_output = torch.from_numpy(label_map.class_of_output).to(machine.device)
    plan = plan_prediction(options, config)
    model.eval()
    if not _is_one_look(plan):
        for index in indices:
            yield predict_classes(model, cache.image_HW3(index), class_of_output, config, machine, options)
        return

    def read(group: Sequence[int]) -> Tensor:
        looks = [resize_image(cache.image_HW3(index), plan.factors[0]) for index in group]
        return lay_out(np.stack(looks), machine)

    groups = group_sizes(cache, indices, plan.factors[0], pixels_at_a_time)
    for group, staged_NHW3 in zip(groups, make_ahead(read, groups), strict=True):
        height, width = cache.image_HW3(group[0]).shape[:2]
        yield from _predict_group(model, staged_NHW3, (height, width), class_of_output, config, machine)


def group_sizes(
    cache: PixelCache, indices: Iterable[int], factor: float, pixels_at_a_time: int
) -> tuple[tuple[int, ...], ...]:
    """Divide cases, in their order, into groups of one size that have no more pixels than told, and at least one case.

    Args:
        cache: knows the sizes.
        indices: the cases.
        factor: side of what the network sees per side of the image.
        pixels_at_a_time: most pixels that the network sees of a group.
    """
    groups: list[list[int]] = []
    for index in indices:
        case = cache.cases[index]
        size = (case.height, case.width)
        height, width = scaled_size(*size, factor)
        most = min(_MOST_AT_A_TIME, pixels_at_a_time // (height * width))
        last = cache.cases[groups[-1][0]] if groups else None
        if last is not None and (last.height, last.width) == size and len(groups[-1]) < most:
            groups[-1].append(index)
        else:
            groups.append([index])
    return tuple(map(tuple, groups))


def sort_by_size(cache: PixelCache, indices: Sequence[int]) -> list[int]:
    """Return cases so that those of one size are neighbours, otherwise in their order."""
    return sorted(indices, key=lambda index: (cache.cases[index].height, cache.cases[index].width))


def score_cases(
    predictions: Iterator[Tensor],
    cache: PixelCache,
    indices: Sequence[int],
    *,
    boundaries: bool = False,
    machine: Machine | None = None,
) -> tuple[ImageScore, ...]:
    """Compare predictions with the truth at original size.

    Args:
        predictions: class indices (H, W) of each case, 255 as background, on any device.
        cache: the decoded data.
        indices: the cases, in the order of the predictions.
        boundaries: count along borders, too, which another thread does on the CPU.
        machine: where the predictions are; None: on the CPU.
    """
    machine = machine or Machine()
    classes = len(cache.classes)
    counts: list[Tensor] = []

    def compare() -> Iterator[tuple[int, Tensor]]:
        truths = make_ahead(lambda index: lay_out(cache.mask_HW(index), machine), indices)
        for index, prediction_HW, truth_HW in zip(indices, predictions, truths, strict=True):
            counts.append(count_confusion(send(truth_HW, machine), prediction_HW, classes))
            yield index, prediction_HW

    def count_borders(compared: tuple[int, Tensor]) -> Overlaps | None:
        index, prediction_HW = compared
        # In a thread of its own the copy makes nothing else wait.
        return count_boundaries(cache.mask_HW(index), prediction_HW.cpu().numpy(), classes) if boundaries else None

    along_borders = list(make_ahead(count_borders, compare()))
    # One copy at the end: a copy per image would make a GPU wait for each.
    confusions = torch.stack(counts).cpu().numpy()
    return tuple(
        score_image(cache.cases[index].name, cache.cases[index].condition, confusion_CP, cache.classes, boundary_C2)
        for index, confusion_CP, boundary_C2 in zip(indices, confusions, along_borders, strict=True)
    )


def _is_one_look(plan: PredictPlan) -> bool:
    return len(plan.factors) == 1 and plan.mirrored == (False,) and plan.tiling is None


@torch.inference_mode()
def _predict_group(
    model: SegmentationModel,
    staged_NHW3: Tensor,
    size: tuple[int, int],
    class_of_output: Tensor,
    config: TrainConfig,
    machine: Machine,
) -> list[Tensor]:
    probabilities_NCHW = classify(model, send(staged_NHW3, machine), config, machine)
    # Enlarged one by one: all at once they would take more memory than the network.
    return [class_of_output[find_greatest(restore_size(one_CHW, *size))] for one_CHW in probabilities_NCHW]
