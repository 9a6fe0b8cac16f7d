"""Commands that take in data of other people's layouts: init, import coco, import masks."""

import re
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.style import Style
from rich.text import Text

from segcore.commands.console import console, show_progress, warn
from segcore.commands.report import counts_table
from segcore.commands.strict import StrictCommand
from segcore.counting import count_words
from segcore.data.class_masks import import_class_masks
from segcore.data.classes import VOID
from segcore.data.coco.conversion import CocoReport, import_coco
from segcore.data.fetched import is_fetched
from segcore.data.names import list_first
from segcore.data.sources.advice import check_command, init_command
from segcore.data.sources.described import is_described, pair_files
from segcore.data.sources.description import DESCRIPTION_FILE, refuse_foreign
from segcore.data.sources.draft import Draft, draft_description, save_draft
from segcore.data.sources.first_look import find_patterns
from segcore.data.sources.layouts import LAYOUTS
from segcore.data.sources.mask_values import MaskValues, count_values, find_doubts
from segcore.data.sources.match import Patterns
from segcore.data.sources.one_class import doubt_class_masks
from segcore.data.sources.patterns import find_mismatch, find_pattern_fault
from segcore.data.unpacking import is_archive
from segcore.errors import ConfigError, DataError, StorageError

import_app = typer.Typer(help="Write a data set from other people's files.", no_args_is_help=True)

_MOST_TOLD = 10
_NUMBERED = re.compile(r"(.*\D)\d+")
_PLAIN_LAYOUTS = ("described", "pairs")


def init(
    data: Annotated[Path, typer.Argument(help="folder of this machine")],
    images: Annotated[str, typer.Option(help="where images lie, such as 'photos/{name}.jpg'; empty: found")] = "",
    masks: Annotated[str, typer.Option(help="where masks lie, such as 'truth/**/{name}_label.png'")] = "",
    force: Annotated[bool, typer.Option("--force", help="write over a dataset.json, or beside a known layout")] = False,
) -> None:
    """Look at a folder, count what its masks have, and write a first dataset.json, whose classes you name."""
    _require_free(data, force or bool(images))
    refuse_foreign(data / DESCRIPTION_FILE)
    if is_described(data) and not force:
        raise StorageError(f"{data / DESCRIPTION_FILE} is there already; edit it, or write a new one with --force.")
    _require_writable(data)
    patterns = _choose_patterns(data, images, masks)
    found = pair_files(data, patterns.images, patterns.masks)
    if not found.pairs:
        raise DataError(f"{data}: no file of {patterns.images} has one of {patterns.masks}:", found.problems)
    files = [mask.file for _, mask in found.pairs]
    with show_progress("counting") as progress:
        values = count_values(files, progress)
    draft = draft_description(data, patterns, values, files)
    _print_values(patterns, values, draft)
    tests = [f"left out: {count_words(patterns.tests, 'image')} in folders for testing"] if patterns.tests else []
    doubts = [*find_doubts(values, files), *doubt_class_masks(data, patterns, values)]
    for line in (*tests, *found.notes[1:], *found.problems[:_MOST_TOLD], *doubts):
        warn(line)
    if len(found.problems) > _MOST_TOLD:
        console.print(f"and {len(found.problems) - _MOST_TOLD} more; 'check' lists them all", style="yellow")
    _print_next(data, save_draft(draft, data), draft)


@import_app.command(name="coco", cls=StrictCommand)
def coco(
    annotations: Annotated[Path, typer.Argument(help="COCO file of outlined objects, .json")],
    images: Annotated[Path, typer.Argument(help="folder that the file names in it start from")],
    out: Annotated[Path, typer.Argument(help="new or empty folder for the data set")],
    crowd: Annotated[str, typer.Option(help="what areas of objects not told apart are: void, or class")] = "void",
) -> None:
    """Write the objects of a COCO file as a data set of index masks; of objects that overlap the smaller is on top."""
    if crowd not in ("void", "class"):
        raise ConfigError(f"--crowd {crowd!r}: use void, or class, which gives these areas the class of their objects.")
    with show_progress("drawing") as progress:
        report = import_coco(annotations, images, out, "void" if crowd == "void" else "class", progress)
    table = counts_table(("number", "class"), ("objects",))
    for number, name in report.names.items():
        table.add_row(str(number), name, f"{report.objects[name]:,}" if number else "")
    console.print(table)
    for line in _describe_import(report, crowd):
        console.print(line, soft_wrap=True)
    _print_written(report.images, out)


@import_app.command(name="masks", cls=StrictCommand)
def masks(
    data: Annotated[Path, typer.Argument(help="folder of images, and of masks of one class each")],
    out: Annotated[Path, typer.Argument(help="new or empty folder for the data set")],
    images: Annotated[str, typer.Option(help="where images lie, such as 'images/{name}.jpg'")],
    masks: Annotated[str, typer.Option(help="where masks lie, such as 'masks/{class}/{name}.png'")],
) -> None:
    """Put masks of one class each together as index masks; of classes that overlap the smaller is on top."""
    if not data.is_dir():
        raise DataError(f"{data} is no folder; give the folder that images and masks lie below.")
    _require_pattern("--images", images, find_pattern_fault(images))
    _require_pattern("--masks", masks, find_pattern_fault(masks, of_one_class=True))
    with show_progress("putting together") as progress:
        report = import_class_masks(data, images, masks, out, progress)
    table = counts_table(("number", "class"), ("pixels", "share", "images"))
    total = report.pixels.total()
    for number, name in (*report.names.items(), *((VOID, f"{name} (void)") for name in report.void)):
        pixels = report.pixels[number]
        table.add_row(str(number), name, f"{pixels:,}", f"{pixels / total:.2%}", f"{report.images_of[number]:,}")
    console.print(table)
    told = f"{count_words(report.overlapping, 'pixel belongs', 'pixels belong')} to more than one class"
    console.print(f"{told}: that of fewer pixels in all masks has them", soft_wrap=True)
    if 2 * report.overlapping > total:
        warn("these are most of all pixels: look whether classes are black in their masks, and all else white")
    numbered = {name: stem[1] for name in report.names.values() if (stem := _NUMBERED.fullmatch(name))}
    if len({*numbered.values()}) < len(numbered):
        warn(
            f"classes that differ in a number: {list_first(sorted(numbered))}; if it tells objects of a class apart, "
            "write * in its place, as in '{name}_{class}_*.png', which unites them"
        )
    if report.bare:
        told = count_words(report.bare, "image has", "images have")
        warn(f"left out: {told} no mask; where no class is in an image, one black mask says so")
    _print_written(report.images, out)


def _print_written(images: int, out: Path) -> None:
    console.print(f"{count_words(images, 'image')}: {out}", soft_wrap=True)
    console.print(f"next:\n  {check_command(out)}", soft_wrap=True, highlight=False)


def _describe_import(report: CocoReport, crowd: str) -> list[str]:
    lines = [
        f"{count_words(report.overlapping, 'pixel belongs', 'pixels belong')} "
        "to more than one object: the smaller object has them"
    ]
    if report.crowds:
        crowds = count_words(report.crowds, "area")
        lines.append(f"{crowd}, below all objects: {crowds} of objects not told apart (iscrowd)")
    if report.void:
        lines.append(f"void by their names: {list_first(report.void)}")
    if report.vanished:
        lines.append(
            f"{count_words(report.vanished, 'object has', 'objects have')} "
            "no pixel: too small, outside of the image, or covered by smaller ones"
        )
    if report.blank:
        lines.append(f"no object, so all background: {count_words(report.blank, 'image')}")
    return lines


def _require_free(data: Path, chosen: bool) -> None:
    if not data.is_dir():
        told = "an archive; unpack it first, and" if is_archive(data.name) else "no folder;"
        raise DataError(f"{data} is {told} give the folder of a data set.")
    if is_fetched(data):
        raise DataError(
            f"{data} was fetched or unpacked by an earlier command, and what is written there is lost once it is anew; "
            f"unpack or copy the data into a folder of your own, describe that by {DESCRIPTION_FILE}, and give it."
        )
    known = next((one for one in LAYOUTS if one.name not in _PLAIN_LAYOUTS and one.recognise(data)), None)
    if known is not None and not chosen:
        raise DataError(
            f"{data} has the layout {known.name} ({known.form}) and needs no {DESCRIPTION_FILE}: go on with "
            f"'{check_command(data)}', or write one all the same with '{init_command(data, force=True)}'."
        )


def _require_writable(data: Path) -> None:
    # Counting takes minutes, and what is described lies beside its description.
    try:
        with tempfile.TemporaryFile(dir=data):
            return
    except OSError as error:
        raise StorageError(
            f"{data} cannot be written ({error.strerror or error}), where {DESCRIPTION_FILE} is to lie; let this user "
            "write there, or give a copy of the folder that lies where that is allowed."
        ) from error


def _choose_patterns(data: Path, images: str, masks: str) -> Patterns:
    if bool(images) != bool(masks):
        raise ConfigError("--images and --masks belong together; give both, or none to have them found.")
    if not images:
        found = find_patterns(data)
        for text in (found.images, found.masks):
            if fault := find_pattern_fault(text):
                raise DataError(f"{data}: the files {text} cannot be described, for this {fault}; rename the folders.")
        return found
    for option, text in (("--images", images), ("--masks", masks)):
        _require_pattern(option, text, find_pattern_fault(text))
    if mismatch := find_mismatch(images, masks):
        raise ConfigError(f"{mismatch}.")
    return Patterns(images=images, masks=masks)


def _require_pattern(option: str, text: str, fault: str) -> None:
    if fault:
        raise ConfigError(f"{option} {text!r} {fault}{'' if fault.endswith('?') else '.'}")


def _print_values(patterns: Patterns, values: MaskValues, draft: Draft) -> None:
    console.print(f"{count_words(values.masks, 'image')} {patterns.images} with masks {patterns.masks}", soft_wrap=True)
    table = counts_table(("colour" if values.kind == "rgb" else "number", "name"), ("pixels", "share", "images"))
    total = values.pixels.total()
    for code in (*draft.name_of, *draft.void):
        pixels = values.pixels[code]
        name = draft.name_of.get(code, "(void)")
        shown = Text(values.encoding.name_code(code))
        if values.kind == "rgb":
            shown = Text("  ", Style(bgcolor=f"rgb{values.encoding.name_code(code)}".replace(" ", ""))) + " " + shown
        table.add_row(shown, name, f"{pixels:,}", f"{pixels / total:.2%}", f"{values.images[code]:,}")
    console.print(table)


def _print_next(data: Path, file: Path, draft: Draft) -> None:
    names = f"names from {draft.source}" if draft.source else "nothing names the classes"
    console.print(f"written: {file} ({names})", soft_wrap=True)
    quoted = shlex.quote(str(data))
    steps: Sequence[str] = (
        *(
            [f"edit {file}: name {count_words(draft.unnamed, 'class', 'classes')}; it can be used as it is, too"]
            if draft.unnamed
            else []
        ),
        check_command(data),
        f"python -m segcore explore {quoted} data.html    (which class is where)",
        f"python -m search launch --data {quoted} --name first",
    )
    console.print("next:")
    for step in steps:
        console.print(f"  {step}", soft_wrap=True, highlight=False)
