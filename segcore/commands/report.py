"""Prints what `check` found in a data set, and makes the tables of counts that other commands show, too."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.table import Table

from segcore.commands.console import console
from segcore.counting import count_words
from segcore.data.check import DataReport
from segcore.data.dividing.given_folds import describe_division
from segcore.data.gate import describe_findings
from segcore.data.names import list_first
from segcore.errors import DataError

_MOST_CODES: Final = 3
_MOST_GROUPS: Final = 10
_WIDE: Final = 80
"""Columns of a terminal from which on pixels are counted beside their share."""


def print_report(report: DataReport) -> None:
    """Print what was understood, the counts, and what should be looked at."""
    lines = describe_findings(report.dataset, report.findings)
    _print_lines([line for line in lines if not line[1]])
    console.print(
        f"{count_words(len(report.cases), 'usable case')}, {count_words(len(report.classes), 'class', 'classes')}"
    )
    console.print("sizes: " + ", ".join(f"{width}x{height}: {n}" for (height, width), n in report.sizes.items()))
    if report.turned:
        console.print(
            f"turned upright by their EXIF orientation, unlike their masks: {list_first(report.turned)}; if these were "
            "drawn over the pictures as they lie, turn them too: --pictures shows it",
            soft_wrap=True,
        )
    # Of a single group and condition it would count the usable cases again.
    if len(report.strata) > 1:
        console.print(_list_strata(report))
    console.print(_list_classes(report))
    _print_folds(report)
    for group in report.findings.alike[:_MOST_GROUPS]:
        console.print(f"the same picture: {', '.join(group)}", soft_wrap=True)
    if len(report.findings.alike) > _MOST_GROUPS:
        console.print(f"and {count_words(len(report.findings.alike) - _MOST_GROUPS, 'more group')} of the same picture")
    _print_lines([line for line in lines if line[1]])


def print_verdict(report: DataReport) -> None:
    """Print whether the data can be trained on.

    Raises:
        DataError: with all problems.
    """
    if report.problems:
        raise DataError(f"{report.dataset.folder}: {count_words(len(report.problems), 'problem')}:", report.problems)
    warnings = len(report.findings.warnings)
    if warnings:
        console.print(f"It can be trained on; look at the {count_words(warnings, 'warning')} above.", style="yellow")
    else:
        console.print("No problem found.", style="green")


def _print_lines(lines: Sequence[tuple[str, bool]]) -> None:
    for text, warns in lines:
        console.print(text, style="yellow" if warns else None, soft_wrap=True)


def counts_table(names: Sequence[str], counts: Sequence[str]) -> Table:
    """Return an empty table with columns of words, then of numbers, which are never cut short.

    Args:
        names: of the columns of words.
        counts: of the columns of numbers.
    """
    table = Table(box=box.SIMPLE)
    for name in names:
        table.add_column(name, overflow="fold")
    for name in counts:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _list_strata(report: DataReport) -> Table:
    table = counts_table(("group", "condition"), ("cases",))
    for (group, condition), cases in report.strata.items():
        table.add_row(group, condition, f"{cases:,}")
    return table


def _list_classes(report: DataReport) -> Table:
    wide = console.width >= _WIDE
    table = counts_table(("class", "in masks"), (*(["pixels"] if wide else []), "share", "images"))
    table.add_column("scored")
    total = max(1, sum(report.pixels_of_class.values()))
    for name, pixels in report.pixels_of_class.items():
        codes = report.codes_of_class[name]
        said = list_first(codes, _MOST_CODES)
        scored = "yes" if name in report.classes.scored else ""
        counts = (f"{pixels / total:.2%}", f"{report.images_of_class[name]:,}")
        table.add_row(name, said, *([f"{pixels:,}"] if wide else []), *counts, scored)
    return table


def _print_folds(report: DataReport) -> None:
    split, leakage = report.findings.split, report.findings.leakage
    if split is None or leakage is None:
        return
    folds = list(split.fold_of.values())
    table = counts_table(("images in fold",), tuple(map(str, range(split.folds))))
    table.add_row("all", *(f"{folds.count(fold):,}" for fold in range(split.folds)))
    for name, images in report.findings.images_of_fold.items():
        table.add_row(f"with {name}", *(f"{count:,}" for count in images))
    console.print(describe_division(report.cases, split), soft_wrap=True)
    console.print(table)
    if split.kind != "folds":
        return
    console.print(f"leakage: {leakage.describe()}", soft_wrap=True)
