"""Two searches beside each other as one page: whose winner is ahead, the six questions, what they differ in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from search.insight.cost import account_stages, name_device_hours
from search.insight.record import Record
from search.insight.side_by_side import compare_winners, list_differences, list_settings, tell_ahead
from search.insight.spending import worker_seconds
from search.insight.words import describe_seconds, describe_values
from search.memory.outcome import FAILURES
from search.report.axes import Axis, span
from search.report.draw import Plot
from search.report.look import SCRIPT, STYLE
from search.report.matter import Matter, card, cards, command_block, gather, key
from search.report.page import tell_now
from segcore.insight.page import (
    Cell,
    Markup,
    Row,
    Section,
    build_page,
    data_table,
    element,
    join,
    number_cell,
    paragraph,
    require_writable,
    write_page,
)

_CSS: Final = ("one", "two")
_HOUR_SECONDS: Final = 3600


def write_comparison(first: Record, second: Record, file: Path) -> None:
    """Write the page of two searches.

    Raises:
        CheckpointError: when their folds cannot be read.
        StorageError: when the file cannot be written.
    """
    require_writable(file)
    write_page(render_comparison(gather(first), gather(second), tell_now()), file)


def render_comparison(first: Matter, second: Matter, made: str) -> str:
    """Return the page of two searches.

    Args:
        first: what is known of one.
        second: what is known of the other.
        made: when the page is made, in words.
    """
    both = (first, second)
    sections = [
        _winners(both),
        _questions(both),
        _course(both),
        _costs(both),
        _settings(both),
        _commands(both),
    ]
    top = [
        paragraph(tell_ahead(first.record, second.record)),
        key([(css, name) for css, name in zip(_CSS, _names(both), strict=True)]),
        paragraph(f"Made {made}.", "faint"),
        Markup('<script type="application/json" id="told">{}</script>'),
    ]
    title = f"Searches {' and '.join(_names(both))}"
    return build_page(title, top, sections, style=STYLE, script=SCRIPT)


def _names(both: Sequence[Matter]) -> list[str]:
    return [matter.record.settings.name for matter in both]


def _winners(both: Sequence[Matter]) -> Section:
    header = ["search", "winner", "in the search", "confirmed", "out of fold"]
    first, second = (matter.record.best for matter in both)
    parts: list[str] = [data_table(header, [_winner_row(matter) for matter in both])]
    ahead = compare_winners(both[0].record, both[1].record)
    if ahead is not None:
        ends = [ahead.difference.low, ahead.difference.estimate, ahead.difference.high]
        names = [(0.0, "difference")]
        label = f"{both[0].metric}: {_names(both)[1]} less {_names(both)[0]}"
        plot = Plot(span(label, [0.0, *ends], log=False), Axis(label="", low=-0.6, high=0.6, names=names), height=110)
        plot.line([(0.0, -0.6), (0.0, 0.6)], "rung")
        plot.line([(ends[0], 0.0), (ends[2], 0.0)], "whisker")
        plot.dot((ends[1], 0.0), "mean", radius=5)
        parts.append(cards([card("The winners on the same images", plot.render(label))]))
    if first is not None and second is not None:
        differing = list_differences(first.values, second.values)
        parts += [element("h3", "What their configurations differ in"), _differences_table(_names(both), differing)]
    hint = "Scores in the search flatter, as the best of many does; compare what was confirmed on the same folds."
    return Section(title="The winners", hint=hint, content=join(parts))


def _winner_row(matter: Matter) -> Row:
    record, best = matter.record, matter.record.best
    if best is None:
        return [record.settings.name, "none yet", "–", "–", "–"]
    closed = record.winner_retraining
    scores = [
        best.score,
        record.confirmed.score if record.confirmed is not None else None,
        closed.metrics.get(matter.metric) if closed is not None else None,
    ]
    told = f"trial {best.trial}: {describe_values(best.values)}"
    return [record.settings.name, told, *("–" if score is None else f"{score:.4f}" for score in scores)]


def _questions(both: Sequence[Matter]) -> Section:
    parts = []
    for one, other in zip(both[0].answers, both[1].answers, strict=True):
        for name, css, answer in zip(_names(both), _CSS, (one, other), strict=True):
            content = [
                element("h3", f"{name}: {answer.question}"),
                paragraph(answer.sentence),
                paragraph(f"How sure: {answer.certainty}", "hint"),
            ]
            parts.append(element("div", join(content), f"answer {css}"))
    hint = "What most people ask of a search, and how sure the answers are."
    return Section(title="Six questions", hint=hint, content=element("div", join(parts), "answers"))


def _course(both: Sequence[Matter]) -> Section:
    hint = "The best score so far against what it had cost by then, and every trial's curve."
    if not all(matter.history.eligible for matter in both):
        return Section(title="Score against cost", hint=hint, content=paragraph("One has no score that can win yet."))
    shown = [card("Best score by cost", _cost_chart(both)), card("Learning curves", _curves_chart(both))]
    return Section(title="Score against cost", hint=hint, content=cards(shown))


def course_by_cost(matter: Matter) -> list[tuple[float, float]]:
    """Return each new best score of trials that may win, with the hours of devices that all had taken by then."""
    factor = (matter.record.place.gpus_per_trial or matter.record.place.cpus_per_trial) / _HOUR_SECONDS
    records = []
    for trial in matter.history.in_order:
        # Where epochs do not say what they took, the mean of all.
        mean = worker_seconds(trial) / max(1, len(trial.epochs))
        may_win = trial.outcome not in FAILURES
        records += [
            (each.time, each.score, each.metrics.get("seconds", mean), may_win) for each in trial.epochs.values()
        ]
    hours, best, course = 0.0, float("-inf"), []
    for _, score, seconds, may_win in sorted(records):
        hours += seconds * factor
        if may_win and score > best:
            best = score
            course.append((hours, score))
    return [*course, (hours, best)] if course else []


def _cost_chart(both: Sequence[Matter]) -> Markup:
    courses = [course_by_cost(matter) for matter in both]
    units = dict.fromkeys(name_device_hours(matter.record.place) for matter in both)
    axis = span(" or ".join(units), [hours for course in courses for hours, _ in course], log=False, zero=True)
    scores = [score for course in courses for _, score in course]
    plot = Plot(axis, span(_name_metrics(both), scores, log=False), height=320)
    for css, course in zip(_CSS, courses, strict=True):
        plot.line(course, f"{css} course", steps=True)
    return plot.render("Best score by cost")


def _curves_chart(both: Sequence[Matter]) -> Markup:
    records = [record for matter in both for trial in matter.scored for record in trial.epochs.values()]
    epochs = max(record.epoch for record in records)
    y = span(_name_metrics(both), [record.score for record in records], log=False)
    plot = Plot(Axis(label="epoch", low=0, high=epochs), y, height=320)
    for css, matter in zip(_CSS, both, strict=True):
        for trial in matter.scored:
            points = [(epoch, record.score) for epoch, record in trial.epochs.items() if record.score == record.score]
            is_winner = trial.number == matter.winner
            plot.line(points, f"{css} course" if is_winner else css)
            if len(points) == 1:
                plot.dot((trial.last_epoch, trial.best_score), css, radius=2)
    return plot.render("Learning curves of both searches")


def _costs(both: Sequence[Matter]) -> Section:
    rows: list[Row] = []
    for matter in both:
        unit = name_device_hours(matter.record.place)
        for each in account_stages(matter.record):
            rows.append(
                [
                    matter.record.settings.name,
                    each.stage,
                    number_cell(each.trainings),
                    number_cell(each.epochs, ","),
                    Cell(text=f"{each.device_hours:.2f} {unit}", number=each.device_hours),
                    Cell(text=describe_seconds(each.seconds), number=each.seconds),
                ]
            )
    header = ["search", "stage", "trainings", "epochs", "devices", "on the clock"]
    hint = "Hours on other devices do not compare."
    return Section(title="What they cost", hint=hint, content=data_table(header, rows))


def _settings(both: Sequence[Matter]) -> Section:
    differing = list_settings(both[0].record, both[1].record)
    hint = "What the two searches were asked for; what is not here is the same."
    return Section(title="Settings that differ", hint=hint, content=_differences_table(_names(both), differing))


def _differences_table(names: Sequence[str], differing: dict[str, tuple[Any, Any]]) -> Markup:
    if not differing:
        return paragraph("Nothing.")
    rows: list[Row] = [[name, *map(_say, pair)] for name, pair in differing.items()]
    return data_table(["", *names], rows)


def _say(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _commands(both: Sequence[Matter]) -> Section:
    content = command_block([matter.record.folder.command("report") for matter in both])
    return Section(title="Each by itself", hint="These write the page of one search.", content=content)


def _name_metrics(both: Sequence[Matter]) -> str:
    """Return what a common axis of scores is called; two metrics are named, though they do not compare."""
    return " or ".join(dict.fromkeys(matter.metric for matter in both))
