"""NVIDIA's MPS, by which processes use one GPU side by side; without it they take turns. Nothing here starts it."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_VARIABLE: Final = "CUDA_MPS_PIPE_DIRECTORY"
_PIPES: Final = Path("/tmp/nvidia-mps")
"""Where the daemon's socket lies unless the variable names another folder; NVIDIA calls both pipes."""
_PROCESSES: Final = Path("/proc")
_NAME: Final = "nvidia-cuda-mps"
"""The kernel keeps 15 letters of the names of the daemon and its servers."""

ADVICE: Final = (
    "trials that share a GPU take turns on it, and are together hardly faster than one; NVIDIA's MPS runs them side by "
    "side: 'nvidia-cuda-mps-control -d' before Ray starts"
)


def runs_mps(processes: Path = _PROCESSES) -> bool:
    """Say whether MPS runs on this machine, where processes of this one's environment would look for it.

    A daemon that was killed leaves its socket behind, and one that is told another folder is not found by a process
    that is not; the GPU is not asked.

    Args:
        processes: where the kernel shows them.
    """
    control = Path(os.environ.get(_VARIABLE) or _PIPES) / "control"
    with suppress(OSError):
        return stat.S_ISSOCK(control.stat().st_mode) and any(name.startswith(_NAME) for name in _read_names(processes))
    return False


def _read_names(processes: Path) -> Iterable[str]:
    for process in processes.glob("[0-9]*"):
        # Any may end meanwhile.
        with suppress(OSError):
            yield (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
