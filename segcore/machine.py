"""What a training runs on: device, loader processes, arithmetic; no choice of the search depends on it."""

import contextlib
import ctypes
from dataclasses import dataclass
from typing import Final, Literal

import torch

from segcore.config import TrainConfig
from segcore.errors import ConfigError

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_MAX: Final = -4
"""Names of mallopt(3)."""

_LARGEST_INT: Final = 2**31 - 1

_MEMORY_SIGNS: Final = (
    "out of memory",
    "allocate memory",
    "alloc_failed",
    "unable to find a valid cudnn algorithm",
    "unable to find an engine",
)
"""What torch, cuDNN and cuBLAS say, in small letters, when there is too little memory for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where a training runs.

    Args:
        device: torch device, such as `cpu` or `cuda:0`.
        loader_workers: processes that cut and augment samples; 0 does it between steps.
        compile: whether a training's network is compiled: auto where that pays, see `segcore.training.compiling`.
    """

    device: str = "cpu"
    loader_workers: int = 0
    compile: Literal["auto", "on", "off"] = "auto"

    @property
    def device_type(self) -> str:
        """`cuda` or `cpu`."""
        return self.device.partition(":")[0]

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a CUDA GPU."""
        return self.device.startswith("cuda")


def detect_machine(cpus: int, *, use_gpu: bool = True) -> Machine:
    """Return the first visible GPU with loader workers beside it, or the CPU.

    Args:
        cpus: processor cores that this training may use; one drives the device, the others load.
        use_gpu: whether a GPU may be used.
    """
    if use_gpu and torch.cuda.is_available():
        return Machine(device="cuda:0", loader_workers=max(1, cpus - 1))
    torch.set_num_threads(max(1, cpus))
    reuse_freed_memory()
    return Machine(device="cpu", loader_workers=0)


def name_device(machine: Machine) -> str:
    """Return what the GPU is called by its maker, or `cpu`."""
    return torch.cuda.get_device_name(machine.device) if machine.on_gpu else machine.device


def require_device(machine: Machine) -> None:
    """Raise `ConfigError` when the device does not exist."""
    if machine.on_gpu and not torch.cuda.is_available():
        raise ConfigError(f"device={machine.device!r}: no GPU is visible; use --device cpu or check the driver.")


def autocast(config: TrainConfig, machine: Machine) -> torch.autocast:
    """Return the context in which the network runs at the configuration's precision; no CPU computes well in fp16."""
    # Older GPUs emulate it, at the price of speed.
    bf16_pays = machine.on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    use_bf16 = config.precision == "bf16" or (config.precision == "auto" and bf16_pays)
    use_fp16 = config.precision == "fp16" and machine.on_gpu
    dtype = torch.float16 if use_fp16 else torch.bfloat16
    return torch.autocast(machine.device_type, dtype=dtype, enabled=use_bf16 or use_fp16)


def build_scaler(config: TrainConfig, machine: Machine) -> torch.amp.GradScaler:
    """Return what scales the loss of fp16 so that small gradients survive; it does nothing at other precisions."""
    return torch.amp.GradScaler(machine.device_type, enabled=config.precision == "fp16")


def reuse_freed_memory() -> None:
    """Let the C library keep freed memory for the next tensors; does nothing where it is not glibc.

    By default glibc hands every large block back to the system when it is freed, and the next one of its size is
    cleared page by page: a fifth of what a training takes on a CPU. See mallopt(3).
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)


def peak_memory_gib(machine: Machine) -> float:
    """Return the most memory that tensors took on the GPU so far, in GiB; 0 on the CPU."""
    return torch.cuda.max_memory_allocated(machine.device) / 2**30 if machine.on_gpu else 0.0


def wait_for_device(machine: Machine) -> None:
    """Return when the GPU has done what it was told; a CPU has done it already."""
    if machine.on_gpu:
        torch.cuda.synchronize(machine.device)


def is_memory_error(error: Exception) -> bool:
    """Say whether an error of torch, cuDNN, cuBLAS or Python means that memory ran out."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in text for sign in _MEMORY_SIGNS)
