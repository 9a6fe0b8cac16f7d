"""Batches of training samples from the cache; a sample depends on (seed, epoch, position) alone.

So neither the number of loader workers nor a restart changes what a training sees. What a sample is lives
in `samples`.
"""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, get_worker_info

from segcore.config import TrainConfig
from segcore.data.classes import PADDING_GREY, VOID
from segcore.errors import StorageError
from segcore.feeding.batch import Batch
from segcore.feeding.samples import Sample, TrainingSamples
from segcore.feeding.shared_memory import FOLDER, PREFETCHED_BATCHES

_STREAM_ORDER: Final = 1
_SIGNS_OF_END: Final = ("exited unexpectedly", "is killed by signal")
"""What torch says where a loader process ended without an error of its own."""
_Collated = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


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
        self._begun: tuple[int, Iterator[_Collated]] | None = None
        whole_batches = len(samples) >= batch_size
        self._loader: DataLoader[Sample] = DataLoader(
            samples,
            batch_size=batch_size,
            sampler=self._order,
            drop_last=whole_batches,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=PREFETCHED_BATCHES if workers else None,
            pin_memory=pin_memory,
            collate_fn=collate,
            worker_init_fn=_start_worker,
            # Torch's own, which dropout draws from, would be moved on by some passes and not by others.
            generator=torch.Generator(),
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
            for images_NHW3, target_NHW, changes_NP in batches:
                yield Batch(images_NHW3=images_NHW3, target_NHW=target_NHW, changes_NP=changes_NP)

    def _start(self, epoch: int) -> Iterator[_Collated]:
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


@contextmanager
def name_killed_loaders() -> Iterator[None]:
    """Turn torch's error for a loader process that was killed into `StorageError` with a remedy.

    In a main thread torch raises it wherever the training is at that moment, and not only where a batch is awaited.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _SIGNS_OF_END):
            raise
        raise StorageError(
            f"A loader process was killed ({str(error).strip().rstrip('.')}), most often by the system where memory "
            "ran out; give it more memory, end what else uses it, or use fewer --cpus."
        ) from error


def collate(samples: Sequence[Sample]) -> _Collated:
    """Stack samples; smaller ones are padded on all sides, grey in the image and void in the target.

    What a device turns and mirrors around the middle of a batch so stays around the middle of each sample.
    """
    height = max(sample.target_HW.shape[0] for sample in samples)
    width = max(sample.target_HW.shape[1] for sample in samples)
    images_NHW3 = _reserve(len(samples), height, width, 3)
    target_NHW = _reserve(len(samples), height, width)
    images, targets = images_NHW3.numpy(), target_NHW.numpy()
    images.fill(PADDING_GREY)
    targets.fill(VOID)
    for position, sample in enumerate(samples):
        rows, columns = sample.target_HW.shape
        top, left = (height - rows) // 2, (width - columns) // 2
        inside = (position, slice(top, top + rows), slice(left, left + columns))
        images[inside], targets[inside] = sample.image_HW3, sample.target_HW
    return images_NHW3, target_NHW, _stack_changes(samples)


def _stack_changes(samples: Sequence[Sample]) -> torch.Tensor | None:
    rows = [sample.change_P for sample in samples if sample.change_P is not None]
    if not rows:
        return None
    changes_NP = _reserve(*np.shape(rows), dtype=torch.float32)
    changes_NP.numpy()[:] = rows
    return changes_NP


def _reserve(*shape: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    tensor = torch.empty(shape, dtype=dtype)
    # Left to the queue, a loader process would move it there in a thread that dies silently when there is no room.
    if get_worker_info() is not None:
        tensor.share_memory_()  # type: ignore[no-untyped-call]
    return tensor


def _start_worker(worker: int) -> None:
    # OpenCV starts a thread per core in every worker unless told otherwise; Ray's limit does not reach it.
    cv2.setNumThreads(0)
    # A training that ignores SIGTERM, as one in a search does, still ends its loader processes by it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
