"""What a device did while it was watched: how long it had nothing to do, what was launched and what was copied."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from torch.profiler import ProfilerActivity, profile

_ON_DEVICE: Final = ("kernel", "gpu_memcpy", "gpu_memset")
_US: Final = 1e-6


def watch(work: Callable[[], object], *, on_gpu: bool) -> dict[str, float]:
    """Do some work under the profiler and return `summarise` of it; nothing is left behind."""
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        work()
        if on_gpu:
            torch.cuda.synchronize()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(file))
        document = json.loads(file.read_text(encoding="utf-8"))
    return summarise(document["traceEvents"])


def summarise(events: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return what a trace says of the device.

    Args:
        events: of a Chrome trace; `ts` and `dur` are microseconds.

    Returns:
        idle_share (of the time from its first work to its last), kernels, copies, pageable_copies (a GPU waits for
        each), longest_gap_ms. Without work of a device, as on a CPU, called_operations alone.
    """
    events = [event for event in events if event.get("ph") == "X"]
    work = [event for event in events if event.get("cat") in _ON_DEVICE]
    if not work:
        return {"called_operations": float(sum(event.get("cat") == "cpu_op" for event in events))}
    kinds = Counter(str(event["cat"]) for event in work)
    gaps = find_gaps([(float(event["ts"]), float(event["ts"]) + float(event["dur"])) for event in work])
    start = min(float(event["ts"]) for event in work)
    end = max(float(event["ts"]) + float(event["dur"]) for event in work)
    return {
        "idle_share": sum(gaps) / (end - start),
        "longest_gap_ms": max(gaps, default=0.0) * _US * 1000,
        "kernels": float(kinds["kernel"]),
        "copies": float(kinds["gpu_memcpy"]),
        "pageable_copies": float(sum("Pageable" in str(event.get("name")) for event in work)),
    }


def find_gaps(spans: Iterable[tuple[float, float]]) -> list[float]:
    """Return how long nothing ran, for each time that this was so between the first start and the last end.

    Args:
        spans: start and end of each piece of work; they may overlap.
    """
    gaps, busy_until = [], None
    for start, end in sorted(spans):
        if busy_until is not None and start > busy_until:
            gaps.append(start - busy_until)
        busy_until = end if busy_until is None else max(busy_until, end)
    return gaps
