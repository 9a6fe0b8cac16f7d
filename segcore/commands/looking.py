"""Commands that write a page to look at: explore, errors."""

from pathlib import Path
from typing import Annotated

import typer

from segcore.commands.console import (
    CPUs,
    Data,
    Device,
    FoldsFile,
    GivenFolds,
    LayoutName,
    Model,
    SplitName,
    bring_shown,
    choose_machine,
    console,
    show_progress,
)
from segcore.data.bringing import name_data
from segcore.data.dividing.division import choose_division
from segcore.insight.error_analysis import analyse_errors
from segcore.insight.error_report import describe_origin, render_errors
from segcore.insight.explore import explore_dataset
from segcore.insight.explore_page import render_exploration
from segcore.insight.page import require_writable, write_page

Page = Annotated[Path, typer.Argument(help="page to write, .html")]


def explore(
    data: Data,
    out: Page,
    folds: GivenFolds = None,
    split: SplitName = "folds",
    folds_file: FoldsFile = None,
    layout: LayoutName = "",
) -> None:
    """Write a page that shows what is in a data set: classes, groups, folds, object sizes, examples, problems.

    The folds of a search are those of its folds.json: --folds-file searches/NAME/folds.json.
    """
    division = choose_division(split, folds, folds_file)
    require_writable(out)
    folder = bring_shown(data)
    with show_progress("decoding") as progress:
        exploration = explore_dataset(folder, division, progress, layout)
    write_page(render_exploration(exploration, name_data(data)), out)
    problems = len(exploration.report.problems)
    if problems:
        console.print(f"{problems} problem(s), listed on the page", style="yellow")
    console.print(f"written to {out}", soft_wrap=True)


def errors(
    model: Model,
    data: Data,
    out: Page,
    images: Annotated[int | None, typer.Option(help="predict at most so many; empty: all")] = None,
    every_image: Annotated[bool, typer.Option("--every-image", help="also images that the model trained on")] = False,
    folds: Annotated[Path | None, typer.Option(help="folds.json of the training; empty: found or made again")] = None,
    layout: LayoutName = "",
    device: Device = "",
    cpus: CPUs = 2,
) -> None:
    """Write a page that shows what a model does wrong: classes, confusions, places, sizes, worst and best images.

    Each image is predicted by the networks that did not train on it; where there are such images, only they are shown.
    """
    require_writable(out)
    folder = bring_shown(data)
    with show_progress("predicting") as progress:
        analysis = analyse_errors(
            model,
            folder,
            choose_machine(device, cpus),
            progress,
            images=images,
            every_image=every_image,
            folds_file=folds,
            layout=layout,
        )
    write_page(render_errors(analysis, str(model), name_data(data)), out)
    for text, warns in describe_origin(analysis):
        console.print(text, style="yellow" if warns else None, soft_wrap=True)
    console.print(f"written to {out}", soft_wrap=True)
