"""What MLflow has of a whole search beside its runs' points: prepared views, a page that answers, scores of all stages.

It follows from the search's folder alone and is written anew in place, so it may be written at any time, and again.
When, decides `follower`; what the page says, `overview_page`; what a view shows, `views`.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Run, RunTag

from search.folder import SearchFolder
from search.insight.answers import answer_questions
from search.insight.record import Record, read_record
from search.memory.best import Ends
from search.place import Place
from search.tracking.experiments import find_runs, list_searches, stage_tags
from search.tracking.finding import find_experiment
from search.tracking.names import TAG_LETTERS, best_key_of, clean_text, describe_configuration, key_made_of, key_of
from search.tracking.overview_page import LOOK, describe_search, link_earlier
from search.tracking.pictures import list_picture_keys
from search.tracking.points import hours_key
from search.tracking.reading import identify
from search.tracking.store import PARENT, open_client
from search.tracking.view_matter import look_at
from search.tracking.views import View, build_views, view_tags
from search.tracking_uri import mask_uri

_NOTE: Final = "mlflow.note.content"
"""The tag that MLflow shows as a description, as Markdown."""
_CONFIRMATION: Final = "confirmation"
"""The tag that says how a trial stands beside the winner, or that it is the winner."""
_FORMER: Final = "confirmed before; not among those that are compared now"
_OPENS: Final = " (open: why, cost, use)"
"""Short, for beside its Assistant MLflow shows a hundred letters of the line."""
_EXPERIMENT_LETTERS: Final = 20_000
"""That a tag of an experiment may have."""
_MOST_SEARCHES: Final = 10
"""Of a name that the page above the runs leads to."""


def write_overview(place: Place, folder: SearchFolder) -> None:
    """Write what MLflow has of a whole search anew; before a search has a run there is nothing to write.

    Args:
        place: where MLflow is.
        folder: the search's files.

    Raises:
        CheckpointError: when the search's files are damaged.
        MlflowException: when MLflow cannot be asked.
    """
    record = read_record(folder)
    client = open_client(place.tracking_uri)
    experiment = find_experiment(client, record.settings)
    if experiment is None:
        return
    own = stage_tags(record.settings, "search", identify(folder.search_stage.journal))
    found = find_runs(client, experiment.experiment_id, own)
    runs = {number: run for number, run in found.items() if run.info.lifecycle_stage == "active"}
    parent = runs.get(PARENT)
    if parent is None:
        return
    told = _tell_search(record) | {PARENT: _tell_winner(record, parent.data.metrics)}
    _send_new(client, runs, {number: _tell_former(run) | told.get(number, {}) for number, run in runs.items()})
    shown = look_at(record.history, hours_key(place), list_picture_keys(record.history))
    views = build_views(shown, record.settings.search_id, parent.info.run_id)
    _write_views(client, experiment, views, record, parent)
    numbers = {number: run.info.run_id for number, run in runs.items()}
    page = describe_search(record, answer_questions(record), views, experiment.experiment_id, numbers)
    page = mask_uri(page)
    _send_new(client, {PARENT: parent}, {PARENT: {_NOTE: clean_text(page, TAG_LETTERS)}})
    _describe_experiment(client, experiment, page, parent)


def _describe_experiment(client: MlflowClient, experiment: Experiment, page: str, parent: Run) -> None:
    """Let the page stand above every view, where MLflow shows its title; what a person wrote there stays.

    Of several searches of a name the last that began has that place, and leads to the others.
    """
    known = list_searches(client, [experiment.experiment_id], _MOST_SEARCHES)
    if [run.info.run_id for run in known[:1]] != [parent.info.run_id]:
        return
    opened = page.replace("\n", f"{_OPENS}\n", 1)
    text = clean_text("\n\n".join([opened, *link_earlier(experiment.experiment_id, known[1:])]), _EXPERIMENT_LETTERS)
    before = experiment.tags.get(_NOTE, "")
    if before != text and (not before or LOOK in before):
        client.set_experiment_tag(experiment.experiment_id, _NOTE, text)


def _write_views(
    client: MlflowClient, experiment: Experiment, views: Sequence[View], record: Record, parent: Run
) -> None:
    tags = view_tags(views, record.settings.search_id, parent.info.start_time, others=experiment.tags)
    for key, text in tags.items():
        # Of a thousand classes it is longer packed, too; the other views can do without that one.
        if experiment.tags.get(key) != text and len(text) <= _EXPERIMENT_LETTERS:
            client.set_experiment_tag(experiment.experiment_id, key, text)


def _send_new(client: MlflowClient, runs: Mapping[int, Run], told: Mapping[int, Mapping[str, float | str]]) -> None:
    """Write numbers and texts that runs lack, or have otherwise."""
    for number, items in told.items():
        run = runs[number]
        new = {key: value for key, value in items.items() if run.data.metrics.get(key, run.data.tags.get(key)) != value}
        stamp = int(time.time() * 1000)
        metrics = [Metric(key, value, stamp, 0) for key, value in new.items() if isinstance(value, float)]
        tags = [RunTag(key, value) for key, value in new.items() if isinstance(value, str)]
        if new:
            client.log_batch(run.info.run_id, metrics=metrics, tags=tags)


def _tell_winner(record: Record, known: Mapping[str, float]) -> dict[str, float | str]:
    """Return what the search's own run says in the end: all of the winner, who need not have the search's best score.

    Args:
        record: of the search.
        known: metrics that the run has.
    """
    best = record.best
    if best is None or record.history.closed is None:
        return {}
    scores = [trial.best.score for trial in record.history.eligible if trial.best]
    metrics = {key_of(name): value for name, value in best.metrics.items()}
    of_winner = _tell_search(record).get(best.trial, {})
    return {
        best_key_of(record.metric): max(scores),
        # What is 0 and never was anything else says nothing.
        **{key: value for key, value in metrics.items() if value != 0 or key in known},
        # It stands beside nobody.
        **{key: value for key, value in of_winner.items() if key != _CONFIRMATION},
        "winner": describe_configuration(best.values, best.trial),
    }


def _tell_search(record: Record) -> dict[int, dict[str, float | str]]:
    """Return by trial of the search what the confirmation and the retraining say of it."""
    told: dict[int, dict[str, float | str]] = {}
    metric = record.metric
    for contender in record.confirmed.contenders if record.confirmed is not None else []:
        if contender.score is not None:
            told[contender.trial] = {
                key_made_of("confirmed_", metric): contender.score,
                _CONFIRMATION: contender.verdict,
                **_ends(metric, contender.interval),
            }
    closed = record.retraining.closed
    if closed is not None and record.best is not None and record.is_model_current and metric in closed.metrics:
        told.setdefault(record.best.trial, {})[key_made_of("out_of_fold_", metric)] = closed.metrics[metric]
    return told


def _tell_former(run: Run) -> dict[str, float | str]:
    """Return what is said of a run that was confirmed before the search went on, unless there is more to say of it."""
    return {_CONFIRMATION: _FORMER} if run.data.tags.get(_CONFIRMATION) else {}


def _ends(metric: str, interval: Ends | None) -> dict[str, float | str]:
    if interval is None:
        return {}
    names = key_made_of("confirmed_", metric, "_low"), key_made_of("confirmed_", metric, "_high")
    return dict(zip(names, interval, strict=True))
