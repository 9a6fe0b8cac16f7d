"""What the commands share: the console, a progress bar, the choice of a machine, options of one meaning everywhere."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segcore.data.cache import Progress as ProgressCall
from segcore.errors import ConfigError, StorageError
from segcore.machine import Machine, detect_machine, require_device

console = Console(markup=False, emoji=False)
"""Prints what it is given: a path or a class name may hold brackets and colons."""

Data = Annotated[Path, typer.Argument(help="data-set folder")]
Model = Annotated[Path, typer.Argument(help="model directory")]
Folds = Annotated[int, typer.Option(help="parts the data is divided into")]
Device = Annotated[str, typer.Option(help="cpu, cuda:0, ...; empty: a GPU when there is one")]
CPUs = Annotated[int, typer.Option(help="processor cores to use")]
Cache = Annotated[Path, typer.Option(help="folder of decoded images")]

DEFAULT_CACHE = Path("~/.cache/street-search")


def choose_machine(device: str, cpus: int) -> Machine:
    """Return the machine that `--device` and `--cpus` name.

    Raises:
        ConfigError: when the device does not exist.
    """
    if not device:
        return detect_machine(cpus)
    parsed = _parse_device(device)
    found = detect_machine(cpus, use_gpu=parsed.type != "cpu")
    machine = Machine(device=device, loader_workers=found.loader_workers)
    require_device(machine)
    if machine.on_gpu and (parsed.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"--device {device}: the last GPU is cuda:{torch.cuda.device_count() - 1}; give that, or cpu."
        )
    return machine


def make_folder(folder: Path) -> None:
    """Make a folder of results, before the work whose results it takes.

    Raises:
        StorageError: when it cannot be made, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written to as a folder ({error.strerror or error}); choose another place."
        ) from error


@contextmanager
def show_progress(label: str, total: int | None = None, done: int = 0) -> Iterator[ProgressCall]:
    """Draw a bar that the yielded call moves; it is gone when the work is done."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda completed, total: bar.update(task, completed=completed, total=total)


def _parse_device(device: str) -> torch.device:
    with suppress(RuntimeError):
        parsed = torch.device(device)
        if parsed.type in ("cpu", "cuda"):
            return parsed
    raise ConfigError(f"--device {device!r} is none of cpu, cuda and cuda:N; leave it out for a GPU when there is one.")
