"""What every part of a report is made from: a search's record, and what is worked out of it once."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from search.insight.answer import Answer
from search.insight.answers import answer_questions
from search.insight.importance import CHANCE, Importance, measure_importance
from search.insight.record import Record
from search.judge.progress import build_asha
from search.memory.history import History, TrialRecord
from search.report.look import MEANINGS, css_of
from segcore.insight.page import Markup, element, escape, join, paragraph


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """A search as its report shows it.

    Args:
        record: what it left in its folder.
        importances: as `measure_importance` returns them.
        answers: to the six questions.
        rungs: epochs at which ASHA compares trials.
    """

    record: Record
    importances: Sequence[Importance]
    answers: Sequence[Answer]
    rungs: Sequence[int]

    @property
    def history(self) -> History:
        """The search's trials."""
        return self.record.history

    @property
    def metric(self) -> str:
        """What decides."""
        return self.record.metric

    @property
    def winner(self) -> int | None:
        """The trial that has won so far."""
        return self.record.best.trial if self.record.best is not None else None

    @property
    def scored(self) -> list[TrialRecord]:
        """Trials with a score, the worst first, so that what is drawn last is the best; the winner is the last."""
        ranked = self.history.ranked[::-1]
        return sorted(ranked, key=lambda trial: trial.number == self.winner)

    @property
    def key(self) -> Markup:
        """What the colours of trials mean, as far as there are such trials."""
        seen = {self.css(trial) for trial in self.history.in_order}
        return key([(css, told) for css, told in MEANINGS if css in seen])

    def css(self, trial: TrialRecord) -> str:
        """Return the class of a trial's marks."""
        return css_of(trial, self.winner)

    def order_choices(self, choices: Sequence[str]) -> list[str]:
        """Return choices in the order of what they explain, those of which nothing is known last."""
        shares = {each.name: each.share for each in self.importances if each.name != CHANCE}
        return sorted(choices, key=lambda name: (-shares.get(name, -1.0), name))


def gather(record: Record, importances: Sequence[Importance] | None = None) -> Matter:
    """Work out of a record what a report shows.

    Args:
        record: of the search.
        importances: as `measure_importance` returns them; None: they are measured, which takes some seconds.
    """
    if importances is None:
        importances = measure_importance(record.history, record.settings.epochs)
    return Matter(
        record=record,
        importances=importances,
        answers=answer_questions(record, importances),
        rungs=build_asha(record.settings).rungs,
    )


def card(title: str, chart: str, note: str = "") -> Markup:
    """Return a chart with its heading, and what to see in it."""
    parts = [element("h3", title), chart, *([paragraph(note, "hint")] if note else [])]
    return element("div", join(parts))


def cards(parts: Sequence[str], css: str = "cards") -> Markup:
    """Return charts beside each other as far as there is room."""
    return element("div", join(parts), css)


def command_block(commands: Sequence[str]) -> Markup:
    """Return command lines to be copied, which break between words alone where these fit; nothing without any."""
    if not commands:
        return Markup("")
    parts = re.split(r"(\s+)", "\n".join(commands))
    # A browser breaks --storage after its hyphens, unless it is an element of its own.
    return element("pre", Markup("".join(element("span", part) if "-" in part else escape(part) for part in parts)))


def key(entries: Sequence[tuple[str, str]]) -> Markup:
    """Return what the colours of classes mean."""
    shape = '<svg viewBox="0 0 14 12" aria-hidden="true"><rect class="{}" width="14" height="12"/></svg> '
    parts = (element("span", join([Markup(shape.format(css)), told])) for css, told in entries)
    return element("div", join(parts), "key")
