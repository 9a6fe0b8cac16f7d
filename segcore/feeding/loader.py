"""Batches of training samples from the cache; a sample depends on (seed, epoch, position) alone.

So neither the number of loader workers nor a restart changes what a training sees. What a sample is lives
in `transforms`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from segcore.config import TrainConfig
from segcore.data.caching.cache import PixelCache
from segcore.data.classes import PADDING_GREY, VOID
from segcore.errors import StorageError
from segcore.feeding.balance import RareClasses
from segcore.feeding.shared_memory import FOLDER, PREFETCHED_BATCHES
from segcore.feeding.transforms import (
    Image,
    augment,
    count_crops,
    cut_sample,
    prepare_augmentation,
    require_crop_fits,
    sample_size,
)

_STREAM_ORDER: Final = 1
_STREAM_SAMPLE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Samples of one optimizer step: RGB pixels and target indices, both uint8, void is 255."""

    images_NHW3: torch.Tensor
    target_NHW: torch.Tensor

    def divided(self, parts: int) -> Iterator["Batch"]:
        """Yield the batch in parts of nearly equal size, in order; a smaller batch gives fewer parts."""
        parts = min(parts, len(self.target_NHW))
        pairs = zip(self.images_NHW3.tensor_split(parts), self.target_NHW.tensor_split(parts), strict=True)
        for images_NHW3, target_NHW in pairs:
            yield Batch(images_NHW3=images_NHW3, target_NHW=target_NHW)


class TrainingSamples(Dataset[tuple[Image, Image]]):
    """Samples of one epoch, addressed by (epoch, position).

    Args:
        cache: the decoded data.
        indices: the training cases' positions in the cache.
        config: input mode, rare crops, augmentation and seed.
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
        """Height and width that hold every sample, pixels."""
        sizes = self._sizes()
        return max(height for height, _ in sizes), max(width for _, width in sizes)

    def count_bytes(self, batch_size: int) -> int:
        """Return the bytes of a batch of the largest samples: three of colour and one of class for each pixel."""
        height, width = self.largest_size
        return 4 * min(batch_size, len(self)) * height * width

    @property
    def shortest_long_side(self) -> int:
        """The longer side of the sample that has the shortest one, pixels."""
        return min(max(size) for size in self._sizes())

    def __getitem__(self, address: tuple[int, int]) -> tuple[Image, Image]:
        epoch, position = address
        random = np.random.default_rng((self._config.seed, _STREAM_SAMPLE, epoch, position))
        index = self._case_of_position[position]
        wanted_class = self._draw_wanted_class(index, random)
        image_HW3, mask_HW = cut_sample(
            self._cache.image_HW3(index), self._cache.mask_HW(index), self._config, random, wanted_class
        )
        image_HW3, mask_HW = augment(image_HW3, mask_HW, self._config, random)
        return np.ascontiguousarray(image_HW3), self._target_of_class[mask_HW]

    def _sizes(self) -> list[tuple[int, int]]:
        cases = [self._cache.cases[index] for index in set(self._case_of_position)]
        return [sample_size(case.height, case.width, self._config) for case in cases]

    def _draw_wanted_class(self, index: int, random: np.random.Generator) -> int | None:
        probability = self._config.rare_crop_probability
        if self._config.input_mode != "crop" or not probability or random.random() >= probability:
            return None
        return self._rare_classes.draw(index, random)


class EpochOrder(Sampler[tuple[int, int]]):
    """Addresses of one epoch's samples in random order; set `epoch` before each pass."""

    def __init__(self, samples: int, seed: int) -> None:
        self._samples = samples
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self._samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self._seed, _STREAM_ORDER, self.epoch)).permutation(self._samples)
        return iter([(self.epoch, int(position)) for position in order])


class TrainingLoader:
    """Yields the batches of an epoch.

    Args:
        samples: the training samples.
        config: its seed is used.
        batch_size: samples of a batch.
        workers: loader processes; 0 loads in this process.
        pin_memory: whether batches are laid out for a fast copy to a GPU.
    """

    def __init__(
        self, samples: TrainingSamples, config: TrainConfig, batch_size: int, *, workers: int, pin_memory: bool
    ) -> None:
        self._order = EpochOrder(len(samples), config.seed)
        self._workers = workers
        self._begun: tuple[int, Iterator[tuple[torch.Tensor, torch.Tensor]]] | None = None
        whole_batches = len(samples) >= batch_size
        self._loader: DataLoader[tuple[Image, Image]] = DataLoader(
            samples,
            batch_size=min(batch_size, len(samples)),
            sampler=self._order,
            drop_last=whole_batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=PREFETCHED_BATCHES if workers else None,
            pin_memory=pin_memory,
            collate_fn=collate,
            worker_init_fn=_start_worker,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def begin(self, epoch: int) -> None:
        """Let idle loader processes make the first batches of an epoch, which `epoch` yields later.

        Args:
            epoch: counted from 0; every epoch before it that was begun has been yielded to its end.
        """
        if self._workers:
            with self._name_full_memory():
                self._begun = (epoch, self._start(epoch))

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of one epoch (counted from 0); a last, smaller batch is left out.

        Raises:
            StorageError: when loader processes find no room in shared memory.
        """
        begun, self._begun = self._begun, None
        with self._name_full_memory():
            batches = begun[1] if begun is not None and begun[0] == epoch else self._start(epoch)
            for images_NHW3, target_NHW in batches:
                yield Batch(images_NHW3=images_NHW3, target_NHW=target_NHW)

    def _start(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        # Loader processes are told the first samples at once, and those of the order that is set now.
        self._order.epoch = epoch
        return iter(self._loader)

    @contextmanager
    def _name_full_memory(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if not self._workers or "shared memory" not in str(error):
                raise
            raise StorageError(
                f"Shared memory ({FOLDER}) is full, and {self._workers} loader processes cannot hand their batches "
                "over; start a container with --shm-size=2g or --ipc=host, end what else uses it, or use fewer --cpus."
            ) from error


def blank_batch(samples: TrainingSamples, size: int, outputs: int) -> Batch:
    """Return a batch of black images, as large as the largest sample, with pixels of every class, to try a device."""
    height, width = samples.largest_size
    classes = torch.arange(size * height * width).remainder(outputs).to(torch.uint8)
    return Batch(
        images_NHW3=torch.zeros(size, height, width, 3, dtype=torch.uint8),
        target_NHW=classes.view(size, height, width),
    )


def collate(samples: Sequence[tuple[Image, Image]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack samples; smaller ones are padded at the bottom and right, grey in the image and void in the target."""
    height = max(mask_HW.shape[0] for _, mask_HW in samples)
    width = max(mask_HW.shape[1] for _, mask_HW in samples)
    images_NHW3 = _reserve(len(samples), height, width, 3)
    target_NHW = _reserve(len(samples), height, width)
    images, targets = images_NHW3.numpy(), target_NHW.numpy()
    images.fill(PADDING_GREY)
    targets.fill(VOID)
    for position, (image_HW3, mask_HW) in enumerate(samples):
        images[position, : mask_HW.shape[0], : mask_HW.shape[1]] = image_HW3
        targets[position, : mask_HW.shape[0], : mask_HW.shape[1]] = mask_HW
    return images_NHW3, target_NHW


def _reserve(*shape: int) -> torch.Tensor:
    tensor = torch.empty(shape, dtype=torch.uint8)
    # Left to the queue, a loader process would move it there in a thread that dies unheard when there is no room.
    if get_worker_info() is not None:
        tensor.share_memory_()  # type: ignore[no-untyped-call]
    return tensor


def _start_worker(worker: int) -> None:
    # OpenCV starts a thread per core in every worker unless told otherwise; Ray's limit does not reach it.
    cv2.setNumThreads(0)
