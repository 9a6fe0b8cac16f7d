"""What the commands share: the console, a progress bar, the choice of a machine, options of one meaning everywhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segcore.cache import Progress as ProgressCall
from segcore.machine import Machine, detect_machine, require_device

console = Console()

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
    found = detect_machine(cpus)
    machine = Machine(device=device, loader_workers=found.loader_workers) if device else found
    require_device(machine)
    return machine


@contextmanager
def show_progress(label: str, total: int | None = None, done: int = 0) -> Iterator[ProgressCall]:
    """Draw a bar that the yielded call moves; it is gone when the work is done."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda completed, total: bar.update(task, completed=completed, total=total)
