"""Training samples: what one position of an epoch shows, cut, mixed and changed; drawn from (seed, epoch, position).

How single steps work lives in `transforms`, `mixing` and `balance`; batches and their order in `loader`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from segcore.config import TrainConfig
from segcore.data.caching.cache import CachedCase, PixelCache
from segcore.feeding.balance import RareClasses
from segcore.feeding.batch import Batch
from segcore.feeding.changes import draw_change
from segcore.feeding.mixing import mix_classes, paste_objects
from segcore.feeding.transforms import (
    Image,
    augment,
    count_crops,
    cut_sample,
    cut_size,
    prepare_augmentation,
    require_crop_fits,
    sample_size,
)

_STREAM_SAMPLE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One training sample.

    Args:
        image_HW3: RGB pixels.
        target_HW: target indices of the same size, uint8; 255 is void.
        change_P: what the device has yet to change, see `changes`; None: nothing.
    """

    image_HW3: Image
    target_HW: Image
    change_P: npt.NDArray[np.float32] | None = None


class TrainingSamples(Dataset[Sample]):
    """Samples of one epoch, addressed by (epoch, position).

    Args:
        cache: the decoded data.
        indices: the training cases' positions in the cache.
        config: input mode, rare crops, mixing, augmentation and seed.
        target_of_class: target index for each class index 0..255, uint8.
    """

    def __init__(self, cache: PixelCache, indices: Sequence[int], config: TrainConfig, target_of_class: Image) -> None:
        require_crop_fits(cache.usual_side, config)
        prepare_augmentation(config)
        self._cache = cache
        self._config = config
        self._target_of_class = target_of_class
        self._rare_classes = RareClasses(cache, indices)
        self._case_of_position = [
            index
            for index in indices
            for _ in range(count_crops(cache.cases[index].height, cache.cases[index].width, config))
        ]

    def __len__(self) -> int:
        return len(self._case_of_position)

    @property
    def largest_size(self) -> tuple[int, int]:
        """Height and width that hold every sample as the network sees it, pixels."""
        sizes = self._sizes()
        return max(height for height, _ in sizes), max(width for _, width in sizes)

    @property
    def are_alike(self) -> bool:
        """Whether the network sees all samples at one size."""
        return len(set(self._sizes())) == 1

    def count_bytes(self, batch_size: int) -> int:
        """Return the bytes of a batch of the largest samples: three of colour and one of class for each pixel."""
        sizes = [cut_size(case.height, case.width, self._config) for case in self._cases()]
        height, width = max(height for height, _ in sizes), max(width for _, width in sizes)
        return 4 * min(batch_size, len(self)) * height * width

    @property
    def shortest_long_side(self) -> int:
        """The longer side of the sample that has the shortest one, pixels."""
        return min(max(size) for size in self._sizes())

    def __getitem__(self, address: tuple[int, int]) -> Sample:
        epoch, position = address
        config = self._config
        random = np.random.default_rng((config.seed, _STREAM_SAMPLE, epoch, position))
        index = self._case_of_position[position]
        cut = self._cut(index, random, self._draw_wanted_class(index, random))
        cut = self._mix(cut, index, random)
        image_HW3, mask_HW = augment(*cut, config, random)
        return Sample(
            image_HW3=np.ascontiguousarray(image_HW3),
            target_HW=self._target_of_class[mask_HW],
            change_P=draw_change(config, random),
        )

    def _mix(self, cut: tuple[Image, Image], index: int, random: np.random.Generator) -> tuple[Image, Image]:
        config = self._config
        # Nothing is drawn where nothing may happen, so that a new choice leaves the samples of the others alone.
        if config.class_mix_probability and random.random() < config.class_mix_probability:
            other = self._case_of_position[int(random.integers(len(self)))]
            cut = mix_classes(cut, self._cut(other, random), random)
        if config.copy_paste_probability and random.random() < config.copy_paste_probability:
            source = self._rare_classes.draw_case(index, random)
            if source is not None:
                cut = paste_objects(
                    cut, self._cut(source[0], random, source[1]), self._rare_classes.rarest_first, random
                )
        return cut

    def _cut(self, index: int, random: np.random.Generator, wanted_class: int | None = None) -> tuple[Image, Image]:
        cache = self._cache
        return cut_sample(cache.image_HW3(index), cache.mask_HW(index), self._config, random, wanted_class)

    def _draw_wanted_class(self, index: int, random: np.random.Generator) -> int | None:
        probability = self._config.rare_crop_probability
        if self._config.input_mode != "crop" or not probability or random.random() >= probability:
            return None
        return self._rare_classes.draw(index, random)

    def _cases(self) -> list[CachedCase]:
        return [self._cache.cases[index] for index in set(self._case_of_position)]

    def _sizes(self) -> list[tuple[int, int]]:
        return [sample_size(case.height, case.width, self._config) for case in self._cases()]


def blank_batch(samples: TrainingSamples, size: int, outputs: int) -> Batch:
    """Return a batch of black images, as large as the largest sample, with pixels of every class, to try a device."""
    height, width = samples.largest_size
    classes = torch.arange(size * height * width).remainder(outputs).to(torch.uint8)
    return Batch(
        images_NHW3=torch.zeros(size, height, width, 3, dtype=torch.uint8),
        target_NHW=classes.view(size, height, width),
    )
