"""What each loss costs a step: operations, bytes and core time on the CPU: `python -m benchmarks.throughput.losses`.

Operations are those that torch's profiler counts from the loss to the gradient of the logits; each is a launch or more
on a GPU. Bytes are those of one call beside logits and their gradient. The table is Markdown.
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from segcore.config import TrainConfig
from segcore.data.classes import VOID
from segcore.training.losses import Loss, build_loss

CHOICES: Final[tuple[dict[str, Any], ...]] = (
    {"loss": "ce"},
    {"loss": "ce", "label_smoothing": 0.1},
    {"loss": "ce", "ohem_share": 0.25},
    {"loss": "bce"},
    {"loss": "focal"},
    {"loss": "jaccard"},
    {"loss": "dice"},
    {"loss": "lovasz"},
    {"loss": "boundary"},
)
CLASSES: Final = 19
VOID_SHARE: Final = 0.1
ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCost:
    """What one loss and its gradient take.

    Args:
        operations: operations of torch, those inside others not counted.
        allocated_mib: memory that was asked for, in all.
        peak_mib: most of it at a time.
        core_ms: core time, median.
    """

    operations: int
    allocated_mib: float
    peak_mib: float
    core_ms: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=128, help="side of a crop, pixels")
    parser.add_argument("--batch", type=int, default=4, help="crops of a batch")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    batch = draw_batch(arguments.batch, arguments.side)
    print("| loss | operations | allocated, MiB | peak, MiB | core ms |")
    print("| --- | --- | --- | --- | --- |")
    for values in CHOICES:
        cost = measure_loss(build_loss(TrainConfig.from_values(values)), *batch)
        name = " ".join(str(values["loss"]) if key == "loss" else f"{key}={value}" for key, value in values.items())
        print(
            f"| {name} | {cost.operations} | {cost.allocated_mib:.1f} | {cost.peak_mib:.1f} | {cost.core_ms:.0f} |",
            flush=True,
        )


def draw_batch(batch: int, side: int) -> tuple[Tensor, Tensor]:
    """Return logits (N, C, H, W), channels last as a network gives them, and targets, a tenth of them void."""
    random = torch.Generator().manual_seed(0)
    logits_NCHW = torch.randn(batch, CLASSES, side, side, generator=random).to(memory_format=torch.channels_last)
    target_NHW = torch.randint(0, CLASSES, (batch, side, side), generator=random, dtype=torch.uint8)
    target_NHW[torch.rand(target_NHW.shape, generator=random) < VOID_SHARE] = VOID
    return logits_NCHW, target_NHW


def measure_loss(loss: Loss, logits_NCHW: Tensor, target_NHW: Tensor) -> LossCost:
    """Return what a loss and its gradient by the logits take."""
    seconds = sorted(_time_loss(loss, logits_NCHW, target_NHW) for _ in range(ROUNDS))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        _take(loss, logits_NCHW, target_NHW)
    operations = [event for event in profiled.events() or () if event.name.startswith("aten::")]
    inner = [event for event in operations if event.cpu_parent and event.cpu_parent.name.startswith("aten::")]
    changes = [event.nbytes() for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held, peak = 0, 0
    for change in changes:
        held += change
        peak = max(peak, held)
    return LossCost(
        operations=len(operations) - len(inner),
        allocated_mib=sum(change for change in changes if change > 0) / 2**20,
        peak_mib=peak / 2**20,
        core_ms=1000 * seconds[ROUNDS // 2],
    )


def _time_loss(loss: Loss, logits_NCHW: Tensor, target_NHW: Tensor) -> float:
    started = time.process_time()
    _take(loss, logits_NCHW, target_NHW)
    return time.process_time() - started


def _take(loss: Loss, logits_NCHW: Tensor, target_NHW: Tensor) -> None:
    # Its own view of the same numbers, so that no gradient of an earlier call is added to.
    loss(logits_NCHW.detach().requires_grad_(True), target_NHW).backward()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
