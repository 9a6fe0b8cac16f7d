"""What the device can do at most: memory bandwidth, matrix products, copies from the CPU."""

import time
from collections.abc import Callable

import torch

_REPEATS = 10


def measure_peaks(device: str, *, side: int, mib: int) -> dict[str, float]:
    """Return tflops (bf16 matrix product), gib_per_second (a copy: read and written) and both copies from the CPU.

    Args:
        device: torch device.
        side: of the square matrices.
        mib: of what is copied.
    """
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    product = torch.empty_like(left)
    source = torch.ones(mib << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    pageable = torch.ones(mib << 20, dtype=torch.uint8)
    found = {
        "tflops": 2 * side**3 / time_call(lambda: torch.mm(left, right, out=product), device) / 1e12,
        "gib_per_second": 2 * mib / 1024 / time_call(lambda: target.copy_(source), device),
        "from_pageable_gib_per_second": mib / 1024 / time_call(lambda: target.copy_(pageable), device),
    }
    if device.startswith("cuda"):
        pinned = pageable.pin_memory()
        found["from_pinned_gib_per_second"] = (
            mib / 1024 / time_call(lambda: target.copy_(pinned, non_blocking=True), device)
        )
    return found


def time_call(call: Callable[[], object], device: str) -> float:
    """Return the seconds of a call, the mean of ten after two to warm up."""
    for _ in range(2):
        call()
    _wait(device)
    started = time.perf_counter()
    for _ in range(_REPEATS):
        call()
    _wait(device)
    return (time.perf_counter() - started) / _REPEATS


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
