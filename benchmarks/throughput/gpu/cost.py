"""What a training step asks of a device, counted as it is called: operations, bytes and floating-point operations."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from segcore.feeding.batch import Batch
from segcore.machine import Machine
from segcore.training.epoch import set_training, take_step
from segcore.training.losses import Loss
from segcore.training.state import TrainState


class TrafficCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations, and the bytes that they would read and write if each ran alone.

    Views cost nothing. What a compiler fuses, or a cache holds, is less: the bytes are those of eager operations.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operation and count it."""
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.operations += 1
            self.bytes += sum(_count_bytes(leaf) for leaf in _tensors((args, kwargs, result)))
        return result


def count_step(state: TrainState, batch: Batch, loss: Loss, machine: Machine) -> dict[str, float]:
    """Take a step of a copy and return operations, gib (of traffic) and gflop of it; the state stays as it is."""
    trial = copy.deepcopy(state)
    set_training(trial)
    # The optimizer makes its own state in its first step.
    take_step(trial, [batch], loss, machine)
    with FlopCounterMode(display=False) as flops, TrafficCounter() as traffic:
        take_step(trial, [batch], loss, machine)
    return {
        "operations": float(traffic.operations),
        "gib": traffic.bytes / 2**30,
        "gflop": flops.get_total_flops() / 1e9,
    }


def _tensors(tree: object) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))


def _count_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
