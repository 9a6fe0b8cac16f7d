"""How trials learnt: their curves with ASHA's rungs, the best score by time, how ranks at the rungs agree."""

import math
from collections.abc import Sequence
from typing import Final

from search.insight.grace import kendall_tau
from search.insight.spending import score_against_time
from search.memory.history import History
from search.report.axes import Axis, span
from search.report.draw import Plot, drawing, write_text
from search.report.matter import Matter, card, cards
from segcore.counting import count_words
from segcore.insight.page import Markup, Section, join, paragraph

_CELL: Final = 62
_FEWEST: Final = 3
_FEWEST_SURE: Final = 5
"""Of four trials in random order one in twelve has a tau of 1 or -1."""
_FAINT: Final = 0.3
"""Of its colour, where a tau may be chance."""
_MANY_RUNGS: Final = 3
_BLUE: Final = (11, 92, 173)
_RED: Final = (179, 38, 30)


def curves(matter: Matter) -> Section:
    """Return the learning curves, the best score by time and the agreement of ranks."""
    hint = (
        "Dashed: the rungs, at which ASHA compares trials, with how many got there. A pointer over a line says which "
        "trial it is, and marks it in every chart; a click keeps it marked."
    )
    if not matter.scored:
        return Section(title="Learning curves", hint=hint, content=paragraph("No trial has a score yet."))
    parts = [
        card(f"{matter.metric} by epoch", _curves_chart(matter)),
        card(
            f"Best {matter.metric} by time",
            _course_chart(matter),
            "What waiting longer bought; a curve that still rises asks for more trials.",
        ),
        card(
            "Do ranks at the rungs agree?",
            agreement_chart(matter.history, [*matter.rungs, matter.record.settings.epochs]),
            "Kendall's tau over the trials that got to both epochs: 1 same order, 0 chance, -1 opposite; faint where "
            "it cannot be told from chance. Only trials that ASHA let pass are in later rows, more alike than all.",
        ),
    ]
    return Section(title="Learning curves", hint=hint, content=join([matter.key, cards(parts)]))


def measure_agreement(history: History, first: int, second: int) -> tuple[float, int]:
    """Return Kendall's tau of the scores after two epochs, and over how many trials; NaN below three.

    Args:
        history: the search's trials.
        first: finished epochs.
        second: finished epochs.
    """
    both = [trial.epochs for trial in history.in_order if first in trial.epochs and second in trial.epochs]
    pairs = [(epochs[first].score, epochs[second].score) for epochs in both]
    known = [(one, other) for one, other in pairs if one == one and other == other]
    if len(known) < _FEWEST:
        return math.nan, len(known)
    return kendall_tau([one for one, _ in known], [other for _, other in known]), len(known)


def is_beyond_chance(tau: float, trials: int) -> bool:
    """Say whether so many trials in random order would hardly ever agree, or disagree, so well.

    Args:
        tau: Kendall's.
        trials: that it was measured over.
    """
    # So far it spreads by chance (Kendall, 1938).
    return trials >= _FEWEST_SURE and abs(tau) >= 2 * math.sqrt(2 * (2 * trials + 5) / (9 * trials * (trials - 1)))


def agreement_chart(history: History, epochs: Sequence[int]) -> Markup:
    """Return the agreement of ranks between each two of several epochs, as a triangle of cells."""
    left, parts = 74, []
    for row, later in enumerate(epochs[1:]):
        y = row * _CELL
        parts.append(write_text(left - 8, y + _CELL / 2 + 4, f"epoch {later}", anchor="end"))
        for column, earlier in enumerate(epochs[: row + 1]):
            tau, trials = measure_agreement(history, earlier, later)
            parts.append(_agreement_cell(left + column * _CELL, y, tau, trials))
    for column, earlier in enumerate(epochs[:-1]):
        parts.append(write_text(left + (column + 0.5) * _CELL, (len(epochs) - 1) * _CELL + 16, f"epoch {earlier}"))
    # As wide as other charts, so that letters are as large.
    width = max(460, left + _CELL * (len(epochs) - 1) + 4)
    return drawing(width, _CELL * (len(epochs) - 1) + 24, "Agreement of ranks between rungs", parts)


def _curves_chart(matter: Matter) -> Markup:
    trials, epochs = matter.scored, matter.record.settings.epochs
    scores = [record.score for trial in trials for record in trial.epochs.values()]
    plot = Plot(_epoch_axis(matter.rungs, epochs), span(matter.metric, scores, log=False), height=340)
    top = max(score for score in scores if score == score)
    for rung in matter.rungs:
        plot.line([(rung, min(score for score in scores if score == score)), (rung, top)], "rung")
        reached = sum(rung in trial.epochs for trial in matter.history.in_order)
        plot.text((rung, top), str(reached), css="faint", up=2)
    for trial in trials:
        points = [(epoch, record.score) for epoch, record in trial.epochs.items() if record.score == record.score]
        if len(points) > 1:
            plot.line(points, matter.css(trial), trial=trial.number)
        else:
            plot.dot(points[0], matter.css(trial), trial=trial.number, radius=4)
    return plot.render(f"{matter.metric} of every trial by epoch")


def _epoch_axis(rungs: Sequence[int], epochs: int) -> Axis:
    """Return an axis of epochs; where rungs are many, one on which they lie equally far apart."""
    if len(rungs) < _MANY_RUNGS:
        return Axis(label="epoch", low=0, high=epochs)
    names = [(epoch, str(epoch)) for epoch in (*rungs, epochs)]
    return Axis(label="epoch, each rung as wide as the next", low=0.9, high=epochs * 1.02, log=True, names=names)


def _course_chart(matter: Matter) -> Markup:
    course = score_against_time(matter.history)
    if not course:
        return paragraph("Every trial with a score failed, and none of them can win.")
    seconds = max(matter.history.spent_seconds, course[-1][0])
    unit, label = (3600.0, "hours") if seconds >= 7200 else (60.0, "minutes")
    points = [(at / unit, score) for at, score in course]
    axis = Axis(label=f"{label} on the clock, pauses left out", low=0.0, high=seconds / unit * 1.02 or 1.0)
    plot = Plot(axis, span(matter.metric, [score for _, score in points], log=False), height=340)
    plot.line([*points, (seconds / unit, points[-1][1])], "front", steps=True)
    for at, score in points:
        plot.dot((at, score), "end", radius=2.5, note=f"{score:.4f} after {at:.1f} {label}")
    return plot.render(f"Best {matter.metric} by time")


def _agreement_cell(x: float, y: float, tau: float, trials: int) -> str:
    if tau != tau:
        return write_text(
            x + _CELL / 2, y + _CELL / 2 + 4, "–", css="faint", note=f"{count_words(trials, 'trial')}: too few"
        )
    is_sure = is_beyond_chance(tau, trials)
    depth = min(1.0, abs(tau)) * (1.0 if is_sure else _FAINT)
    ink = "" if is_sure else "faint"
    light = ' style="fill:#fff"' if depth > 0.6 else ""
    figure = write_text(x + _CELL / 2, y + _CELL / 2, f"{tau:.2f}", css=ink)
    count = write_text(x + _CELL / 2, y + _CELL / 2 + 15, f"n {trials}", css=ink or "faint")
    if light:
        figure, count = (each.replace("<text", f"<text{light}", 1) for each in (figure, count))
    colour = f'fill="rgb{_BLUE if tau > 0 else _RED}" fill-opacity="{depth:.3f}"'
    box = f'<rect x="{x:.1f}" y="{y:.1f}" width="{_CELL - 2}" height="{_CELL - 2}" {colour}/>'
    return box + figure + count
