"""Commands on data and masks: check, streets, submit, score."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table

from segcore.commands.console import bring_shown, console, print_unread, show_progress, warn
from segcore.commands.groups import with_groups
from segcore.commands.options import Data, GivenDivision, LayoutName
from segcore.commands.report import print_report, print_verdict
from segcore.counting import count_words
from segcore.data.bringing import name_data
from segcore.data.check import inspect_dataset
from segcore.data.classes import CONTEST_CLASSES
from segcore.data.dataset import read_dataset
from segcore.data.listing import list_images, name_of
from segcore.data.names import tell_names
from segcore.errors import StorageError
from segcore.insight.page import require_writable, write_page
from segcore.insight.sheet import render_sheet
from segcore.scoring.mask_files import NOTES_FILE, read_mask_notes, read_masks, require_same_meaning
from segcore.scoring.masks import score_masks
from segcore.scoring.submission import write_submission
from segcore.streets.synthetic import write_streets

_MOST_NAMES: Final = 10


@with_groups
def check(
    data: Data,
    division: GivenDivision,
    layout: LayoutName = "",
    pictures: Annotated[Path | None, typer.Option(help="page of pictures to write and look at, .html")] = None,
) -> None:
    """Say what is in a data set, and everything that is wrong with it; exit 2 when something is."""
    if pictures is not None:
        require_writable(pictures)
    folder = bring_shown(data)
    with show_progress("decoding") as progress:
        report = inspect_dataset(folder, division, progress, layout)
    print_report(report)
    for images in report.dataset.images:
        print_unread(images, below=True)
    if pictures is not None and report.cases:
        write_page(render_sheet(report, name_data(data)), pictures)
        console.print(f"pictures: {pictures}", soft_wrap=True)
    print_verdict(report)


def streets(
    out: Annotated[Path, typer.Argument(help="new or empty folder for the data set")],
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
    masks: Annotated[Path, typer.Argument(help="folder of masks, as predict writes them")],
    out: Annotated[Path, typer.Argument(help="file to write, .json")],
    data: Annotated[
        str | None, typer.Option(help="data set whose classes count; empty: as predict noted, or the contest's")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="folder of the images that masks are of; empty: as predict noted them")
    ] = None,
    layout: LayoutName = "",
) -> None:
    """Write masks as the contest's submission JSON, by the file names of their images."""
    _require_submission_file(out, masks)
    notes = read_mask_notes(masks)
    table = (notes.classes or CONTEST_CLASSES) if data is None else read_dataset(bring_shown(data), layout).classes
    require_same_meaning(masks, notes.classes, table)
    names = notes.images if images is None else {name_of(file): file.name for file in list_images(images)}
    guessed: list[str] = []

    def name_image(mask: str) -> str:
        if mask not in names:
            guessed.append(mask)
        return names.get(mask, f"{mask}.jpg")

    write_submission(((name_image(name), mask_HW) for name, mask_HW in read_masks(masks, table)), out, table)
    if guessed:
        warn(
            f"{count_words(len(guessed), 'mask is', 'masks are')} "
            f"of images that nobody named, {guessed[0]} first; they are called NAME.jpg: if "
            "that is not so, give the images' folder by --images"
        )
    console.print(f"written to {out}", soft_wrap=True)


def _require_submission_file(out: Path, masks: Path) -> None:
    if out.suffix.lower() != ".json":
        raise StorageError(f"{out}: a submission is JSON and nothing else; call it {out.stem}.json.")
    if out.resolve() == (masks / NOTES_FILE).resolve():
        raise StorageError(f"{out} says which images the masks are of, and is not written over; choose another name.")


def score(
    truth: Data,
    masks: Annotated[Path, typer.Argument(help="folder of masks, or a submission file")],
    layout: LayoutName = "",
    boundaries: Annotated[bool, typer.Option("--boundaries", help="boundary_iou, too, which takes longer")] = False,
) -> None:
    """Score masks or a submission file against the truth, as the contest does: an image without a mask counts 0."""
    result = score_masks(bring_shown(truth), masks, layout, boundaries=boundaries)
    table = Table(box=box.SIMPLE, show_header=False)
    for name, value in result.metrics.items():
        table.add_row(name, f"{value:.4f}")
    console.print(table)
    console.print(f"{count_words(result.images, 'image')} scored")
    if not result.every_class and masks.is_dir():
        console.print("no miou: the masks hold background, and no class but the scored ones")
    if result.unknown:
        _warn_of(
            result.unknown,
            "classes of the data are none that the masks could hold: their pixels are missed",
            "class of the data is none that the masks could hold: its pixels are missed",
        )
    if result.missing:
        _warn_of(
            result.missing,
            "have no mask and count as background everywhere",
            "has no mask and counts as background everywhere",
        )
    if result.surplus:
        _warn_of(result.surplus, f"masks are of no image of {truth}", f"mask is of no image of {truth}")


def _warn_of(names: Sequence[str], what: str, one: str) -> None:
    warn(tell_names(what, names, _MOST_NAMES, one=one))
