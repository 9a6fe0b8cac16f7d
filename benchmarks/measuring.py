"""What the benchmarks share: the data that they draw, the machine that they name, rounds with the arms turn about.

An arm of a training runs in a process of its own: threads, memory and cuDNN are set for a whole process, and what one
arm sets must not help or harm another.
"""

import multiprocessing
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Protocol

import torch
from torch import nn

from segcore.data.case import DataSet
from segcore.data.dataset import read_dataset
from segcore.streets.synthetic import write_streets

STREET_HEIGHT: Final = 1216
STREET_WIDTH: Final = 1936
"""Pixels of the contest's images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What one round of one arm brought.

    Args:
        samples_per_second: samples per second of the clock.
        core_seconds_per_sample: processor time of this process and its workers per sample; on a machine that others
            use too it says more than the clock.
        wait_share: share of the round spent waiting for samples, 0 to 1.
    """

    samples_per_second: float
    core_seconds_per_sample: float
    wait_share: float = 0.0


class Arm(Protocol):
    """A training that is measured in rounds."""

    network: nn.Module

    def run_round(self) -> Throughput:
        """Train for a while and say how fast it went."""


class ArmProcess:
    """An arm in a process of its own, which waits while others run.

    Args:
        build: makes the arm there; a function of a module, or a `partial` of one.
    """

    def __init__(self, build: Callable[[], Arm]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(build, far_end))
        self._process.start()
        # Else the arm's end never looks closed when its process dies.
        far_end.close()
        self.parameters: int = self._connection.recv()

    def run_round(self) -> Throughput:
        """Let the arm run a round."""
        self._connection.send(True)
        throughput: Throughput = self._connection.recv()
        return throughput

    def close(self) -> None:
        """End the process."""
        self._connection.send(False)
        self._process.join()


def open_data(folder: Path | None, scratch: Path, cases: int) -> DataSet:
    """Return a data set of the user's, or drawn streets of the contest's size."""
    if folder is None:
        folder = scratch / "streets"
        write_streets(folder, cases=cases, height=STREET_HEIGHT, width=STREET_WIDTH, test_cases=0)
    return read_dataset(folder)


def describe_machine() -> str:
    """Name processor, cores, GPU and torch in one line."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    load = "" if not hasattr(os, "getloadavg") else f", load {os.getloadavg()[0]:.1f} at the start"
    return f"{_processor()}, {os.cpu_count()} cores, {device}, torch {torch.__version__}{load}"


def run_rounds(arms: Mapping[str, Callable[[], Throughput]], rounds: int) -> dict[str, list[Throughput]]:
    """Run every arm once to warm up, then `rounds` times, the arms turn about so that a busy minute hits all."""
    for run in arms.values():
        run()
    found: dict[str, list[Throughput]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, run in arms.items():
            found[name].append(run())
    return found


def count_core_seconds() -> float:
    """Return the processor time that this process and its living children of `multiprocessing` took, in seconds."""
    own = os.times()
    return own.user + own.system + sum(_seconds_of(child.pid) for child in multiprocessing.active_children())


def describe_ratios(ratios: Sequence[float]) -> str:
    """Return median and range of ratios."""
    digits = 0 if statistics.median(ratios) >= 20 else 1 if statistics.median(ratios) >= 5 else 2
    return f"{statistics.median(ratios):.{digits}f} ({min(ratios):.{digits}f} to {max(ratios):.{digits}f})"


def _serve(build: Callable[[], Arm], connection: "Connection[object, object]") -> None:
    arm = build()
    connection.send(sum(parameter.numel() for parameter in arm.network.parameters()))
    # The end of the file: the process that asks was stopped.
    with suppress(EOFError):
        while connection.recv():
            connection.send(arm.run_round())


def _seconds_of(process: int | None) -> float:
    stat = Path(f"/proc/{process}/stat")
    if not stat.exists():
        return 0.0
    # After the command's closing bracket: fields 14 and 15 of proc(5), user and system time in clock ticks.
    fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor"
    )
