"""Parallel coordinates: a line for each trial through its hyperparameters to its score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from search.insight.choices import is_numeric, list_choices
from search.memory.history import TrialRecord
from search.report.axes import Axis, span
from search.report.choices import category_axis, jitter
from search.report.draw import WIDE, drawing, join_points, of_trial, shorten, write_text
from search.report.matter import Matter, key
from segcore.insight.page import Markup, Section, join, paragraph

_HEIGHT: Final = 380
_TOP, _BOTTOM, _ABSENT = 34.0, 330.0, 352.0
"""Where axes begin and end, and where what was not drawn lies, in units from the top."""
_MOST: Final = 11
_SHADES: Final = 5
_MANY: Final = 60
"""More lines than these are drawn thinner, so that what many share stands out."""

_MEANINGS: Final = (("win", "the winner"), ("q4", "best fifth"), ("q2", "middle"), ("q0", "last fifth, by rank"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """An axis of the chart.

    Args:
        name: of the choice, or the metric.
        axis: with its ticks.
        place: returns where a trial lies on it, 0 to 1; None where nothing was drawn.
    """

    name: str
    axis: Axis
    place: Callable[[TrialRecord], float | None]


def parallel(matter: Matter) -> Section:
    """Return all hyperparameters in parallel coordinates."""
    choices = matter.order_choices(list_choices(matter.history))
    hint = (
        "Each line is a trial, from its hyperparameters to its score, the better the stronger. Drag along an axis to "
        "choose trials by it, along several to combine; what is not chosen fades in every chart and leaves every table."
    )
    if not choices or not matter.scored:
        return Section(title="Parallel coordinates", hint=hint, content=paragraph("No two trials differ yet."))
    chosen = Markup('<p id="chosen" class="faint" aria-live="polite"></p>')
    shown = [_choice_column(matter, choice) for choice in choices[:_MOST]]
    many = " many" if len(matter.scored) > _MANY else ""
    chart = Markup(
        f'<div id="parallel" class="scroll wide{many}">{_chart(matter, [*shown, _score_column(matter)])}</div>'
    )
    left = f"Shown are the {_MOST} that explain most, of {len(choices)}." if len(choices) > _MOST else ""
    content = join([key(_MEANINGS), chart, chosen, *([paragraph(left, "faint")] if left else [])])
    return Section(title="Parallel coordinates", hint=hint, content=content)


def _choice_column(matter: Matter, choice: str) -> _Column:
    drawn = [trial.params[choice] for trial in matter.scored if choice in trial.params]
    if is_numeric(matter.history, choice):
        axis = span(choice, drawn)
        return _Column(name=choice, axis=axis, place=lambda trial: _place(axis, trial.params.get(choice)))
    names, place_of = category_axis(choice, drawn)

    def place(trial: TrialRecord) -> float | None:
        value = trial.params.get(choice)
        return None if value is None else names.place(place_of[str(value)] + 0.7 * jitter(trial))

    return _Column(name=choice, axis=names, place=place)


def _score_column(matter: Matter) -> _Column:
    axis = span(matter.metric, [trial.best_score for trial in matter.scored], log=False)
    return _Column(name=matter.metric, axis=axis, place=lambda trial: axis.place(trial.best_score))


def _place(axis: Axis, value: Any) -> float | None:
    return None if value is None else axis.place(value)


def _chart(matter: Matter, columns: Sequence[_Column]) -> Markup:
    step = (WIDE - 130) / max(1, len(columns) - 1)
    lines, axes = [], []
    trials = matter.scored
    for order, trial in enumerate(trials):
        places = []
        for number, column in enumerate(columns):
            share = column.place(trial)
            y = _ABSENT if share is None else _BOTTOM - share * (_BOTTOM - _TOP)
            places.append((60 + number * step, y))
        css = "win" if trial.number == matter.winner else f"q{order * _SHADES // len(trials)}"
        lines.append(f'<polyline{of_trial(trial.number)} class="{css}" points="{join_points(places)}"/>')
    for number, column in enumerate(columns):
        axes.append(_draw_axis(column, number, 60 + number * step, step))
    has_absent = any(column.place(trial) is None for column in columns for trial in trials)
    absent = write_text(4, _ABSENT + 4, "not drawn", anchor="start", css="faint") if has_absent else ""
    # Lines are in a group of their own, so that the one that is marked covers them and not the axes.
    parts = [f"<g>{''.join(lines)}</g>", *axes, absent]
    return drawing(WIDE, _HEIGHT, "Hyperparameters of every trial in parallel coordinates", parts)


def _draw_axis(column: _Column, number: int, x: float, step: float) -> str:
    ticks = []
    for value, text in column.axis.ticks(5):
        y = _BOTTOM - column.axis.place(value) * (_BOTTOM - _TOP)
        ticks.append(write_text(x + 5, y + 4, shorten(text, step - 8), anchor="start", css="on", note=text))
    return (
        f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_BOTTOM}"/>'
        + write_text(x, 16, shorten(column.name, step), note=column.name)
        + "".join(ticks)
        + f'<rect class="axis-hit" data-axis="{number}" x="{x - 14:.1f}" y="{_TOP - 6}" width="28" '
        f'height="{_ABSENT - _TOP + 12}"/><rect class="brush" x="{x - 7:.1f}" y="0" width="14" height="0"/>'
    )
