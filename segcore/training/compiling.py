"""Compiled training steps: fewer, larger kernels, used only where they save more time than compiling takes.

Networks of hundreds of small operations keep a GPU waiting for the CPU that calls them one by one. A compiled network
is tried, and timed beside the plain one, before the first epoch: it is kept when it works and is faster. It shares the
weights of the plain one, which validates and is saved. Compiled code is kept for the next training of a like network,
which runs it: by itself torch keeps it in a folder of /tmp that anyone may have made before.
"""

import atexit
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from segcore.feeding.batch import Batch
from segcore.machine import Machine, autocast, is_memory_error, wait_for_device
from segcore.scratch import clear_left, locked_folder
from segcore.training.epoch import set_training
from segcore.training.losses import Loss
from segcore.training.state import TrainState

_COMPILE_SECONDS: Final = 90.0
"""Assumed: after 70 s beside an H200 the benchmark's network was not compiled."""
_SAVED_SHARE: Final = 0.2
"""Assumed share of a step that is saved."""
_TIMED_STEPS: Final = 3
_REASON_CHARACTERS: Final = 120
_KEPT_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"
_PREFIX: Final = "street-compiled-"

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledNetwork:
    """A network compiled for batches of one shape; others go through the plain one.

    Args:
        compiled: for pixels of the shape.
        plain: for any.
        shape: of the pixels, (N, H, W, 3).
    """

    compiled: Forward
    plain: Forward
    shape: torch.Size

    def __call__(self, images_NHW3: Tensor) -> Tensor:
        """Return logits."""
        return (self.compiled if images_NHW3.shape == self.shape else self.plain)(images_NHW3)


def keep_compiled(cache_root: Path) -> None:
    """Let all trainings of this machine share what is compiled, in a folder of this user alone.

    Where that cannot be had, it is kept for as long as this process lives; what killed ones left is deleted. A folder
    that a person has named stays; torch names its own as soon as it is imported.

    Args:
        cache_root: folder of this machine's caches.
    """
    named = Path(os.environ.get(_KEPT_VARIABLE, "")).name
    # Where a process that started this one has its temporary files elsewhere, so is torch's.
    if named not in ("", Path(default_cache_dir()).name):
        return
    folder = cache_root / f"compiled-{os.getuid()}"
    if not _make_own(folder):
        temporary, closing = Path(tempfile.gettempdir()), ExitStack()
        clear_left(_PREFIX, temporary)
        folder = closing.enter_context(locked_folder(_PREFIX, temporary))
        atexit.register(closing.close)
    os.environ[_KEPT_VARIABLE] = str(folder)


def _make_own(folder: Path) -> bool:
    """Make a folder, and say whether nobody else can write into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def pays(steps: int, step_seconds: float) -> bool:
    """Say whether so many steps win back what compiling takes, by what is assumed of both."""
    return _SAVED_SHARE * steps * step_seconds > _COMPILE_SECONDS


def choose_forward(state: TrainState, batch: Batch, loss: Loss, machine: Machine, steps: int) -> str:
    """Let a training use a compiled network where that is asked for, or pays; the weights stay as they are.

    Args:
        state: a training; `forward` is set where its network is compiled.
        batch: of the only shape that its steps have.
        loss: of logits and targets.
        machine: where the training is, and whether it compiles.
        steps: that it has yet to take.

    Returns:
        Why the network is not compiled, where it was tried or asked for; empty otherwise, and where there was too
        little memory.
    """
    if machine.compile == "off" or (machine.compile == "auto" and not machine.on_gpu):
        return ""
    if state.auxiliary is not None:
        told = "the network is not compiled: auxiliary_weight looks into its encoder at every step"
        return told if machine.compile == "on" else ""
    buffers = {name: buffer.clone() for name, buffer in state.model.named_buffers()}
    try:
        plain_seconds = time_step(state, state.model, batch, loss, machine)
        if machine.compile == "auto" and not pays(steps, plain_seconds):
            return ""
        # A worker's former trainings count towards the number of shapes after which nothing more is compiled.
        torch._dynamo.reset()
        compiled = torch.compile(state.model, dynamic=False)
        seconds = time_step(state, compiled, batch, loss, machine)
    # A compiler fails in many ways, and a training without it is as good.
    except Exception as error:
        if is_memory_error(error):
            return ""
        reason = str(error).strip().partition("\n")[0][:_REASON_CHARACTERS]
        return f"the network is not compiled ({type(error).__name__}: {reason}); it trains as well, not as fast"
    finally:
        _restore(state, buffers)
    if seconds > plain_seconds and machine.compile == "auto":
        return f"the compiled network takes {1000 * seconds:.0f} ms a step, the plain one {1000 * plain_seconds:.0f}"
    state.forward = CompiledNetwork(compiled=compiled, plain=state.model, shape=batch.images_NHW3.shape)
    return ""


def time_step(state: TrainState, forward: Forward, batch: Batch, loss: Loss, machine: Machine) -> float:
    """Return the seconds of a forward and backward pass, after one to warm up."""
    images_NHW3, target_NHW = batch.images_NHW3.to(machine.device), batch.target_NHW.to(machine.device)
    set_training(state)

    def run() -> None:
        with autocast(state.config, machine):
            logits_NCHW = forward(images_NHW3)
        loss(logits_NCHW, target_NHW).backward()  # type: ignore[no-untyped-call]

    run()
    wait_for_device(machine)
    started = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        run()
    wait_for_device(machine)
    return (time.perf_counter() - started) / _TIMED_STEPS


def _restore(state: TrainState, buffers: dict[str, Tensor]) -> None:
    state.optimizer.zero_grad()
    with torch.no_grad():
        for name, buffer in state.model.named_buffers():
            buffer.copy_(buffers[name])
