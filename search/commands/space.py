"""`space`: writes a search space that fits a data set and a device, for a person to edit."""

from pathlib import Path
from typing import Annotated

import typer

from search.commands.console import console, warn
from segcore.commands.strict import StrictCommand
from segcore.data.caching.disk import DEFAULT_CACHE, read_path, resolve_folder
from segcore.errors import ConfigError, StorageError

space_app = typer.Typer(help="Write a search space.", no_args_is_help=True)


@space_app.callback()
def _group() -> None:
    """Write a search space."""


@space_app.command(cls=StrictCommand)
def auto(
    data: Annotated[str, typer.Option(help="data-set folder, archive, or the address of one")],
    device_gib: Annotated[
        float | None, typer.Option(help="memory of the GPU that trials get; 0: a CPU; empty: this machine's")
    ] = None,
    layout: Annotated[str, typer.Option(help="of the data; empty: recognised")] = "",
    cache: Annotated[
        Path,
        typer.Option(parser=read_path, metavar="FOLDER", help="folder of decoded images, which a search here uses too"),
    ] = DEFAULT_CACHE,
    out: Annotated[Path | None, typer.Option(help="file to write, such as mine.py; left out: it is printed")] = None,
) -> None:
    """Make a space from the data's fingerprint, for --space mine:auto: `search space auto --data DATA --out mine.py`.

    Image sizes, class shares, the number of images and the device's memory decide crops, batches, networks and epochs.
    """
    if device_gib is not None and not 0 <= device_gib < 10_000:
        raise ConfigError(f"--device-gib {device_gib:g} is no memory of a GPU; give GiB, such as 24, or 0 for a CPU.")
    from search.commands.fingerprint import read_fingerprint
    from search.space.auto import write_space

    if out is not None and not (out.suffix == ".py" and out.stem.isidentifier()):
        raise ConfigError(f"--out {out} cannot be imported by --space; use letters, digits and _, such as mine.py.")
    found = read_fingerprint(data, layout, resolve_folder("cache", cache), device_gib)
    if out is None:
        typer.echo(write_space(found), nl=False)
        return
    _write_new(write_space(found, out.stem), out)
    if found.lacking:
        warn(f"Not drawn, for their ImageNet weights cannot be had here: {', '.join(found.lacking)}.")
    console.print(f"written: {out}; its first lines say how to launch it", soft_wrap=True)


def _write_new(text: str, file: Path) -> None:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise ConfigError(f"--out {file} is there already, and may hold changes; choose another name.") from None
    except OSError as error:
        raise StorageError(f"--out {file} cannot be written ({error}); choose another folder.") from error
