"""Every trial: a table to sort, and what a pointer over a mark of a trial says."""

import json
from collections.abc import Sequence
from typing import Final

from search.insight.choices import list_choices
from search.insight.spending import worker_seconds
from search.insight.words import describe_seconds
from search.memory.history import TrialRecord
from search.memory.outcome import FAILURES, tell_end
from search.report.matter import Matter
from segcore.counting import count_words
from segcore.insight.page import Cell, Markup, Row, Section, data_table, element, join, number_cell

_TOLD_LETTERS: Final = 200
_MOST_REASONS: Final = 10
_MOST_NAMED: Final = 8


def trials(matter: Matter) -> Section:
    """Return the table of all trials, the best first, and why some failed."""
    choices = matter.order_choices(list_choices(matter.history))
    ranked = matter.history.eligible
    places = {trial.number for trial in ranked}
    others = [trial for trial in matter.history.in_order if trial.number not in places]
    rows = [_row(matter, trial, rank, choices) for rank, trial in enumerate(ranked, start=1)]
    rows += [_row(matter, trial, None, choices) for trial in others]
    header = ["rank", "trial", "state", "epochs", matter.metric, "at epoch", "took", *choices]
    table = data_table(header, rows, sortable=True, tall=True, marks=[trial.number for trial in [*ranked, *others]])
    first = "the best first, the winner's number red; " if ranked else ""
    hint = f"{count_words(len(rows), 'trial')}, {first}a click on a heading sorts."
    return Section(title="All trials", hint=hint, content=join([_failures(matter), table]))


def told_trials(matter: Matter) -> Markup:
    """Return what is said of each trial, as data that the page's script reads."""
    told = {trial.number: _tell(matter, trial) for trial in matter.history.in_order}
    # So that no text can end the element that it stands in.
    content = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="told">{content}</script>')


def _failures(matter: Matter) -> Markup:
    """Return why trials failed, of most trials first; nothing where none did."""
    alike: dict[tuple[str, str], list[int]] = {}
    for trial in matter.history.in_order:
        if trial.outcome in FAILURES:
            alike.setdefault((str(trial.outcome), tell_end(trial.message, _TOLD_LETTERS)), []).append(trial.number)
    if not alike:
        return Markup("")
    common = sorted(alike.items(), key=lambda each: -len(each[1]))[:_MOST_REASONS]
    rows: list[Row] = [[_name(numbers), state, why] for (state, why), numbers in common]
    table = element("div", data_table(["trials", "state", "why"], rows), "verdict")
    return join([element("h3", "Why trials failed"), table, element("h3", "Each of them")])


def _name(numbers: Sequence[int]) -> str:
    told = ", ".join(map(str, numbers[:_MOST_NAMED]))
    return f"{told} and {len(numbers) - _MOST_NAMED} more" if len(numbers) > _MOST_NAMED else told


def _row(matter: Matter, trial: TrialRecord, rank: int | None, choices: list[str]) -> Row:
    best, seconds = trial.best, worker_seconds(trial)
    return [
        number_cell(rank),
        Cell(text=str(trial.number), number=trial.number, marked=trial.number == matter.winner),
        trial.state,
        number_cell(trial.last_epoch),
        number_cell(trial.best_score, ".4f"),
        number_cell(best.epoch if best else None),
        Cell(text=describe_seconds(seconds), number=seconds),
        *(_choice_cell(trial.params.get(choice)) for choice in choices),
    ]


def _choice_cell(value: object) -> Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(text=f"{value:.3g}" if isinstance(value, float) else str(value), number=value)
    return Cell(text="–" if value is None else str(value))


def _tell(matter: Matter, trial: TrialRecord) -> str:
    best = trial.best
    won = ", the winner" if trial.number == matter.winner else ""
    score = f"{matter.metric} {best.score:.4f} at epoch {best.epoch}" if best else "no score"
    chosen = ", ".join(f"{name} {_choice_cell(value).text}" for name, value in trial.params.items())
    reason = next((each.verdict for each in reversed(trial.epochs.values()) if each.verdict), "") or trial.message
    state = f"trial {trial.number}{won}: {trial.state}, {count_words(trial.last_epoch, 'epoch')}"
    lines = [state, score, chosen, tell_end(reason, _TOLD_LETTERS), trial.note[:_TOLD_LETTERS]]
    return "\n".join(line for line in lines if line)
