"""Commands that write a page to look at: explore, errors."""

from pathlib import Path
from typing import Annotated

import typer

from segcore.commands.console import bring_shown, console, show_progress
from segcore.commands.groups import group_of, with_groups
from segcore.commands.options import Data, GivenDivision, GivenMachine, LayoutName, Model
from segcore.counting import count_words
from segcore.data.bringing import name_data
from segcore.insight.error_analysis import Selection, analyse_errors
from segcore.insight.error_report import describe_origin, render_errors
from segcore.insight.explore import explore_dataset
from segcore.insight.explore_page import render_exploration
from segcore.insight.page import require_writable, write_page

Page = Annotated[Path, typer.Argument(help="page to write, .html")]


@with_groups
def explore(data: Data, out: Page, division: GivenDivision, layout: LayoutName = "") -> None:
    """Write a page that shows what is in a data set: classes, groups, folds, object sizes, examples, problems.

    The folds of a search are those of its folds.json: --folds-file searches/NAME/folds.json.
    """
    require_writable(out)
    folder = bring_shown(data)
    with show_progress("decoding") as progress:
        exploration = explore_dataset(folder, division, progress, layout)
    write_page(render_exploration(exploration, name_data(data)), out)
    problems = len(exploration.report.problems)
    if problems:
        console.print(f"{count_words(problems, 'problem')}, listed on the page", style="yellow")
    console.print(f"written to {out}", soft_wrap=True)


def select_images(
    images: Annotated[int | None, typer.Option(help="predict at most so many; empty: all")] = None,
    every_image: Annotated[bool, typer.Option("--every-image", help="also images that the model trained on")] = False,
    folds: Annotated[Path | None, typer.Option(help="folds.json of the training; empty: found or made again")] = None,
) -> Selection:
    """Return which images a model's mistakes are counted on."""
    return Selection(images=images, every_image=every_image, folds_file=folds)


@with_groups
def errors(
    model: Model,
    data: Data,
    out: Page,
    selection: Annotated[Selection, group_of(select_images)],
    layout: LayoutName = "",
    *,
    machine: GivenMachine,
) -> None:
    """Write a page that shows what a model does wrong: classes, confusions, places, sizes, worst and best images.

    Each image is predicted by the networks that did not train on it; where there are such images, only they are shown.
    """
    require_writable(out)
    folder = bring_shown(data)
    with show_progress("predicting") as progress:
        analysis = analyse_errors(model, folder, machine, progress, selection, layout)
    write_page(render_errors(analysis, str(model), name_data(data)), out)
    for text, warns in describe_origin(analysis):
        console.print(text, style="yellow" if warns else None, soft_wrap=True)
    console.print(f"written to {out}", soft_wrap=True)
