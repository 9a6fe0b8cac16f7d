"""Tables of the page of a data set: what is in each fold, and how large the objects of the scored classes are.

The rest of that page is in `explore_page`; what is counted, in `explore`.
"""

from collections.abc import Iterable

import numpy as np

from segcore.counting import count_words
from segcore.data.dividing.split import FoldSplit
from segcore.insight.charts import Column, column_chart
from segcore.insight.explore import Exploration, bin_by_doubling, class_shares_by_fold, objects_by_class
from segcore.insight.page import (
    Cell,
    Markup,
    Row,
    Section,
    data_table,
    element,
    join,
    name_class,
    number_cell,
    paragraph,
)
from segcore.scoring.objects import LARGE_SIDE, SIZE_RULE, SIZES, SMALL_SIDE


def show_folds(exploration: Exploration) -> Section:
    """Return what is in each fold: images by group and condition, and the share of each class."""
    split, leakage = exploration.report.findings.split, exploration.report.findings.leakage
    hint = (
        "The data is divided into folds: a model trains on all but one and is scored on that one. The folds should be "
        "alike; a class share under half or over double that of all data is marked."
    )
    if split is None or leakage is None:
        return Section(
            title="Folds", hint=hint, content=paragraph("Folds cannot be made, see the problems.", "warning")
        )
    told = split.describe()
    parts = [
        paragraph(f"{told[:1].upper()}{told[1:]}. Leakage: {leakage.describe()}."),
        element("h3", "Images"),
        _fold_cases(exploration, split),
    ]
    parts += [element("h3", "Share of pixels, void left out"), _fold_classes(exploration, split.folds)]
    return Section(title="Folds", hint=hint, content=join(parts))


def _fold_cases(exploration: Exploration, split: FoldSplit) -> Markup:
    folds, strata = split.folds, [*exploration.report.strata]
    counts: dict[tuple[str, str], list[int]] = {stratum: [0] * folds for stratum in strata}
    for found in exploration.cases:
        if (fold := split.fold_of[found.case.name]) is not None:
            counts[found.case.group, found.case.condition][fold] += 1

    def row(name: str, chosen: Iterable[tuple[str, str]]) -> Row:
        of_fold = [sum(column) for column in zip(*(counts[stratum] for stratum in chosen), strict=True)]
        return [name, *map(show_count, of_fold), show_count(sum(of_fold))]

    rows = [row(", ".join(filter(None, stratum)) or "(not known)", [stratum]) for stratum in strata]
    if len({group for group, _ in strata}) > 1:
        rows += [
            row(f"all groups, {condition}", [stratum for stratum in strata if stratum[1] == condition])
            for condition in sorted({condition for _, condition in strata} - {""})
        ]
    if len(strata) > 1:
        rows.append(row("all images", strata))
    return data_table(["group, condition", *(f"fold {fold}" for fold in range(folds)), "all"], rows)


def _fold_classes(exploration: Exploration, folds: int) -> Markup:
    classes = exploration.report.classes
    rows: list[Row] = []
    for name, shares_F in zip(classes.names, class_shares_by_fold(exploration).tolist(), strict=True):
        whole = shares_F[-1]
        rows.append(
            [Cell(text=name_class(classes, name))]
            + [Cell(text=f"{share:.2%}", number=share, marked=_is_unlike(share, whole)) for share in shares_F]
        )
    return data_table(["class", *(f"fold {fold}" for fold in range(folds)), "all"], rows)


def _is_unlike(share: float, whole: float) -> bool:
    return not whole / 2 <= share <= 2 * whole


def show_objects(exploration: Exploration) -> Section:
    """Return how many objects of each scored class there are, and how large they are."""
    found, classes = objects_by_class(exploration), exploration.report.classes
    rows: list[Row] = []
    charts = []
    for name, objects in found.items():
        counts = np.bincount(objects.sizes_N, minlength=len(SIZES)).tolist()
        middle = float(np.median(objects.areas_N)) if len(objects.areas_N) else float("nan")
        rows.append(
            [
                Cell(text=name_class(classes, name)),
                show_count(len(objects.areas_N)),
                *map(show_count, counts),
                number_cell(middle, ",.0f"),
            ]
        )
        if len(objects.areas_N):
            columns = [
                Column(
                    label=str(first),
                    value=count,
                    note=f"{count_words(count, 'object')} with sides of {show_range(first, last)} pixels",
                )
                for first, last, count in bin_by_doubling(np.sqrt(objects.areas_N).tolist())
            ]
            chart = column_chart(columns, f"side of a {name}, from ... pixels on")
            charts.append(element("div", join([element("h3", name_class(classes, name)), chart])))
    return Section(
        title="Object sizes of the scored classes",
        hint="An object is a connected patch of one class; small ones vanish when images are made smaller, so many of "
        "them ask for large inputs.",
        content=join(
            [
                paragraph(
                    f"Sizes by area, {SIZE_RULE}. The side in the charts is the square root of the area. "
                    "Patches of a few pixels are mostly scraps of larger things behind others."
                ),
                data_table(
                    [
                        "class",
                        "objects",
                        f"small (< {SMALL_SIDE}²)",
                        "medium",
                        f"large (≥ {LARGE_SIDE}²)",
                        "median area",
                    ],
                    rows,
                ),
                element("div", join(charts), "charts"),
            ]
        ),
    )


def show_count(number: int) -> Cell:
    """Return a number of things as a table has it; a dash for none."""
    return Cell(text=f"{number:,}" if number else "–", number=number)


def show_range(first: int, last: int) -> str:
    """Return a range of whole numbers, or the one that it is."""
    return str(first) if first == last else f"{first}–{last}"
