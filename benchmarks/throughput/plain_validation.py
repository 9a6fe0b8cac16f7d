"""How a plain loop validates: whole images from their files in batches, the greatest output against the mask."""

import time
from collections.abc import Sequence
from typing import Final

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.throughput.plain_data import FileStreets, build_colour_table, read_indices
from benchmarks.throughput.plain_training import build_transform
from segcore.config import TrainConfig
from segcore.data.case import Case
from segcore.data.classes import VOID, ClassTable

_BATCH: Final = 4


class PlainValidation:
    """Validates a network; images are resized where they were in training, whole otherwise.

    Args:
        cases: the labelled images.
        classes: what the masks hold.
        config: input_mode and scale are used.
        cpus: loader workers.
        device: torch device.
        amp: whether the network runs under bf16 autocast.
    """

    def __init__(
        self, cases: Sequence[Case], classes: ClassTable, config: TrainConfig, *, cpus: int, device: str, amp: bool
    ) -> None:
        mode = "full" if config.input_mode == "crop" else config.input_mode
        seen = TrainConfig.from_values({**config.values(), "input_mode": mode})
        table = build_colour_table(classes)
        transform = build_transform(seen, fill_mask=VOID)
        self._classes = len(classes)
        self._device, self._amp = torch.device(device), amp
        self._loader = DataLoader(
            FileStreets(cases, lambda file: read_indices(file, table), transform, torch.int64),
            batch_size=_BATCH,
            num_workers=cpus,
            persistent_workers=True,
            pin_memory=self._device.type == "cuda",
        )

    @torch.inference_mode()
    def run(self, network: nn.Module) -> float:
        """Count the confusion of all images and return the seconds that it took."""
        started = time.perf_counter()
        network.eval()
        counts = torch.zeros(self._classes**2, dtype=torch.int64, device=self._device)
        for images_N3HW, targets_NHW in self._loader:
            images_N3HW = images_N3HW.to(self._device, non_blocking=True)
            targets_NHW = targets_NHW.to(self._device, non_blocking=True)
            with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._amp):
                found_NHW = network(images_N3HW).argmax(dim=1)
            known = targets_NHW != VOID
            cells = targets_NHW[known] * self._classes + found_NHW[known]
            counts += torch.bincount(cells, minlength=self._classes**2)
        counts.cpu()
        network.train()
        return time.perf_counter() - started
