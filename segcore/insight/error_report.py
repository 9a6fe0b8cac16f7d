"""The page that shows what a model does wrong on a data set, for someone who has never seen it.

The counting lives in `error_analysis`, who predicts what in `held_out`, its tables of places, folds, sizes and images
in `error_tables`; HTML parts in `page`, charts in `charts`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from segcore.counting import count_words
from segcore.data.classes import ClassTable
from segcore.insight.ceiling import measure_ceilings
from segcore.insight.charts import Column, bar, column_chart, heat_map
from segcore.insight.error_analysis import ErrorAnalysis
from segcore.insight.error_pictures import choose_extremes, show_images
from segcore.insight.error_tables import (
    show_all_images,
    show_folds,
    show_percent,
    show_places,
    show_score,
    show_sizes,
)
from segcore.insight.page import (
    Cell,
    Markup,
    Row,
    Section,
    build_page,
    bullets,
    data_table,
    element,
    escape,
    headline,
    join,
    link,
    name_class,
    number_cell,
    paragraph,
)
from segcore.prediction.held_out import Origin
from segcore.prediction.predict import DEFAULT_OPTIONS
from segcore.prediction.training_notes import TrainingNotes
from segcore.prediction.tune_report import describe_options
from segcore.scoring.confusion import Mistake, list_mistakes
from segcore.scoring.metrics import best_single_class, class_boundary_ious

_MISTAKES: Final = 12
_LOCAL: Final = "http://127.0.0.1"
_MEANINGS: Final = {
    "iou": "iou, the contest's score",
    "miou": "miou, over all classes",
    "miou_scored": "miou of the scored classes",
    "boundary_iou": "boundary_iou, along borders",
}
_BINS: Final = 20
_SAME_SCORE: Final = 0.005
"""Two scores of the same weights on the same images differ by less, whatever the device."""


def render_errors(analysis: ErrorAnalysis, model: str, data: str) -> str:
    """Return the HTML page of a model's mistakes.

    Args:
        analysis: what was counted.
        model: where the model lies.
        data: what the data set is called.
    """
    sections = [
        _class_scores(analysis),
        _confusion(analysis),
        show_places(analysis),
        show_folds(analysis),
        show_sizes(analysis),
        _distribution(analysis),
        _extremes(
            analysis,
            "Worst images",
            "What do these have in common? Red pixels cost score; of one scene few are shown.",
            worst=True,
        ),
        _extremes(analysis, "Best images", "What is easy? Mistakes left here are often in the labels.", worst=False),
        show_all_images(analysis),
    ]
    return build_page(f"Where the model is wrong on {data}", [_lead(analysis, model)], sections)


def describe_origin(analysis: ErrorAnalysis) -> list[tuple[str, bool]]:
    """Say whether the images were new to the networks that predicted them, and why that is believed.

    Returns:
        Sentences, each with whether it is a warning.
    """
    origins = [image.assignment.origin for image in analysis.images]
    counts = {origin: origins.count(origin) for origin in Origin}
    members = len(analysis.ensemble.members)
    lines = []
    if counts[Origin.HELD_OUT]:
        who = "by a network" if members == 1 else f"each only by those of the {members} networks"
        text = f"{_images(counts[Origin.HELD_OUT])} predicted out of fold: {who} that had never seen"
        lines.append((f"{text} {'them' if members == 1 else 'it'} (folds {analysis.plan.source}).", False))
    if analysis.left_out:
        trained = "trained, or may have trained," if analysis.plan.count(Origin.UNKNOWN) else "trained"
        lines.append((f"{_images(analysis.left_out)} left out, because the model {trained} on them.", False))
    if counts[Origin.TRAINED_ON]:
        lines.append((f"{_images(counts[Origin.TRAINED_ON])} predicted by networks that trained on them: "
                      "scores here flatter the model.", True))  # fmt: skip
    if counts[Origin.UNKNOWN]:
        lines.append(("The model's notes do not say which images it trained on. If these are among them, "
                      "all scores here flatter it.", True))  # fmt: skip
    return [*lines, *_compare_with_notes(analysis)]


def _compare_with_notes(analysis: ErrorAnalysis) -> list[tuple[str, bool]]:
    left_out = analysis.notes.left_out
    if len(set(left_out)) < len(left_out):
        # The training scored one network at a time, and here those that left a fold out predict together.
        return []
    noted, found = analysis.notes.score, analysis.metrics.get(analysis.metric)
    everything_held_out = len(analysis.images) == analysis.plan.count(Origin.HELD_OUT)
    all_held_out = all(image.assignment.origin is Origin.HELD_OUT for image in analysis.images)
    if noted is None or found is None or not (everything_held_out and all_held_out):
        return []
    if abs(noted - found) < _SAME_SCORE:
        same = f"The training noted the same {analysis.metric} on its held-out images, {noted:.4f}."
        return [(same, False)]
    options = analysis.ensemble.options
    if options != DEFAULT_OPTIONS:
        told = (
            f"The training noted {analysis.metric} {noted:.4f} on its held-out images; this page finds {found:.4f}, "
            f"predicted as the model's ensemble.json says: {describe_options(options)}."
        )
        return [(told, False)]
    return [
        (
            f"The training noted {analysis.metric} {noted:.4f} on its held-out images, this page finds {found:.4f}: "
            "the data or the folds are not those of the training. Some of these images may have been trained on.",
            True,
        )
    ]


def _lead(analysis: ErrorAnalysis, model: str) -> Markup:
    metrics = analysis.metrics
    names = dict.fromkeys((analysis.metric, *(name for name in _MEANINGS if name in metrics)))
    figures = [(_MEANINGS.get(name, name), show_score(metrics.get(name, float("nan")))) for name in names]
    figures += [
        ("pixel accuracy", f"{analysis.confusion.right:.1%}"),
        ("images", f"{len(analysis.images):,}"),
    ]
    config, networks = analysis.ensemble.config, len(analysis.ensemble.members)
    said = (
        f"{model}: {networks} network{'s' if networks > 1 else ''}, {config.decoder} over {config.backbone}, "
        f"input {config.input_mode}. Every pixel of an image is given a class, and compared with its true one."
    )
    meaning = (
        "IoU is the share of overlap between the pixels that have a class and those that are given it: 0 is nothing, "
        "1 is perfect. iou: per image the mean over the scored classes in it, then the mean over images; miou: per "
        "class over all images, then the mean over classes."
    )
    guess = best_single_class([image.score for image in analysis.images], analysis.classes, analysis.metric)
    if guess is not None:
        meaning += f" Calling everything {guess[0]} would give {analysis.metric} {guess[1]:.3f}."
    origin = [paragraph(text, "warning" if warns else "") for text, warns in describe_origin(analysis)]
    first = [paragraph(said + _tell_ceiling(analysis)), *_tell_source(analysis.notes)]
    return join([*first, headline(figures), *origin, paragraph(meaning)])


def _tell_source(notes: TrainingNotes) -> list[Markup]:
    """Say which trial of which search was trained, and where its run is; nothing of a model that no search made."""
    if not notes.search:
        return []
    said = [escape(f"Trained by the search {notes.search}, with the configuration of its trial {notes.trial}.")]
    if notes.run:
        needs = ", while 'python -m search ui' runs" if notes.run.startswith(_LOCAL) else ""
        said += [Markup(" "), link(notes.run, "Its run in MLflow"), escape(f"{needs}.")]
    return [Markup(f"<p>{''.join(said)}</p>")]


def _tell_ceiling(analysis: ErrorAnalysis) -> str:
    config = analysis.ensemble.config
    if config.input_mode != "resize" or config.scale >= 1:
        return ""
    cases = [image.case for image in analysis.images]
    metric = analysis.metric
    most = [ceiling.metrics.get(metric) for ceiling in measure_ceilings(cases, analysis.classes, (config.scale,))]
    if not most or most[0] is None:
        return ""
    return f" It sees images at a scale of {config.scale:g}: no network that does gets above {metric} {most[0]:.3f}."


def _class_scores(analysis: ErrorAnalysis) -> Section:
    table, metrics = analysis.confusion, analysis.metrics
    borders_C = class_boundary_ious([image.score for image in analysis.images], analysis.classes)
    border_of = dict(zip(analysis.classes.names, borders_C.tolist(), strict=True))
    pixels_K = table.pixels_KK.sum(axis=1)
    rows: list[Row] = []
    for position, name in enumerate(table.names):
        iou, border = metrics.get(f"iou/{name}", float("nan")), border_of.get(name, float("nan"))
        called = int(table.pixels_KK[:, position].sum())
        hits, true = int(table.pixels_KK[position, position]), int(pixels_K[position])
        shares = (_ratio(hits, true), _ratio(hits, called), _ratio(true, int(pixels_K.sum())))
        rows.append(
            [Cell(text=name_class(analysis.classes, name)), number_cell(iou, ".3f"), Cell(text=bar(iou))]
            + [number_cell(border, ".3f")]
            + [Cell(text=show_percent(share), number=share) for share in shares]
        )
    header = ["class", "IoU", "", "boundary IoU", "recall", "precision", "share of all pixels"]
    return Section(
        title="Score of each class",
        hint="Short bars are weak classes; of these, the scored ones (*) cost the model its score. Where boundary IoU "
        "is far below IoU, the class is found and its border is not. Recall: of its pixels, how many are called so; "
        "precision: of the pixels called so, how many are.",
        content=data_table(header, rows, sortable=True),
    )


def _confusion(analysis: ErrorAnalysis) -> Section:
    table = analysis.confusion
    names = [*zip(table.colours, table.names, strict=True)]
    mistakes = list_mistakes(table)
    largest = sorted(mistakes, key=lambda mistake: -mistake.pixels)[:_MISTAKES]
    total = int(table.pixels_KK.sum())
    shares = [f"{show_percent(mistake.share)} of " for mistake in mistakes[:_MISTAKES]]
    parts_of_all = [f"{show_percent(_ratio(mistake.pixels, total))} of all pixels: " for mistake in largest]
    by_share = [
        element("h3", "Most frequent, by share of the true class"),
        bullets(map(partial(_tell_mistake, analysis.classes), mistakes, shares)),
    ]
    by_pixels = [
        element("h3", "Most frequent, by share of all pixels"),
        bullets(map(partial(_tell_mistake, analysis.classes), largest, parts_of_all)),
    ]
    parts = [
        element(
            "div", heat_map(names, names, table.shares_KK.tolist(), "confusion between classes, percent"), "scroll"
        ),
        paragraph("Rows: the true class; columns: what its pixels are called; numbers: percent of the row.", "faint"),
        element("div", join([element("div", join(by_share)), element("div", join(by_pixels))]), "charts"),
    ]
    return Section(
        title="Which classes are confused",
        hint="A perfect model is dark on the diagonal and white elsewhere; dark cells beside it are confusions.",
        content=join(parts),
    )


def _tell_mistake(classes: ClassTable, mistake: Mistake, share: str) -> Markup:
    true, predicted = name_class(classes, mistake.true), name_class(classes, mistake.predicted)
    return Markup(f"{escape(share)}{true} called {predicted}")


def bin_scores(scores: Sequence[float]) -> list[int]:
    """Count scores from 0 to 1 in bins of equal width; 1 itself is in the last."""
    counts = [0] * _BINS
    for score in scores:
        counts[min(_BINS - 1, int(score * _BINS + 1e-9))] += 1
    return counts


def _distribution(analysis: ErrorAnalysis) -> Section:
    scores = [image.score.iou for image in analysis.images if image.score.iou is not None]
    without = len(analysis.images) - len(scores)
    columns = [
        Column(
            label=f"{i / _BINS:.2f}",
            value=count,
            note=f"{count_words(count, 'image')} from {i / _BINS:.2f} to {(i + 1) / _BINS:.2f}",
        )
        for i, count in enumerate(bin_scores(scores))
    ]
    parts = [element("div", column_chart(columns, "iou of an image, from ... on", width=700), "scroll")]
    if scores:
        low, middle, high = np.percentile(scores, [10, 50, 90])
        parts.append(
            paragraph(f"Median {middle:.3f}; a tenth of the images is under {low:.3f}, a tenth over {high:.3f}.")
        )
    if without:
        parts.append(paragraph(f"{_images(without)} without a scored class in the truth, and so without a score."))
    return Section(
        title="Scores of the images",
        hint="One hill means that all images are about equally hard; a tail or second hill to the left is a kind of "
        "image that fails.",
        content=join(parts),
    )


def _extremes(analysis: ErrorAnalysis, title: str, hint: str, *, worst: bool) -> Section:
    return Section(title=title, hint=hint, content=show_images(analysis, choose_extremes(analysis, worst=worst)))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _images(count: int) -> str:
    return count_words(count, "image was", "images were")
