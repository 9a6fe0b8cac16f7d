"""Prepares the next items in a thread while the last ones are used, so that a device never waits for them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcore.machine import Machine

_AHEAD: Final = 2
"""One is waiting when it is asked for, and one is being made."""

Told = TypeVar("Told")
Made = TypeVar("Made")


def make_ahead(make: Callable[[Told], Made], told: Iterable[Told], ahead: int = _AHEAD) -> Iterator[Made]:
    """Yield `make` of each in order, calling it in one other thread, so many calls before they are asked for.

    Args:
        make: called in the thread; its error is raised where its result would be yielded.
        told: what it is called with.
        ahead: results that may wait, at least 1.
    """
    pool = ThreadPoolExecutor(1)
    waiting: deque[Future[Made]] = deque()
    try:
        for each in told:
            waiting.append(pool.submit(make, each))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Who stops asking, or meets an error, wants nothing more made.
        pool.shutdown(cancel_futures=True)


def lay_out(pixels: npt.NDArray[np.uint8], machine: Machine) -> Tensor:
    """Return pixels as a tensor from which a GPU copies without making the CPU wait.

    Args:
        pixels: any array; a read-only one, such as a cache's map of a file, is copied.
        machine: where they go.
    """
    tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    return tensor.pin_memory() if machine.on_gpu else tensor


def send(staged: Tensor, machine: Machine) -> Tensor:
    """Return what `lay_out` made on the device, where it arrives before what is called next."""
    return staged.to(machine.device, non_blocking=True)
