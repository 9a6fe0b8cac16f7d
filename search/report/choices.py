"""Which hyperparameters matter: importance with its noise floor, and a slice plot for each."""

from collections.abc import Sequence
from typing import Any, Final

from search.insight.choices import compare_values, is_numeric, list_choices
from search.insight.importance import CHANCE, FEWEST_TRIALS
from search.memory.history import TrialRecord
from search.report.axes import Axis, span
from search.report.draw import Plot
from search.report.matter import Matter, card, cards
from segcore.insight.page import Cell, Markup, Row, Section, data_table, element, join, number_cell, paragraph

_SPREAD: Final = 0.6180339887
"""The golden ratio's part after the point: multiples of it lie evenly between whole numbers."""
_MOST_VALUES: Final = 12
_SMALL: Final = 350
"""Units of a chart of which three stand beside each other."""


def importance(matter: Matter) -> Section:
    """Return how much each hyperparameter explains, beside a random number."""
    hint = (
        "The share of the variance of trials' ranks that a hyperparameter explains (functional ANOVA); the line spans "
        "resamples of the trials. Shaded: how far a random number reaches. One whose line begins there is not shown to "
        "matter."
    )
    if not matter.importances:
        few = f"Too few trials have ended, or all rank alike: {FEWEST_TRIALS} at least are needed."
        return Section(title="What mattered", hint=hint, content=paragraph(few))
    return Section(title="What mattered", hint=hint, content=cards([card("Importance", _importance_chart(matter))]))


def slices(matter: Matter) -> Section:
    """Return the scores by each hyperparameter, and how its values rank."""
    choices = matter.order_choices(list_choices(matter.history))
    hint = (
        "The best score of each trial by what was drawn for it; hollow: stopped before its end, so its score would "
        "have gone on rising. The search tries more of what looks good, so many dots are no merit."
    )
    if not choices or not matter.scored:
        return Section(title="Slices", hint=hint, content=paragraph("No two trials with a score differ yet."))
    charts = [card(_title(matter, choice), _slice_chart(matter, choice)) for choice in choices]
    parts = [cards(charts, "cards small"), element("h3", "How the values rank"), _values_table(matter, choices)]
    return Section(title="Slices", hint=hint, content=join(parts))


def category_axis(label: str, values: Sequence[Any]) -> tuple[Axis, dict[str, int]]:
    """Return an axis of values that are no numbers, or few, and the place of each by its text."""
    known = {str(value): value for value in values}
    are_numbers = all(isinstance(value, int | float) for value in known.values())
    order = sorted(known, key=(lambda text: (known[text], text)) if are_numbers else str)
    names = [(place, text) for place, text in enumerate(order)]
    axis = Axis(label=label, low=-0.6, high=len(order) - 0.4, names=names)
    return axis, {text: place for place, text in enumerate(order)}


def _importance_chart(matter: Matter) -> Markup:
    shown = matter.importances
    chance = next(each for each in shown if each.name == CHANCE)
    names = [(-place, each.name) for place, each in enumerate(shown)]
    x = Axis(label="share explained, %", low=0, high=100 * max(each.high for each in shown) * 1.04)
    plot = Plot(x, Axis(label="", low=-len(shown) + 0.4, high=0.6, names=names), height=60 + 28 * len(shown))
    plot.box((0, -len(shown) + 0.4), (100 * chance.high, 0.6), "chance", note="reached by a random number")
    for place, each in enumerate(shown):
        css = "wait" if each is chance or each.low <= chance.high else "bar"
        note = f"{each.name}: {each.share:.0%}, {each.low:.0%} to {each.high:.0%} over resamples"
        plot.box((0, -place - 0.3), (100 * each.share, -place + 0.3), css, note=note)
        plot.line([(100 * each.low, -place), (100 * each.high, -place)], "whisker")
    return plot.render("Importance of the hyperparameters")


def _title(matter: Matter, choice: str) -> str:
    drawn = sum(choice in trial.params for trial in matter.history.in_order)
    return choice if drawn == len(matter.history.trials) else f"{choice} (of {drawn} trials)"


def _slice_chart(matter: Matter, choice: str) -> Markup:
    trials = [trial for trial in matter.scored if choice in trial.params]
    drawn = [trial.params[choice] for trial in trials]
    y = span(matter.metric, [trial.best_score for trial in matter.scored], log=False)
    if is_numeric(matter.history, choice):
        plot = Plot(span(choice, drawn), y, width=_SMALL, height=230)
        places = [float(value) for value in drawn]
    else:
        axis, place_of = category_axis(choice, drawn)
        plot = Plot(axis, y, width=_SMALL, height=230)
        places = [place_of[str(value)] + jitter(trial) for value, trial in zip(drawn, trials, strict=True)]
    for place, trial in zip(places, trials, strict=True):
        radius = 5 if trial.number == matter.winner else 2.8
        plot.dot((place, trial.best_score), matter.css(trial), trial=trial.number, radius=radius)
    return plot.render(f"{matter.metric} by {choice}")


def jitter(trial: TrialRecord) -> float:
    """Return how far beside its value a trial is drawn, so that equal ones do not cover each other."""
    return 0.6 * ((trial.number * _SPREAD) % 1.0 - 0.5)


def _values_table(matter: Matter, choices: Sequence[str]) -> Markup:
    rows: list[Row] = []
    for choice in choices:
        for each in compare_values(matter.history, choice, matter.record.settings.epochs)[:_MOST_VALUES]:
            rows.append(
                [
                    choice,
                    each.value,
                    number_cell(each.trials),
                    number_cell(each.standing, ".0%"),
                    Cell(text=f"{each.leads:.0%}" if each.leads else "–", number=each.leads),
                    number_cell(each.best, ".4f"),
                ]
            )
    header = ["hyperparameter", "value", "trials", "rank above", "first in resamples", f"best {matter.metric}"]
    told = (
        "Of the other trials, how many those with a value rank above in the mean: who got further first, then who "
        "scored higher there. A value that is first in nearly all resamples of the trials is so by more than chance, "
        "but it may owe that to its company: other good values were tried beside it more often."
    )
    return join([paragraph(told, "hint"), data_table(header, rows, sortable=True, tall=True)])
