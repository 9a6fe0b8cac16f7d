"""Commands on data and masks: check, streets, submit, score."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from segcore.commands.console import Data, Folds, console, print_unread, show_progress
from segcore.commands.report import print_report, print_verdict
from segcore.data.check import inspect_dataset
from segcore.data.classes import CONTEST_CLASSES, read_class_table
from segcore.data.sources.contest import IMAGES_FOLDER
from segcore.insight.page import require_writable, write_page
from segcore.insight.sheet import render_sheet
from segcore.scoring.masks import read_colour_masks, score_masks
from segcore.scoring.submission import write_submission
from segcore.streets.synthetic import write_streets


def check(
    data: Data,
    folds: Folds = 7,
    pictures: Annotated[Path | None, typer.Option(help="page of pictures to write and look at, .html")] = None,
) -> None:
    """Say what is in a data set, and everything that is wrong with it; exit 2 when something is."""
    if pictures is not None:
        require_writable(pictures)
    with show_progress("decoding") as progress:
        report = inspect_dataset(data, folds, progress)
    print_report(report)
    print_unread(data / IMAGES_FOLDER)
    if pictures is not None and report.cases:
        write_page(render_sheet(report, data.resolve().name), pictures)
        console.print(f"pictures: {pictures}", soft_wrap=True)
    print_verdict(report)


def streets(
    out: Annotated[Path, typer.Argument(help="empty folder for the data set")],
    cases: Annotated[int, typer.Option(help="labelled images")] = 96,
    height: Annotated[int, typer.Option(help="pixels")] = 128,
    width: Annotated[int, typer.Option(help="pixels")] = 192,
    test_cases: Annotated[int, typer.Option(help="images without labels")] = 8,
    seed: Annotated[int, typer.Option(help="another seed draws other streets")] = 0,
) -> None:
    """Draw the demo's street scenes in the contest's layout."""
    write_streets(out, cases=cases, height=height, width=width, seed=seed, test_cases=test_cases)
    console.print(f"{cases} labelled and {test_cases} other street scenes in {out}", soft_wrap=True)


def submit(
    masks: Annotated[Path, typer.Argument(help="folder of colour masks, as predict writes them")],
    out: Annotated[Path, typer.Argument(help="file to write, .json")],
    data: Annotated[Path | None, typer.Option(help="data set whose classes count; empty: the contest's")] = None,
) -> None:
    """Write masks as the contest's submission JSON."""
    table = CONTEST_CLASSES if data is None else read_class_table(data)
    named = ((f"{name}.jpg", mask_HW) for name, mask_HW in read_colour_masks(masks, table))
    write_submission(named, out, table)
    console.print(f"written to {out}", soft_wrap=True)


def score(
    truth: Annotated[Path, typer.Argument(help="data-set folder with the truth")],
    masks: Annotated[Path, typer.Argument(help="folder of colour masks, or a submission file")],
) -> None:
    """Score masks or a submission file against the truth, as the contest does."""
    result = score_masks(truth, masks)
    table = Table(box=box.SIMPLE, show_header=False)
    for name, value in result.metrics.items():
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    console.print(f"{result.images} images scored")
    if result.missing:
        console.print(f"{len(result.missing)} without a mask, {result.missing[0]} first", style="yellow")
