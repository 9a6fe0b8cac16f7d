"""What it cost: score against cost, what workers did with their time, hours by stage and by how trials ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from search.insight.cost import account_stages, name_device_hours
from search.insight.spending import account, worker_seconds
from search.insight.stops import Stop
from search.insight.words import describe_seconds
from search.judge.pareto import rank_fronts
from search.memory.history import History, TrialRecord
from search.memory.outcome import FAILURES
from search.report.axes import Axis, span
from search.report.draw import Plot
from search.report.matter import Matter, card, cards
from segcore.insight.charts import bar
from segcore.insight.page import Cell, Markup, Row, Section, data_table, element, join, number_cell, paragraph

_GAP_SECONDS: Final = 5.0
"""Less between two epochs is their checkpoint; more may have been a wait, and another worker."""
_GAP_SHARE: Final = 0.5
"""The same of a longer epoch, as a share of it."""
_MOST_LANES: Final = 256

Cost = Callable[[TrialRecord], float | None]
"""What a trial took; 0 or None where nothing tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What a worker did with a trial at a time.

    Args:
        trial: its number.
        begin: seconds since the Unix epoch.
        end: seconds since the Unix epoch.
    """

    trial: int
    begin: float
    end: float


def score_against_cost(matter: Matter) -> Section:
    """Return scores against what trials cost, and against how long a prediction takes."""
    hint = (
        "The line joins the trials that may win and that no other beats in both; what lies under it could be had for "
        "less."
    )
    if not matter.scored:
        return Section(title="Score against cost", hint=hint, content=paragraph("No trial has a score yet."))
    charts: list[tuple[str, Cost, str]] = [
        ("By training time", lambda trial: worker_seconds(trial) / 60, "minutes of a worker"),
        ("By prediction time", lambda trial: trial.latency_ms, "milliseconds for an image"),
    ]
    # An axis of costs of 0, or unknown, would have nothing on it.
    parts = [
        card(title, _front_chart(matter, cost, label))
        for title, cost, label in charts
        if any(cost(trial) for trial in matter.scored)
    ]
    return Section(title="Score against cost", hint=hint, content=join([matter.key, cards(parts)]))


def workers(matter: Matter) -> Section:
    """Return what each worker trained when, and what the stages cost."""
    hint = "A row is a place for one trial at a time, a bar a trial on it; white is idle. Pauses are cut out."
    lanes = assign_lanes(find_stretches(matter.history, matter.record.stops.all))
    if not lanes:
        return Section(title="Workers and cost", hint=hint, content=paragraph("No epoch has ended yet."))
    busy = sum(stretch.end - stretch.begin for lane in lanes for stretch in lane)
    seconds = matter.history.spent_seconds
    share = f" {busy / (seconds * len(lanes)):.0%} of {describe_seconds(seconds)} they were busy." if seconds else ""
    told = paragraph(f"{len(lanes)} trained at once at most.{share}")
    stages = cards(
        [card("By stage", _stages_table(matter)), card("The search, by how trials ended", _ends_table(matter))]
    )
    chart = element("div", _lanes_chart(matter, lanes), "scroll wide")
    return Section(title="Workers and cost", hint=hint, content=join([told, matter.key, chart, stages]))


def find_stretches(history: History, stops: Sequence[Stop]) -> list[Stretch]:
    """Return when each trial was trained without a stop or a longer break, by when they began.

    Args:
        history: the search's trials.
        stops: of the trials; what went on after one may have done so elsewhere.
    """
    found: list[Stretch] = []
    stopped = {(stop.trial, stop.epoch) for stop in stops}
    for trial in history.in_order:
        for epoch, (begin, end) in zip(sorted(trial.epochs), _spans(trial), strict=True):
            gap = max(_GAP_SECONDS, _GAP_SHARE * (end - begin))
            is_next = found and found[-1].trial == trial.number and (trial.number, epoch - 1) not in stopped
            if is_next and begin - found[-1].end <= gap:
                found[-1] = Stretch(trial=trial.number, begin=found[-1].begin, end=max(end, found[-1].end))
            else:
                found.append(Stretch(trial=trial.number, begin=begin, end=end))
    return sorted(found, key=lambda stretch: (stretch.begin, stretch.trial))


def assign_lanes(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """Return stretches in as few lanes as hold them without overlap, each in the first that is free.

    Args:
        stretches: by when they begin.
    """
    lanes: list[list[Stretch]] = []
    for stretch in stretches:
        # Epochs are known by their reports, which come a moment late.
        free = next((lane for lane in lanes if lane[-1].end <= stretch.begin + 1e-3), None)
        if free is None:
            lanes.append([stretch])
        else:
            free.append(stretch)
    return lanes


def _spans(trial: TrialRecord) -> list[tuple[float, float]]:
    records = sorted(trial.epochs.values(), key=lambda record: record.time)
    if records and all("seconds" in record.metrics for record in records):
        return [(record.time - record.metrics["seconds"], record.time) for record in records]
    return list(pairwise([trial.started, *(record.time for record in records)]))


def _front_chart(matter: Matter, cost: Cost, label: str) -> Markup:
    known = [(trial, found) for trial in matter.scored if (found := cost(trial))]
    costs = [found for _, found in known]
    scores = [trial.best_score for trial, _ in known]
    plot = Plot(span(label, costs), span(matter.metric, scores, log=False), height=320)
    able = [(found, trial.best_score) for trial, found in known if trial.outcome not in FAILURES]
    fronts = rank_fronts([score for _, score in able], [found for found, _ in able])
    front = sorted(point for point, rank in zip(able, fronts, strict=True) if rank == 0)
    if front:
        plot.line(front, "front", steps=True)
    for trial, found in known:
        radius = 5 if trial.number == matter.winner else 3
        plot.dot((found, trial.best_score), matter.css(trial), trial=trial.number, radius=radius)
    return plot.render(f"{matter.metric} against {label}")


def _lanes_chart(matter: Matter, lanes: Sequence[Sequence[Stretch]]) -> Markup:
    history, shown = matter.history, lanes[:_MOST_LANES]
    seconds = max(history.spent_seconds, 1.0)
    unit, label = (3600.0, "hours") if seconds >= 7200 else (60.0, "minutes")
    x = Axis(label=f"{label} since the search began, pauses left out", low=0.0, high=seconds / unit)
    tall = min(22, max(2, 640 // len(shown)))
    names = [(-place, str(place + 1)) for place in range(0, len(shown), max(1, len(shown) // 16))]
    label_y = "trained at once" if len(shown) > 5 else ""
    y = Axis(label=label_y, low=-len(shown) + 0.4, high=0.6, names=names)
    plot = Plot(x, y, width=980, height=60 + tall * len(shown))
    for place, lane in enumerate(shown):
        for stretch in lane:
            begin, end = (history.spent_until(moment) / unit for moment in (stretch.begin, stretch.end))
            css = matter.css(history.trials[stretch.trial])
            plot.box((begin, -place - 0.4), (end, -place + 0.4), css, trial=stretch.trial)
    return plot.render("What workers trained when")


def _stages_table(matter: Matter) -> Markup:
    stages, unit = account_stages(matter.record), name_device_hours(matter.record.place)
    total = sum(each.device_hours for each in stages) or 1.0
    rows: list[Row] = [
        [
            each.stage,
            number_cell(each.trainings),
            number_cell(each.epochs, ","),
            number_cell(each.device_hours, ".2f"),
            Cell(text=describe_seconds(each.seconds), number=each.seconds),
            Cell(text=bar(each.device_hours / total, 80)),
        ]
        for each in stages
    ]
    return data_table(["stage", "trainings", "epochs", unit, "on the clock", ""], rows)


def _ends_table(matter: Matter) -> Markup:
    found = account(matter.history)
    total = sum(each.seconds for each in found) or 1.0
    rows: list[Row] = [
        [
            each.end,
            number_cell(each.trials),
            number_cell(each.epochs, ","),
            Cell(text=f"{each.seconds / total:.0%}", number=each.seconds),
            Cell(text=bar(each.seconds / total, 80)),
        ]
        for each in found
    ]
    return data_table(["trials that", "how many", "epochs", "of the time", ""], rows)
