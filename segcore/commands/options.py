"""Options of one meaning everywhere: of data, of its division, of a model, and of the machine."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from segcore.commands.groups import group_of
from segcore.data.caching.disk import read_path
from segcore.data.dividing.division import Division, choose_division
from segcore.data.dividing.split import DEFAULT_FOLDS
from segcore.data.sources.layouts import LAYOUTS
from segcore.data.unpacking import SUFFIXES
from segcore.errors import ConfigError, DeviceMemoryError
from segcore.machine import Machine, detect_machine, is_memory_error, require_device
from segcore.scoring.objective import METRIC_HELP

Data = Annotated[
    str,
    typer.Argument(help=f"data-set folder, archive ({', '.join(SUFFIXES)}), or the address of one: s3://BUCKET/FOLDER"),
]
LayoutName = Annotated[
    str,
    typer.Option("--layout", help=f"of the data: {', '.join(layout.name for layout in LAYOUTS)}; empty: recognised"),
]
Model = Annotated[Path, typer.Argument(help="model directory")]
Objective = Annotated[str, typer.Option(help=f"metric that decides: {METRIC_HELP}")]
Device = Annotated[str, typer.Option(help="cpu, cuda:0, ...; empty: a GPU when there is one")]
CPUs = Annotated[int, typer.Option(help="processor cores to use")]
Cache = Annotated[Path, typer.Option(parser=read_path, metavar="FOLDER", help="folder of decoded images")]


def read_division(
    folds: Annotated[
        int | None, typer.Option(help="parts the data is divided into", show_default=str(DEFAULT_FOLDS))
    ] = None,
    split: Annotated[str, typer.Option(help="folds, or official: the train and val that came with the data")] = "folds",
    folds_file: Annotated[Path | None, typer.Option(help="your own folds, as JSON or CSV: name,fold")] = None,
) -> Division:
    """Return how the data is to be divided, see `choose_division`."""
    return choose_division(split, folds, folds_file)


def choose_machine(device: Device = "", cpus: CPUs = 2) -> Machine:
    """Return the machine that `--device` and `--cpus` name.

    Raises:
        ConfigError: when the device does not exist, or there is no core to use.
    """
    if cpus < 1:
        raise ConfigError(f"--cpus {cpus}: at least one processor core computes; use 1 or more.")
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


def as_full_device(error: Exception) -> DeviceMemoryError | None:
    """Return what to tell where a network was sent to a device that others have filled; None of any other error.

    What computes names by itself what it can do without.
    """
    if not is_memory_error(error):
        return None
    first = (str(error) or type(error).__name__).partition("\n")[0].rstrip(".")
    return DeviceMemoryError(
        f"There is too little memory ({first}); end what else uses it, or, where it is a GPU's, use --device cpu."
    )


def _parse_device(device: str) -> torch.device:
    try:
        parsed = torch.device(device)
        if parsed.type in ("cpu", "cuda"):
            return parsed
    except RuntimeError:
        pass
    raise ConfigError(f"--device {device!r} is none of cpu, cuda and cuda:N; leave it out for a GPU when there is one.")


GivenDivision = Annotated[Division, group_of(read_division)]
GivenMachine = Annotated[Machine, group_of(choose_machine)]
