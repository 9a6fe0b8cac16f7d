"""What a machine did while a trial trained on it: how busy its processors and its GPU were, what memory was taken.

Named as MLflow names them, whose page of a run then has them under "System metrics"; what is of the trial's own
processes, for which MLflow has no name, begins with trial_. What cannot be had is left out without a word: another
maker's GPU, a driver or a share of a GPU that does not tell, a process that ended meanwhile.
"""

import importlib
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import ray  # noqa: F401 - psutil lies in its package, and can be imported once this is
import torch

from segcore.machine import Machine

PREFIX: Final = "system/"
_PERIOD_SECONDS: Final = 5.0
_MEGA: Final = 1e6
_WATT: Final = 1e3
"""Of milliwatts."""
_NVML: Final = ("pynvml", "ray._private.thirdparty.pynvml")
"""NVIDIA's own package where it is installed, and the copy that Ray looks at GPUs with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Processor time since the machine started, in seconds.

    Args:
        busy: of all cores, that they worked.
        all: of all cores, idle or not.
        own: of this process and those that it started.
        now: the time of the look.
    """

    busy: float
    all: float
    own: float
    now: float


class SystemWatch:
    """Looks at the machine now and then, in a thread of its own, until it is closed.

    Args:
        machine: that the trial trains on.
        period_seconds: between two looks.
    """

    def __init__(self, machine: Machine, period_seconds: float = _PERIOD_SECONDS) -> None:
        self._psutil = _find_module("psutil")
        self._read_gpu = find_gpu(machine)
        self._period_seconds = period_seconds
        self._seen: list[dict[str, float]] = []
        self._spent = self._count_spent()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="system", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking at the machine."""
        self._closed.set()
        self._thread.join()

    def take(self) -> dict[str, float]:
        """Return the mean of what was seen since this was asked last, by MLflow's names."""
        if not self._seen:
            self._look()
        seen, self._seen = self._seen, []
        before, self._spent = self._spent, self._count_spent()
        told = average(seen) | tell_spent(before, self._spent)
        return {f"{PREFIX}{name}": round(value, 2) for name, value in told.items()}

    def _follow(self) -> None:
        while not self._closed.wait(self._period_seconds):
            self._look()

    def _look(self) -> None:
        seen: dict[str, float] = {}
        for read in (self._read_memory, self._read_gpu):
            # Whatever is wrong with what is only shown, the trial goes on.
            with suppress(Exception):
                seen |= read()
        self._seen.append(seen)

    def _read_memory(self) -> dict[str, float]:
        if self._psutil is None:
            return {}
        whole = self._psutil.virtual_memory()
        # What processes share, or have of a file such as the cache, would count once for each.
        own = [info.rss - info.shared for info in self._ask_family("memory_info")]
        return {
            "system_memory_usage_megabytes": whole.used / _MEGA,
            "system_memory_usage_percentage": 100 * whole.used / whole.total,
            "trial_memory_megabytes": sum(own) / _MEGA,
        }

    def _count_spent(self) -> Spent | None:
        with suppress(Exception):
            if self._psutil is not None:
                times = self._psutil.cpu_times()._asdict()
                # What guests of a virtual machine took is in user and nice already.
                whole = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
                busy = whole - times["idle"] - times.get("iowait", 0.0)
                # Of a child that has ended its parent knows the time.
                own = sum(sum(each) for each in self._ask_family("cpu_times"))
                return Spent(busy=busy, all=whole, own=own, now=time.monotonic())
        return None

    def _ask_family(self, question: str) -> list[Any]:
        """Return the answers of this process and those that it started, without those that ended meanwhile."""
        assert self._psutil is not None
        own, answers = self._psutil.Process(), []
        for process in (own, *own.children(recursive=True)):
            with suppress(self._psutil.Error):
                answers.append(getattr(process, question)())
        return answers


def average(seen: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each number over those looks that have it."""
    names = dict.fromkeys(name for each in seen for name in each)
    values = {name: [each[name] for each in seen if name in each] for name in names}
    return {name: sum(each) / len(each) for name, each in values.items()}


def tell_spent(before: Spent | None, after: Spent | None) -> dict[str, float]:
    """Return how busy all cores were between two looks, and how many of them this trial kept busy."""
    if before is None or after is None or after.all <= before.all or after.now <= before.now:
        return {}
    return {
        "cpu_utilization_percentage": 100 * (after.busy - before.busy) / (after.all - before.all),
        # A process that was killed takes its time along.
        "trial_cpu_cores": max(0.0, after.own - before.own) / (after.now - before.now),
    }


def find_gpu(machine: Machine) -> Callable[[], Mapping[str, float]]:
    """Return what reads the GPU that a trial trains on; without one, or NVML, it reads nothing."""
    nvml = next(filter(None, map(_find_module, _NVML)), None) if machine.on_gpu else None
    # NVML raises its own errors, and its package Python's where the driver is too old for a function.
    with suppress(Exception):
        if nvml is not None:
            nvml.nvmlInit()
            # A trial's first GPU may be any of its machine's.
            uuid = f"GPU-{torch.cuda.get_device_properties(machine.device).uuid}"
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            return lambda: read_gpu(nvml, handle)
    return dict


def read_gpu(nvml: Any, handle: Any) -> dict[str, float]:
    """Return what NVML tells of a GPU now; what it does not tell is left out.

    Args:
        nvml: NVIDIA's package.
        handle: of the GPU, as it names it.
    """
    seen: dict[str, float] = {}
    with suppress(nvml.NVMLError):
        seen["gpu_0_utilization_percentage"] = float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    with suppress(nvml.NVMLError):
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        seen["gpu_0_memory_usage_megabytes"] = memory.used / _MEGA
        seen["gpu_0_memory_usage_percentage"] = 100 * memory.used / memory.total
    with suppress(nvml.NVMLError):
        milliwatts = nvml.nvmlDeviceGetPowerUsage(handle)
        seen["gpu_0_power_usage_watts"] = milliwatts / _WATT
        seen["gpu_0_power_usage_percentage"] = 100 * milliwatts / nvml.nvmlDeviceGetEnforcedPowerLimit(handle)
    return seen


def _find_module(name: str) -> Any:
    """Return a package; None where it is not installed."""
    with suppress(ImportError):
        return importlib.import_module(name)
    return None
