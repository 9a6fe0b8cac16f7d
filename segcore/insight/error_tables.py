"""Tables of the page of a model's mistakes: by condition, group, fold and size of object, and of all images.

The rest of that page is in `error_report`; what is counted, in `error_analysis`.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from segcore.insight.charts import bar
from segcore.insight.error_analysis import (
    ErrorAnalysis,
    ImageErrors,
    group_images,
    measure_images,
    recall_by_class,
    weakest_class,
)
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
from segcore.scoring.confusion import tabulate_confusion
from segcore.scoring.objects import SIZE_RULE, SIZES

_ALL: Final = "all"
_NO_FOLD: Final = -1


def show_places(analysis: ErrorAnalysis) -> Section:
    """Return the scores of each condition and group, with the totals of both."""
    parts = _total_table(analysis, "condition", lambda image: image.case.condition)
    if len({image.case.group for image in analysis.images}) > 1:
        parts += _total_table(analysis, "group", lambda image: image.case.group)
        parts += _stratum_table(analysis)
    return Section(
        title="Score by condition and group",
        hint="Where is the model much weaker than elsewhere? With few images a difference may be chance.",
        content=join(parts),
    )


def show_folds(analysis: ErrorAnalysis) -> Section:
    """Return the scores of each fold of the training, and which networks predicted it."""
    title = "Score of each fold"
    hint = "A fold far below the others holds images unlike them, or its network had bad luck."
    fold_of = analysis.plan.fold_of
    if not fold_of:
        said = "The folds of the training are not known; give its folds.json by --folds."
        return Section(title=title, hint=hint, content=paragraph(said))
    groups = group_images(analysis.images, lambda image: fold_of.get(image.case.name, _NO_FOLD))
    rows: list[Row] = [
        [
            "in no fold" if fold == _NO_FOLD else f"fold {fold}",
            _name_networks(images),
            *_score_cells(analysis, images),
        ]
        for fold, images in groups.items()
    ]
    if len(rows) > 1:
        rows.append([_ALL, "", *_score_cells(analysis, analysis.images)])
    header = ["fold", "predicted by network", *_score_header(analysis)]
    return Section(title=title, hint=hint, content=data_table(header, rows))


def show_sizes(analysis: ErrorAnalysis) -> Section:
    """Return how well objects of each scored class and size are found."""
    rows: list[Row] = []
    for name, of_size in recall_by_class(analysis).items():
        for size in SIZES:
            recall = of_size[size]
            rows.append(
                [
                    Cell(text=name_class(analysis.classes, name)),
                    size,
                    number_cell(recall.objects, ","),
                    Cell(text=show_percent(recall.found), number=recall.found),
                    Cell(text=bar(recall.found)),
                    Cell(text=show_percent(recall.half_found), number=recall.half_found),
                ]
            )
    header = ["class", "size", "objects", "pixels found", "", "at least half found"]
    said = (
        f"An object is a connected patch of a scored class in the truth; {SIZE_RULE}. Pixels found: the share of its "
        "pixels that are given its class, as a mean over objects."
    )
    return Section(
        title="Objects found, by size",
        hint="If small objects are lost and large ones found, the input is too small for them, or they are too rare.",
        content=join([paragraph(said), data_table(header, rows, sortable=True)]),
    )


def show_all_images(analysis: ErrorAnalysis) -> Section:
    """Return every image that was predicted, the worst first."""
    rows: list[Row] = []
    for image in sorted(analysis.images, key=lambda image: (image.score.iou is None, image.score.iou, image.case.name)):
        right = tabulate_confusion(image.score.confusion_CP, analysis.classes, every_class=analysis.every_class).right
        weakest, fold = weakest_class(image, analysis.classes), analysis.plan.fold_of.get(image.case.name)
        rows.append(
            [
                image.case.name,
                number_cell(image.score.iou, ".3f"),
                Cell(text=show_percent(right), number=right),
                Cell(text=name_class(analysis.classes, weakest) if weakest else ""),
                image.case.group,
                image.case.condition,
                number_cell(fold),
                _name_networks([image]),
                str(image.assignment.origin),
            ]
        )
    header = ["image", "iou", "pixel accuracy", "weakest class", "group", "condition", "fold", "networks", "image was"]
    return Section(
        title="All images",
        hint="A click on a column's name sorts by it.",
        content=data_table(header, rows, sortable=True, tall=True),
    )


def show_score(value: float) -> str:
    """Return a score as a table has it; a dash where there is none."""
    return f"{value:.3f}" if value == value else "–"


def show_percent(share: float) -> str:
    """Return a share in percent, with a decimal below ten; a dash where there is none."""
    return "–" if share != share else f"{share:.0%}" if share >= 0.0995 or share == 0 else f"{share:.1%}"


def _total_table(analysis: ErrorAnalysis, what: str, key: Callable[[ImageErrors], str]) -> list[Markup]:
    groups = group_images(analysis.images, key)
    rows: list[Row] = [[name or "(not known)", *_score_cells(analysis, images)] for name, images in groups.items()]
    if len(rows) > 1:
        rows.append([_ALL, *_score_cells(analysis, analysis.images)])
    return [element("h3", f"By {what}"), data_table([what, *_score_header(analysis)], rows)]


def _stratum_table(analysis: ErrorAnalysis) -> list[Markup]:
    strata = group_images(analysis.images, lambda image: (image.case.group, image.case.condition))
    rows: list[Row] = [
        [group, condition, *_score_cells(analysis, images)] for (group, condition), images in strata.items()
    ]
    header = ["group", "condition", *_score_header(analysis)]
    return [element("h3", "By group and condition"), data_table(header, rows, sortable=True)]


def _score_header(analysis: ErrorAnalysis) -> list[str]:
    other = [] if analysis.metric == "iou" else [analysis.metric]
    return ["images", *other, "iou", "", "lowest", "highest"]


def _score_cells(analysis: ErrorAnalysis, images: Sequence[ImageErrors]) -> list[Cell]:
    scores = [image.score.iou for image in images if image.score.iou is not None]
    mean, low, high = (float(np.mean(scores)), min(scores), max(scores)) if scores else (float("nan"),) * 3
    metric = measure_images(analysis, images).get(analysis.metric, float("nan"))
    other = [] if analysis.metric == "iou" else [number_cell(metric, ".3f")]
    shown = [number_cell(value, ".3f") for value in (mean, low, high)]
    return [number_cell(len(images), ","), *other, shown[0], Cell(text=bar(mean)), *shown[1:]]


def _name_networks(images: Sequence[ImageErrors]) -> str:
    return ", ".join(map(str, sorted({member for image in images for member in image.assignment.members})))
