"""Who was stopped when, and what was promoted later."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from search.insight.words import describe_seconds
from search.memory.history import TrialRecord
from search.memory.outcome import FAILURES, Outcome
from search.report.axes import Axis
from search.report.draw import Plot
from search.report.matter import Matter, card, cards, key
from segcore.insight.page import Cell, Markup, Row, Section, data_table, element, join, number_cell, paragraph

_SHOWN: Final = 60
_PARTS: Final = (
    ("end", "went on at once"),
    ("again", "stopped, promoted later"),
    ("wait", "stopped, waits there"),
    ("run", "has not ended"),
    ("lost", "failed or was pruned there"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What became of the trials that got to a rung.

    Args:
        epoch: at which they are compared.
        counts: by what became of them, in the order of `_PARTS`.
    """

    epoch: int
    counts: tuple[int, ...]


def stopping(matter: Matter) -> Section:
    """Return what became of trials at each rung, and those that went on after a stop."""
    rungs = count_rungs(matter)
    hint = (
        "At a rung the best part of those that got as far goes on; any other waits with its checkpoint, and goes on "
        "when it is among the best by then. Those far behind give their checkpoints up, so that they wait in vain."
    )
    if not any(sum(rung.counts) for rung in rungs):
        return Section(title="Who was stopped", hint=hint, content=paragraph("No trial has got to a rung yet."))
    revived = _taken_up_table(matter)
    content = join(
        [cards([card("Trials at each rung", _rungs_chart(rungs))]), element("h3", "Promoted later"), revived]
    )
    return Section(title="Who was stopped", hint=hint, content=content)


def count_rungs(matter: Matter) -> list[Rung]:
    """Return what became of the trials at each rung."""
    stopped = {(stop.trial, stop.epoch) for stop in matter.record.stops.taken_up}
    rungs = []
    for epoch in matter.rungs:
        fates = [
            _fate_of(trial, epoch, revived=(trial.number, epoch) in stopped)
            for trial in matter.history.in_order
            if epoch in trial.epochs
        ]
        rungs.append(Rung(epoch=epoch, counts=tuple(fates.count(css) for css, _ in _PARTS)))
    return rungs


def _fate_of(trial: TrialRecord, epoch: int, *, revived: bool) -> str:
    if revived:
        return "again"
    if trial.last_epoch > epoch or trial.outcome is Outcome.FINISHED:
        return "end"
    if trial.outcome is Outcome.STOPPED:
        return "wait"
    return "lost" if trial.outcome in (*FAILURES, Outcome.OVER_LIMIT, Outcome.PRUNED) else "run"


def _rungs_chart(rungs: Sequence[Rung]) -> Markup:
    most = max(sum(rung.counts) for rung in rungs)
    names = [(place, f"epoch {rung.epoch}") for place, rung in enumerate(rungs)]
    x = Axis(label="rung", low=-0.6, high=len(rungs) - 0.4, names=names)
    plot = Plot(x, Axis(label="trials", low=0, high=most * 1.08), height=300)
    for place, rung in enumerate(rungs):
        below = 0
        for (css, told), count in zip(_PARTS, rung.counts, strict=True):
            if count:
                note = f"epoch {rung.epoch}: {count} {told}"
                plot.box((place - 0.32, below), (place + 0.32, below + count), css, note=note)
            below += count
        plot.text((place, below), str(below), up=4)
    seen = [any(rung.counts[place] for rung in rungs) for place in range(len(_PARTS))]
    shown = [part for part, is_seen in zip(_PARTS, seen, strict=True) if is_seen]
    return join([key(shown), plot.render("What became of trials at each rung")])


def _taken_up_table(matter: Matter) -> Markup:
    stops = matter.record.stops.taken_up
    if not stops:
        return paragraph("None: no trial that ASHA stopped has gone on.")
    ranks = {trial.number: rank for rank, trial in enumerate(matter.history.eligible, start=1)}
    rows: list[Row] = []
    for stop in stops[:_SHOWN]:
        trial = matter.history.trials[stop.trial]
        waited = (stop.taken_up or stop.time) - stop.time
        rows.append(
            [
                Cell(text=f"trial {trial.number}", number=trial.number),
                stop.reason,
                Cell(text=describe_seconds(waited), number=waited),
                number_cell(trial.last_epoch),
                number_cell(trial.best_score, ".4f"),
                Cell(text=str(ranks.get(trial.number, "–")), number=ranks.get(trial.number, len(ranks) + 1)),
            ]
        )
    header = ["trial", "why it was stopped", "waited", "epochs now", f"best {matter.metric}", "rank now"]
    more = f" The first {_SHOWN} of {len(stops)}." if len(stops) > _SHOWN else ""
    gained = min((ranks[stop.trial] for stop in stops if stop.trial in ranks), default=0)
    told = paragraph(f"The best of them is rank {gained} of all now.{more}" if gained else more.strip())
    table = data_table(header, rows, sortable=True, tall=True, marks=[stop.trial for stop in stops[:_SHOWN]])
    return join([told, table])
