"""Who won, who cannot be told from it, and where the winner fails."""

from collections.abc import Sequence
from typing import Final

from search.insight.conditions import measure_conditions
from search.insight.weakness import PartScore, find_weakness
from search.insight.words import describe_values
from search.memory.best import Confirmation, Finalist
from search.report.axes import Axis, span
from search.report.draw import Plot
from search.report.matter import Matter, card, cards
from segcore.insight.page import Cell, Markup, Row, Section, data_table, element, join, number_cell, paragraph

_SHOWN: Final = 10
_NONE_SCORED: Final = paragraph("No trial that can win has a score yet.")
_METHODS: Final = {"interval": "Intervals of scores", "difference": "of differences"}


def rivals(matter: Matter) -> Section:
    """Return the winner beside those that came near it."""
    confirmed = matter.record.confirmed
    hint = (
        "Black: the mean on further folds, with its interval over images; hollow: the score in the search, which "
        "flatters. Intervals of single configurations overlap although their difference may be sure, see the table."
        if confirmed is not None
        else "Not confirmed: these are the best scores on one fold, and the first of many flatters."
    )
    if confirmed is None and not matter.history.eligible:
        return Section(title="Winner and rivals", hint="The best, and what came near it.", content=_NONE_SCORED)
    content = _confirmed(matter, confirmed) if confirmed is not None else _unconfirmed(matter)
    return Section(title="Winner and rivals", hint=hint, content=content)


def weakness(matter: Matter) -> Section:
    """Return the winner's scores by condition and class."""
    found = find_weakness(matter.record)
    if found is None:
        content: Markup = paragraph("Nothing was scored yet.")
    else:
        shown = [(f"By {word}", parts) for word, parts in (("condition", found.conditions), ("class", found.classes))]
        content = cards([card(title, _parts_chart(parts, title)) for title, parts in shown if parts])
        content = join([paragraph(f"Measured {found.where}."), content, _conditions_table(matter)])
    hint = "IoU of each part, the worst at the top; a line spans the trainings that were scored."
    return Section(title="Where the winner fails", hint=hint, content=content)


def _confirmed(matter: Matter, confirmed: Confirmation) -> Markup:
    contenders = confirmed.contenders
    values = [value for each in contenders for value in (each.score, each.search_score, *(each.interval or ()))]
    names = [(-place, f"trial {each.trial}") for place, each in enumerate(contenders)]
    plot = Plot(
        span(matter.metric, [value for value in values if value is not None], log=False),
        Axis(label="", low=-len(contenders) + 0.4, high=0.6, names=names),
        height=90 + 34 * len(contenders),
    )
    for place, each in enumerate(contenders):
        if each.interval is not None:
            plot.line([(value, -place) for value in each.interval], "whisker")
        plot.dot((each.search_score, -place), "hollow", trial=each.trial)
        if each.score is not None:
            css = "win" if each.trial == matter.winner else "mean"
            plot.dot((each.score, -place), css, trial=each.trial, radius=5)
    header = ["configuration", "in the search", "further folds", "less than the winner's", "verdict"]
    rows = [_contender_row(matter, each) for each in contenders]
    marks = [each.trial for each in contenders]
    chart = card("Scores with intervals", plot.render("Scores of the configurations that were confirmed"))
    table = element("div", data_table(header, rows, marks=marks), "verdict")
    methods = confirmed.methods
    told = "; ".join(f"{name}: {methods[key]}" for key, name in _METHODS.items() if key in methods)
    return join([cards([chart]), table, paragraph(f"{told}." if told else "", "faint")])


def _contender_row(matter: Matter, contender: Finalist) -> Row:
    number, score = contender.trial, contender.score
    ends = contender.difference or contender.image_difference
    verdict = contender.dismissed or contender.doubt or ("winner" if number == matter.winner else "")
    return [
        f"{number}: {describe_values(matter.history.trials[number].values)}",
        number_cell(contender.search_score, ".4f"),
        number_cell(score, ".4f"),
        f"{-ends[1]:+.4f} to {-ends[0]:+.4f}" if ends else "–",
        verdict,
    ]


def _unconfirmed(matter: Matter) -> Markup:
    shown = matter.history.eligible[:_SHOWN]
    rows: list[Row] = [
        [
            f"{trial.number}: {describe_values(trial.values)}",
            number_cell(trial.best_score, ".4f"),
            Cell(text=f"{trial.best_score - shown[0].best_score:+.4f}", number=trial.best_score),
            number_cell(trial.last_epoch),
            trial.state,
        ]
        for trial in shown
    ]
    header = ["configuration", matter.metric, "to the best", "epochs", "state"]
    return data_table(header, rows, marks=[trial.number for trial in shown])


def _conditions_table(matter: Matter) -> Markup:
    """Return the IoU of each class in each condition, where that was measured; else nothing."""
    measured = measure_conditions(matter.record)
    if measured is None:
        return Markup("")
    shown = measured.all
    names = sorted({name for each in shown for name in each.class_ious})
    of_worst = shown[0].class_ious
    names.sort(key=lambda name: of_worst.get(name, 2.0))
    rows: list[Row] = [
        [
            f"{name} *" if name in measured.scored else name,
            *(number_cell(each.class_ious.get(name), ".3f") for each in shown),
        ]
        for name in names
    ]
    header = ["class", *(f"{each.name} ({each.images})" for each in shown)]
    told = "Over all pixels of a condition, in brackets its images; * scored."
    title = element("h3", "Each class in each condition")
    return join([title, data_table(header, rows, sortable=True), paragraph(told, "faint")])


def _parts_chart(parts: Sequence[PartScore], title: str) -> Markup:
    names = [(-place, part.name) for place, part in enumerate(parts)]
    plot = Plot(
        span("IoU", [0.0, *(part.high for part in parts), *(part.score for part in parts)], log=False, zero=True),
        Axis(label="", low=-len(parts) + 0.4, high=0.6, names=names),
        height=60 + 22 * len(parts),
    )
    for place, part in enumerate(parts):
        plot.box((0.0, -place - 0.32), (part.score, -place + 0.32), "bar", note=f"{part.name}: {part.score:.4f}")
        if part.high > part.low:
            plot.line([(part.low, -place), (part.high, -place)], "whisker")
    return plot.render(f"IoU {title.lower()}")
