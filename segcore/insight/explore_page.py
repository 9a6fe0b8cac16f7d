"""The page that shows what is in a data set, for someone who has never seen it.

The counting lives in `explore` and `check`; its tables of folds and objects in `explore_tables`, HTML parts in `page`,
charts in `charts`.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final

from segcore.counting import count_words
from segcore.data.dataset import decode_case
from segcore.data.sources.pairing import NO_GROUP
from segcore.insight.charts import Column, bar, column_chart
from segcore.insight.explore import (
    Example,
    Exploration,
    bin_by_doubling,
    choose_rare_examples,
    choose_stratum_examples,
    count_frame_gaps,
)
from segcore.insight.explore_tables import show_count, show_folds, show_objects, show_range
from segcore.insight.figures import overlay
from segcore.insight.page import (
    Cell,
    Markup,
    Row,
    Section,
    build_page,
    bullets,
    class_legend,
    data_table,
    element,
    headline,
    join,
    name_class,
    number_cell,
    paragraph,
)
from segcore.insight.page_pictures import photo

_PICTURE_WIDTH: Final = 480
_MOST_PROBLEMS: Final = 200
_MOST_WARNINGS: Final = 10
"""Of more, as of many classes that few images have, a part is seen at a time."""


def render_exploration(exploration: Exploration, name: str) -> str:
    """Return the HTML page of a data set.

    Args:
        exploration: what was counted.
        name: what the data set is called in the title.
    """
    sections = [
        _problems(exploration),
        _classes(exploration),
        _routes(exploration),
        _gaps(exploration),
        show_folds(exploration),
        show_objects(exploration),
        _ceilings(exploration),
        _examples(exploration),
        _rare(exploration),
    ]
    return build_page(f"What is in {name}", [_lead(exploration)], sections)


def gallery(exploration: Exploration, examples: Sequence[Example]) -> Markup:
    """Return images with their masks laid over them, after a legend of the classes' colours."""
    figures = []
    for example in examples:
        decoded = decode_case(example.case)
        blend_HW3 = overlay(decoded.image_HW3, decoded.mask_HW, exploration.report.classes)
        figures.append(photo(blend_HW3, f"{example.reason} ({example.case.image.name})", _PICTURE_WIDTH))
    return join([class_legend(exploration.report.classes), element("div", join(figures), "pictures large")])


def _lead(exploration: Exploration) -> Markup:
    report = exploration.report
    sizes = [f"{width} x {height}" for height, width in report.sizes]
    groups = {group for group, _ in report.strata} - {"", NO_GROUP}
    times = {condition for _, condition in report.strata} - {""}
    return join(
        [
            paragraph(
                "A data set of street images in which every pixel has a class. Models are compared by the scored "
                "classes, marked with a star."
            ),
            headline(
                [
                    ("images", f"{len(report.cases):,}"),
                    ("sizes, pixels", sizes[0] if len(sizes) == 1 else count_words(len(sizes), "size")),
                    ("classes", f"{len(report.classes)}, {len(report.classes.scored)} scored"),
                    ("groups", str(len(groups) or "none")),
                    ("conditions", str(len(times) or "none")),
                    ("problems", str(len(report.problems))),
                ]
            ),
        ]
    )


def _problems(exploration: Exploration) -> Section:
    report = exploration.report
    shown = list(report.problems[:_MOST_PROBLEMS])
    if len(report.problems) > len(shown):
        shown.append(f"and {len(report.problems) - len(shown)} more")
    parts = [
        join(
            [
                paragraph(
                    f"{count_words(len(report.problems), 'problem')}; an image that has one is left out below.",
                    "warning",
                ),
                bullets(shown),
            ]
        )
        if shown
        else paragraph("No problem found.")
    ]
    findings = report.findings
    warnings = join(paragraph(warning, "warning") for warning in findings.warnings)
    parts.append(element("div", warnings, "tall" if len(findings.warnings) > _MOST_WARNINGS else ""))
    parts.append(bullets([*report.dataset.notes, *findings.notes]))
    if findings.alike:
        parts.append(
            paragraph(
                f"{count_words(len(findings.alike), 'group')} of images that look the same, as they are or mirrored:"
            )
        )
        parts.append(bullets(", ".join(group) for group in findings.alike[:_MOST_PROBLEMS]))
    else:
        parts.append(paragraph("No image occurs twice."))
    hint = (
        "A training refuses data with problems. Images that look the same stay in one fold, for what is learnt of one "
    )
    return Section(title="Problems, notes and repeated images", hint=hint + "is known of the other.",
                   content=join(parts))  # fmt: skip


def _classes(exploration: Exploration) -> Section:
    report = exploration.report
    total = sum(report.pixels_of_class.values())
    shares = {name: pixels / max(1, total) for name, pixels in report.pixels_of_class.items()}
    most = max(shares.values())
    rows: list[Row] = []
    for name, share in shares.items():
        images = report.images_of_class[name]
        rows.append(
            [
                Cell(text=name_class(report.classes, name)),
                number_cell(share, ".2%"),
                Cell(text=bar(share / most)),
                number_cell(images, ","),
                Cell(text=f"{images / len(report.cases):.0%}", number=images / len(report.cases)),
                Cell(text=bar(images / len(report.cases))),
            ]
        )
    header = ["class", "share of pixels", "", "images", "share of images", ""]
    return Section(
        title="Classes",
        hint="A class with few pixels or few images is hard to learn and noisy to score; void pixels count nowhere.",
        content=join([data_table(header, rows, sortable=True), paragraph("* scored", "faint"), _sizes(exploration)]),
    )


def _sizes(exploration: Exploration) -> Markup:
    sizes = exploration.report.sizes
    if len(sizes) == 1:
        return Markup("")
    rows: list[Row] = [
        [f"{width} x {height}", number_cell(count, ","), Cell(text=bar(count / max(sizes.values())))]
        for (height, width), count in sizes.items()
    ]
    return join([element("h3", "Image sizes"), data_table(["width x height, pixels", "images", ""], rows)])


def _routes(exploration: Exploration) -> Section:
    strata = exploration.report.strata
    times = sorted({condition for _, condition in strata})
    rows: list[Row] = []
    for group in sorted({group for group, _ in strata}):
        counts = [strata.get((group, condition), 0) for condition in times]
        rows.append([group, *map(show_count, counts), show_count(sum(counts))])
    columns = [sum(count for (_, time), count in strata.items() if time == condition) for condition in times]
    if len(rows) > 1:
        rows.append(["all groups", *map(show_count, columns), show_count(sum(columns))])
    return Section(
        title="Groups and conditions",
        hint="Numbers of images: a model does well where there are many, and has never seen what is missing here.",
        content=data_table(["group", *(time or "(not known)" for time in times), "all"], rows),
    )


def _gaps(exploration: Exploration) -> Section:
    gaps = count_frame_gaps([counts.case for counts in exploration.cases])
    every = [gap for of_stratum in gaps.values() for gap in of_stratum]
    rows: list[Row] = []
    for (group, condition), of_stratum in gaps.items():
        measures = (min, median, max) if of_stratum else ()
        values = [measure(of_stratum) for measure in measures] or [float("nan")] * 3
        rows.append(
            [
                group,
                condition,
                show_count(len(of_stratum) + 1),
                *(Cell(text=_show_gap(value), number=value) for value in values),
            ]
        )
    columns = [
        Column(label=str(first), value=count, note=f"{count_words(count, 'gap')} of {show_range(first, last)} frames")
        for first, last, count in bin_by_doubling(every)
    ]
    chart = column_chart(columns, "frames to the next image, from ... on", width=640) if columns else Markup("")
    header = ["group", "condition", "images", "smallest gap", "median gap", "largest gap"]
    table = data_table(header, rows) if rows else paragraph("No image has a frame number.")
    return Section(
        title="How near neighbouring frames are",
        hint="Images a few frames apart look almost alike: many small gaps mean fewer truly different images than "
        "files, and a random division would put copies on both sides.",
        content=join([element("div", chart, "scroll"), table]),
    )


def _show_gap(frames: float) -> str:
    """Return a gap as a table has it; of Cityscapes' snippets one is a million, and 1e+06 is nothing to read."""
    return f"{frames:,.1f}".removesuffix(".0") if frames == frames else "–"


def _ceilings(exploration: Exploration) -> Section:
    rows: list[Row] = [
        [f"{ceiling.scale:g}", *(f"{ceiling.metrics.get(name, float('nan')):.3f}" for name in ("iou", "miou"))]
        for ceiling in exploration.ceilings
    ]
    images = exploration.ceilings[0].images if exploration.ceilings else 0
    return Section(
        title="What training at a smaller size can reach",
        hint="With input_mode=resize a network sees images at a scale, and its answer is enlarged. These are scores of "
        f"the truth itself, shrunk and enlarged alike, on {count_words(images, 'image')}: no "
        "network of that scale scores more.",
        content=data_table(["scale", "iou at most", "miou at most"], rows),
    )


def _examples(exploration: Exploration) -> Section:
    return Section(
        title="Examples of groups and conditions",
        hint="Look whether the colours follow the edges of things, and how much light and streets differ.",
        content=gallery(exploration, choose_stratum_examples(exploration)),
    )


def _rare(exploration: Exploration) -> Section:
    return Section(
        title="Examples of rare classes",
        hint="Images with many pixels of each of the rarest classes, rarest first: is it clear what belongs to them?",
        content=gallery(exploration, choose_rare_examples(exploration)),
    )
