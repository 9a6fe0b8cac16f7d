"""The page of a search in MLflow, as Markdown: who won and how sure that is, where to look, the questions answered."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from mlflow.entities import Run

from search.insight.answer import Answer
from search.insight.record import Record
from search.insight.words import describe_seconds, tell_moment
from search.markdown import code, code_block, plain
from search.memory.best import Finalist
from search.memory.history import TrialRecord
from search.tracking.names import describe_configuration
from search.tracking.reports import report_link
from search.tracking.store import PARENT
from search.tracking.views import View, view_link

_BEST_TRIALS: Final = 5
LOOK: Final = "**Look at it:**"
"""What stands in every such page, and in none that a person writes."""


def describe_search(
    record: Record, answers: Sequence[Answer], views: Sequence[View], experiment_id: str, runs: Mapping[int, str]
) -> str:
    """Return the page.

    Args:
        record: of the search.
        answers: to what everyone asks.
        views: that were prepared.
        experiment_id: of the search.
        runs: ids of runs by trial.
    """
    links = [
        f"[{view.name}]({view_link(experiment_id, record.settings.search_id, view.slug, as_table=view.as_table)})"
        for view in views
    ]
    if PARENT in runs:
        links.append(f"[Files and settings]({_run_address(experiment_id, runs[PARENT])})")
    if record.history.closed is not None and PARENT in runs:
        # It is written as soon as a stage has ended.
        links.append(f"[Report]({report_link(experiment_id, runs[PARENT])})")
    parts = [
        f"### {plain(_title(record))}",
        f"{LOOK} {' · '.join([*links, *_link_model(record)])}",
        *[_tell(answer) for answer in answers],
        f"#### The best\n\n{_table(record, experiment_id, runs)}" if record.history.eligible else "",
        _how_to_go_on(record),
    ]
    return "\n\n".join(part for part in parts if part)


def link_earlier(experiment_id: str, earlier: Sequence[Run]) -> list[str]:
    """Return a line that leads to the pages of other searches of the name; none where there are none.

    Args:
        experiment_id: of the search.
        earlier: their own runs.
    """
    links = [
        f"[{tell_moment(run.info.start_time / 1000)}]({_run_address(experiment_id, run.info.run_id)})"
        for run in earlier
    ]
    return [f"Searches of this name that began before: {' · '.join(links)}"] if links else []


def _link_model(record: Record) -> list[str]:
    address = f"#/models/{quote(record.settings.name)}?workflowType=machine_learning"
    return [f"[Model]({address})"] if record.retrained else []


def _title(record: Record) -> str:
    best, has_ended = record.best, record.history.closed is not None
    if best is None:
        is_vain = record.history.is_vain(record.settings.trials)
        return f"{record.settings.name}: no trial {'can win' if is_vain else 'has a score yet'}"
    verb = "won" if has_ended else "leads so far"
    told = f"Trial {best.trial} {verb}, {record.metric} {best.score:.4f} on {best.place}"
    confirmed = record.confirmed
    if confirmed is None:
        return f"{told}, not confirmed"
    interval = confirmed.interval
    within = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"{told}, confirmed {confirmed.score:.4f}{within}"


def _tell(answer: Answer) -> str:
    told = f"**{plain(answer.question)}** {plain(answer.sentence)} *{plain(answer.certainty)}*"
    return f"{told}\n{code_block(answer.commands)}".rstrip()


def _table(record: Record, experiment_id: str, runs: Mapping[int, str]) -> str:
    finalists = record.confirmed.contenders if record.confirmed is not None else []
    contenders = {each.trial: each for each in finalists}
    others = [trial.number for trial in record.history.eligible]
    shown = list(dict.fromkeys([*contenders, *others]))[: max(_BEST_TRIALS, len(contenders))]
    rows = [
        f"| {_link(trial, experiment_id, runs)} | {trial.best.score:.4f} | "
        f"{_tell_contender(contenders.get(trial.number))} |"
        for trial in map(record.history.trials.__getitem__, shown)
        if trial.best is not None
    ]
    metric = plain(record.metric)
    head = f"| configuration | {metric} in the search | {metric} confirmed | beside the winner |"
    return "\n".join([head, "| --- | --- | --- | --- |", *rows])


def _link(trial: TrialRecord, experiment_id: str, runs: Mapping[int, str]) -> str:
    name = plain(describe_configuration(trial.values, trial.number))
    run = runs.get(trial.number)
    return f"[{name}]({_run_address(experiment_id, run)})" if run is not None else name


def _run_address(experiment_id: str, run: str) -> str:
    return f"#/experiments/{experiment_id}/runs/{run}?workflowType=machine_learning"


def _tell_contender(contender: Finalist | None) -> str:
    if contender is None or contender.score is None:
        return "- | -"
    interval = contender.interval
    within = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"{contender.score:.4f}{within} | {plain(contender.verdict)}"


def _how_to_go_on(record: Record) -> str:
    took = describe_seconds(record.history.spent_seconds)
    return f"The search took {took} on the clock. Go on with {code(record.folder.command('status'))}."
