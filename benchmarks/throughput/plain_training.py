"""The two loops that segcore's training is compared with: PyTorch, albumentations and a `DataLoader` over files.

`build_plain` is what a competent user writes today; `build_contest` is the recipe of the contest's solution: a decoder
without batch normalisation, fp32, one-hot masks found colour by colour, binary cross-entropy.
"""

import os
import time
from collections.abc import Callable
from functools import partial

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from benchmarks.measuring import Throughput, count_core_seconds
from benchmarks.throughput.plain_data import FileStreets, Transform, build_colour_table, read_indices, read_one_hot
from segcore.config import STRIDE, TrainConfig, decoder_widths
from segcore.data.case import DataSet
from segcore.data.classes import VOID

# As in `segcore.feeding.augmentation`: without a network the library's question for its newest version only costs time.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
from albumentations.pytorch import ToTensorV2


class PlainTraining:
    """A plain training loop.

    Args:
        network: takes normalised (N, 3, H, W), returns logits.
        samples: normalised images and targets.
        loss: of logits and targets.
        config: batch size and rate.
        steps: optimizer steps of a round.
        cpus: loader workers.
        device: torch device.
        amp: whether the network runs under bf16 autocast.
        tuned: whether it is compiled, lies channels last in memory and has a fused optimizer.
    """

    def __init__(
        self,
        network: nn.Module,
        samples: FileStreets,
        loss: Callable[[Tensor, Tensor], Tensor],
        config: TrainConfig,
        *,
        steps: int,
        cpus: int,
        device: str,
        amp: bool,
        tuned: bool,
    ) -> None:
        self.network = network.to(device).train()
        self._layout = torch.channels_last if tuned else torch.preserve_format
        self.network.to(memory_format=self._layout)
        self._forward = torch.compile(self.network) if tuned else self.network
        self._loss = loss
        self._device = torch.device(device)
        self._amp = amp
        self._optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, fused=tuned or None)
        batch_size = int(config.batch_size)
        self._loader = DataLoader(
            samples,
            batch_size=batch_size,
            sampler=RandomSampler(samples, replacement=True, num_samples=steps * batch_size),
            num_workers=cpus,
            persistent_workers=True,
            pin_memory=self._device.type == "cuda",
        )

    def run_round(self) -> Throughput:
        """Train for a round's steps."""
        cores, started = count_core_seconds(), time.perf_counter()
        waiting_since, wait_seconds, samples = started, 0.0, 0
        for images_N3HW, targets in self._loader:
            wait_seconds += time.perf_counter() - waiting_since
            self._step(images_N3HW, targets)
            samples += len(images_N3HW)
            waiting_since = time.perf_counter()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        return Throughput(
            samples_per_second=samples / seconds,
            core_seconds_per_sample=(count_core_seconds() - cores) / samples,
            wait_share=wait_seconds / seconds,
        )

    def _step(self, images_N3HW: Tensor, targets: Tensor) -> None:
        images_N3HW = images_N3HW.to(self._device, non_blocking=True, memory_format=self._layout)
        targets = targets.to(self._device, non_blocking=True)
        self._optimizer.zero_grad()
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._amp):
            loss = self._loss(self._forward(images_N3HW), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()


def build_plain(dataset: DataSet, config: TrainConfig, *, steps: int, cpus: int, device: str) -> PlainTraining:
    """Return the competent user's loop: colour table, cross-entropy; on a GPU bf16, channels last and compiled."""
    on_gpu = device.startswith("cuda")
    torch.set_num_threads(cpus)
    torch.backends.cudnn.benchmark = on_gpu
    read_mask = partial(read_indices, index_of_colour=build_colour_table(dataset.classes))
    samples = FileStreets(dataset.cases, read_mask, build_transform(config, fill_mask=VOID), torch.int64)
    loss = nn.CrossEntropyLoss(ignore_index=VOID)
    network = build_unet(config, len(dataset.classes), decoder_norm=True)
    return PlainTraining(
        network, samples, loss, config, steps=steps, cpus=cpus, device=device, amp=on_gpu, tuned=on_gpu
    )


def build_contest(dataset: DataSet, config: TrainConfig, *, steps: int, cpus: int, device: str) -> PlainTraining:
    """Return the recipe of the contest's solution."""
    torch.set_num_threads(cpus)
    read_mask = partial(read_one_hot, classes=dataset.classes)
    samples = FileStreets(dataset.cases, read_mask, build_transform(config, fill_mask=0), torch.float32)
    network = build_unet(config, len(dataset.classes), decoder_norm=False)
    loss = F.binary_cross_entropy_with_logits
    return PlainTraining(network, samples, loss, config, steps=steps, cpus=cpus, device=device, amp=False, tuned=False)


def build_unet(config: TrainConfig, outputs: int, *, decoder_norm: bool) -> nn.Module:
    """Return the library's U-Net with random weights, as wide as segcore's.

    Args:
        config: backbone and decoder_channels are used.
        outputs: number of classes.
        decoder_norm: whether the decoder has batch normalisation.
    """
    network: nn.Module = smp.Unet(
        encoder_name=f"tu-{config.backbone}",
        encoder_weights=None,
        decoder_use_norm=decoder_norm,
        decoder_channels=decoder_widths(config.decoder_channels),
        classes=outputs,
    )
    return network


def build_transform(config: TrainConfig, *, fill_mask: int) -> Transform:
    """Return the pipeline of an input mode: cut or resize, flip, pad to the stride, normalise, tensors.

    Args:
        config: input_mode, crop_size and scale are used.
        fill_mask: value of the mask in the padding.
    """
    cut: list[A.BasicTransform] = []
    if config.input_mode == "crop":
        cut = [A.RandomCrop(config.crop_size, config.crop_size)]
    elif config.input_mode == "resize":
        cut = [A.RandomScale((config.scale - 1, config.scale - 1), p=1)]
    pad = A.PadIfNeeded(
        min_height=None, min_width=None, pad_height_divisor=STRIDE, pad_width_divisor=STRIDE, fill_mask=fill_mask
    )
    pipeline: Transform = A.Compose(
        [*cut, A.HorizontalFlip(p=0.5), pad, A.Normalize(), ToTensorV2(transpose_mask=True)]
    )
    return pipeline
