"""The validation at the end of an epoch: whole images at their original size, as many at a time as the device holds.

What is seen and scored lives in `prediction.cases`; how much memory there is shows a training's batches, see `memory`.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from segcore.data.caching.cache import PixelCache
from segcore.errors import DeviceMemoryError
from segcore.feeding.transforms import sample_size
from segcore.machine import Machine
from segcore.prediction.cases import predict_cases, score_cases, sort_by_size
from segcore.prediction.predict import DEFAULT_OPTIONS
from segcore.scoring.metrics import ImageScore, summarise_scores
from segcore.scoring.objective import BOUNDARY_IOU, learns_every_class
from segcore.training.memory import (
    name_memory_errors,
    name_validation_memory_errors,
    release_memory,
    tiled_options,
)
from segcore.training.state import TrainState

View = Literal["together", "whole", "tiles"]
"""How images are seen: several of one size together, one after the other, or one in overlapping tiles."""

_SMALLER: Final[dict[View, View]] = {"together": "whole", "whole": "tiles"}
"""What a device has memory for when it has none for the former."""

_PIXELS_FOR_EACH_TRAINED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What a validation brought and took.

    Args:
        scores: image by image, in the order of the cases.
        metrics: over all images, by name, see `segcore.scoring.metrics`.
        view: the one that the device had memory for.
        seconds: duration.
    """

    scores: tuple[ImageScore, ...]
    metrics: dict[str, float]
    view: View
    seconds: float


def first_view(machine: Machine) -> View:
    """Return how images are seen at first: together on a GPU, which computes several faster than as many alone."""
    return "together" if machine.on_gpu else "whole"


def validate(state: TrainState, cache: PixelCache, indices: Sequence[int], machine: Machine, view: View) -> Validation:
    """Score the network on whole images.

    Args:
        state: a training; its `final_model` is scored.
        cache: the decoded data.
        indices: cases to validate on.
        machine: where the training is.
        view: what is tried first.

    Raises:
        DeviceMemoryError: when there is too little memory for tiles, too.
    """
    started = time.perf_counter()
    scores, view = _score_as_fits(state, cache, indices, machine, view)
    every_class = learns_every_class(state.config.labels, cache.classes)
    metrics = summarise_scores(scores, cache.classes, every_class=every_class)
    return Validation(scores=scores, metrics=metrics, view=view, seconds=time.perf_counter() - started)


def count_pixels_together(state: TrainState, cache: PixelCache) -> int:
    """Return how many pixels may go through the network together: twice those of a part of a training's batch.

    That fitted with all that its gradients are made of, which a validation does not keep.
    """
    samples = math.ceil(state.batch_size / state.micro_batches)
    largest = max(math.prod(sample_size(*size, state.config)) for size in cache.sizes)
    return _PIXELS_FOR_EACH_TRAINED * samples * largest


def _score_as_fits(
    state: TrainState, cache: PixelCache, indices: Sequence[int], machine: Machine, view: View
) -> tuple[tuple[ImageScore, ...], View]:
    while view != "tiles":
        try:
            with name_memory_errors(state.config, machine):
                return _score(state, cache, indices, machine, view), view
        except DeviceMemoryError:
            pass
        # Only here, after the error and the tensors of its frames are gone, is there memory again.
        release_memory(machine)
        view = _SMALLER[view]
    with name_validation_memory_errors(state.config, machine):
        return _score(state, cache, indices, machine, view), view


def _score(
    state: TrainState, cache: PixelCache, indices: Sequence[int], machine: Machine, view: View
) -> tuple[ImageScore, ...]:
    options = tiled_options(state.config) if view == "tiles" else DEFAULT_OPTIONS
    pixels = count_pixels_together(state, cache) if view == "together" else 0
    ordered = sort_by_size(cache, indices)
    predictions = predict_cases(state.final_model, cache, ordered, state.config, machine, options, pixels)
    along_borders = state.metric == BOUNDARY_IOU
    scores = score_cases(predictions, cache, ordered, boundaries=along_borders, machine=machine)
    place_of = {index: place for place, index in enumerate(ordered)}
    return tuple(scores[place_of[index]] for index in indices)
