"""Commands that put a finished model to further use: pseudo-label, export."""

from pathlib import Path
from typing import Annotated

import typer

from segcore.commands.console import console, print_unread, require_all_read, show_progress, warn
from segcore.commands.groups import with_groups
from segcore.commands.options import CPUs, GivenMachine, Model, choose_machine
from segcore.commands.report import counts_table
from segcore.counting import count_words
from segcore.data.listing import list_images
from segcore.errors import ConfigError
from segcore.machine import Machine
from segcore.prediction.ensemble_files import load_ensemble
from segcore.prediction.pseudo_label import PseudoOptions, PseudoReport, write_pseudo_labels

_DEFAULTS = PseudoOptions()


@with_groups
def pseudo_label(
    model: Model,
    images: Annotated[Path, typer.Argument(help="folder of images without labels")],
    out: Annotated[Path, typer.Argument(help="new or empty folder for the data set")],
    confidence: Annotated[float, typer.Option(help="least probability of a pixel that is labelled")] = (
        _DEFAULTS.confidence
    ),
    min_share: Annotated[float, typer.Option(help="least share of such pixels of an image that is kept")] = (
        _DEFAULTS.min_share
    ),
    prefix: Annotated[str, typer.Option(help="put before the images' names")] = _DEFAULTS.prefix,
    *,
    machine: GivenMachine,
) -> None:
    """Label images with a model where it is sure, as a data set for `train --extra`; other pixels are void.

    A model of labels=scored has no class for its background, unless all but one are scored: that is void too.
    Images that cannot be read are listed at the end, and the command ends with 1.
    """
    options = PseudoOptions(confidence=confidence, min_share=min_share, prefix=prefix)
    list_images(images)
    print_unread(images)
    ensemble = load_ensemble(model, machine)
    with show_progress("labelling") as progress:
        report = write_pseudo_labels(ensemble, images, out, options, progress)
    _print_report(report)
    console.print(f"{count_words(report.images, 'image')}: {out}; train on them with --extra {out}", soft_wrap=True)
    require_all_read(report.unread, report.images + len(report.skipped) + len(report.unread))


def export(
    model: Model,
    out: Annotated[Path, typer.Argument(help="file to write, .onnx")],
    member: Annotated[int | None, typer.Option(help="which network, 0-based, where the model has several")] = None,
    height: Annotated[int | None, typer.Option(help="only height that the file takes, pixels; with --width")] = None,
    width: Annotated[int | None, typer.Option(help="only width that the file takes, pixels; with --height")] = None,
    half: Annotated[bool, typer.Option("--half", help="keep weights in 16 bits: half the size")] = False,
    cpus: CPUs = 2,
) -> None:
    """Write a network as ONNX, uint8 RGB in, probabilities out, and compare its answers with PyTorch's."""
    # Where a home cannot be written it complains on import, which no other command is to be bothered by.
    from segcore.prediction.export import OPSET, export_onnx

    if (height is None) != (width is None):
        raise ConfigError("--height and --width belong together; give both for one size, or none for any size.")
    choose_machine("cpu", cpus)
    size = None if height is None or width is None else (height, width)
    report = export_onnx(load_ensemble(model, Machine()), out, member=member, size=size, half=half)
    shapes = ", ".join(f"{batch} of {width}x{height}" for batch, height, width, _ in report.checked_shapes)
    console.print(
        f"{out}: opset {OPSET}; largest difference of a probability from PyTorch's {report.largest_difference:.1e} "
        f"({shapes}); {out.stat().st_size / 2**20:.1f} MiB",
        soft_wrap=True,
    )


def _print_report(report: PseudoReport) -> None:
    table = counts_table(("class",), ("sure pixels", "share", "images"))
    for name, pixels in report.pixels_of_class.items():
        table.add_row(name, f"{pixels:,}", f"{pixels / report.pixels:.2%}", str(report.images_of_class[name]))
    console.print(table)
    sure = sum(report.pixels_of_class.values())
    console.print(f"{sure / report.pixels:.1%} of the pixels are sure")
    if report.skipped:
        names = ", ".join(report.skipped[:5])
        warn(f"{count_words(len(report.skipped), 'image has', 'images have')} too few sure pixels: {names}")
