"""Runs stages and shows them: the half of the commands that needs Ray, MLflow and torch.

Those take seconds to import, so `launch` and `finish` import this file when they run, and `status` never does.
"""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from search.commands import tables, verdict_tables
from search.commands.console import PlainConsole, console, told_if_slow
from search.commands.display import (
    read_search_of,
    show_best,
    show_failed_trainings,
    show_front,
    show_importance,
    show_interrupted,
    show_unsent,
    stage_shown,
)
from search.commands.report import keep_report
from search.commands.state import show_retraining, show_unfinished
from search.finding import lock_stage
from search.folder import SearchFolder, command_line
from search.memory.journal import read_history
from search.mirror import send_file
from search.place import Place
from search.run import loop
from search.run.head import head_watched
from search.settings import SearchSettings
from search.stages import confirm, ensemble, retrain
from search.stages.search import run_search
from search.stages.stage import OpenStage, ReadySearch, open_stage
from search.tracking import registry
from search.tracking.store import database_file, trials_link
from search.tracking_uri import mask_uri, own_tracking_uri, server_page
from search.verdict.notes import ensemble_line
from search.verdict.rounds import further_folds
from search.verdict.selection import can_confirm, name_winner
from segcore.counting import count_words
from segcore.data.dividing.split import read_folds
from segcore.errors import InterruptedSearchError, TrackingError
from segcore.prediction.ensemble_files import ENSEMBLE_FILE


def search(ready: ReadySearch, *, retry: bool = False, extended: SearchSettings | None = None) -> None:
    """Run the search's trials and show them.

    Args:
        ready: the search.
        retry: whether to try again what had failed.
        extended: settings to save, once nothing stands against the run.
    """
    granted = extended is not None and ready.settings.time_budget_seconds != extended.time_budget_seconds
    with _open_shown(ready, "search", granted=granted) as opened:
        if retry:
            console.print(f"trying {count_words(loop.retry_failed(opened.stage.journal), 'failed trial')} again")
        history = run_search(opened, extended)
    wide = console.width >= tables.WIDE
    console.print(tables.trials_table(history.in_order, history.metric, wide=wide))
    console.print(tables.summary_line(history, ready.settings))


def finish(ready: ReadySearch, *, retry: bool = False) -> None:
    """Confirm the best configurations, show what was learnt and who won, and say how to go on.

    Args:
        ready: the search.
        retry: whether to try again what had failed in the confirmation.
    """
    settings, folder, place = ready.settings, ready.folder, ready.capacity.place
    with _going_on(folder.command("resume")):
        history = read_history(folder.search_stage.journal, settings.metric)
        if can_confirm(history, settings):
            confirm_best(ready, retry=retry)
        found = name_winner(settings, folder)
        send_file(folder.root, folder.best)
        console.print(tables.insight_report(history, settings))
        importances = show_importance(settings, history)
        show_front(settings, history)
        show_best(found)
        show_failed_trainings(settings, folder, history, read_history(folder.confirm_stage.journal, settings.metric))
        console.print(f"best.json:  {folder.best}", soft_wrap=True)
        keep_report(settings, place, folder, importances)
        console.print(f"logs:       {folder.search_stage.trial(0).parent}/NUMBER/log.txt", soft_wrap=True)
        console.print(f"browse:     {_name_pages(settings, place)}", soft_wrap=True, markup=False)
        show_retraining(folder, found)
        show_unfinished(settings, folder)


def _name_pages(settings: SearchSettings, place: Place) -> str:
    """Return the address of the search's pages in MLflow, or the command that serves them."""
    if place.tracking_uri.startswith("http"):
        try:
            return trials_link(settings, place, place.tracking_uri)
        # A server that is away, or lacks the search, is where its pages will be all the same.
        except TrackingError:
            return server_page(place.tracking_uri)
    storages = [place.storage]
    with suppress(TrackingError):
        file = database_file(place.tracking_uri)
        storages += [file.parent] if file is not None else []
    for storage in storages:
        if place.tracking_uri == own_tracking_uri(storage):
            return command_line("ui", storage=storage)
    return shlex.join(["mlflow", "server", "--backend-store-uri", mask_uri(place.tracking_uri)])


def confirm_best(ready: ReadySearch, *, retry: bool, save: bool = False) -> None:
    """Train the best configurations on further folds and show it.

    Args:
        ready: the search.
        retry: whether to try again what had failed.
        save: whether to save the settings, once nothing stands against the run.
    """
    split = read_folds(ready.folder.folds)
    loop.require_scores(ready.settings, ready.cache, split, further_folds(ready.settings))
    with _open_shown(ready, "confirm") as opened:
        confirm.run_confirmation(opened, retry=retry, save=save)


def retrain_winner(ready: ReadySearch, wanted: retrain.Retraining) -> None:
    """Train the winner on all folds, show its score out of fold, and register the ensemble.

    Args:
        ready: the search.
        wanted: what to train.
    """
    settings, folder, place = ready.settings, ready.folder, ready.capacity.place
    with _open_shown(ready, "retrain", repeats=wanted.configurations, options=wanted.options) as opened:
        result = retrain.run_retraining(opened, wanted)
    console.print(verdict_tables.out_of_fold_table(result, wanted.winner.score))
    if result.ensemble is not None:
        console.print(verdict_tables.ensemble_table(result.ensemble))
        console.print(ensemble_line(result.ensemble), soft_wrap=True)
    # Another retraining would write the very files that MLflow is sent.
    with _going_on(folder.command("retrain", *wanted.options)) as again, lock_stage(folder.retrain_stage):
        _register(settings, place, folder, again)
    keep_report(settings, place, folder)


def _register(settings: SearchSettings, place: Place, folder: SearchFolder, again: str) -> None:
    # A server is sent hundreds of files one by one, and has to give them back to be compared.
    with told_if_slow(f"registering the model in {mask_uri(place.tracking_uri)}"):
        registered = registry.register_model(settings, place, folder.retrain_stage, folder.model, again)
    # Who is killed before, or has no server, begins here again without asking any network anew.
    ensemble.forget_votes(folder.retrain_stage)
    # The model notes its run, which only MLflow knows; its other files are in the bucket already.
    send_file(folder.root, folder.model / ENSEMBLE_FILE)
    console.print(f"ensemble:   {folder.model} ({_tell_size(folder.model)})", soft_wrap=True)
    if folder.search_stage.bucket is not None:
        console.print(f"copied to:  {folder.search_stage.address(folder.model)}", soft_wrap=True)
    known = " as before: the model has not changed since" if registered.known else ""
    console.print(f"registered: {registered.address}{known}", soft_wrap=True)
    console.print(f"champion:   {registered.champion}", soft_wrap=True)
    console.print(f"sha256:     {registered.digest}", soft_wrap=True)
    predict = shlex.join(["python", "-m", "segcore", "predict", str(folder.model)])
    console.print(f"predict:    {predict} IMAGES OUT", soft_wrap=True)


def _tell_size(model: Path) -> str:
    sizes = [file.stat().st_size for file in model.glob("*.safetensors")]
    return f"{count_words(len(sizes), 'network')}, {sum(sizes) / 2**20:.0f} MiB"


@contextmanager
def _going_on(again: str) -> Iterator[str]:
    """End at Ctrl-C with the command that goes on, which is passed on."""
    try:
        yield again
    except KeyboardInterrupt:
        raise InterruptedSearchError(f"Interrupted; go on with '{again}'.") from None


def _tell_lost_head(again: str, told: str) -> None:
    # The console that shows the stage may itself wait for the head.
    PlainConsole(stderr=True).print(f"{told}. Then go on with '{again}' on a cluster.", style="yellow", soft_wrap=True)


@contextmanager
def _open_shown(
    ready: ReadySearch, name: str, *, repeats: int = 1, options: Sequence[str] = (), granted: bool = False
) -> Iterator[OpenStage]:
    opened = None
    try:
        with (
            open_stage(ready, name, repeats=repeats, options=options, granted=granted) as opened,
            head_watched(ready.capacity.head, partial(_tell_lost_head, opened.stage.again)),
            stage_shown(opened),
        ):
            yield opened
    except (InterruptedSearchError, KeyboardInterrupt) as end:
        if opened is None:
            raise
        history, settings = opened.stage.journal.history, opened.stage.settings
        show_interrupted(history, settings, opened.trials, read_search_of(opened))
        if isinstance(end, KeyboardInterrupt):
            # Ray Tune ends a run at the first Ctrl-C; this is the second, or one beside a run.
            raise InterruptedSearchError(f"Interrupted; go on with '{opened.stage.again}'.") from None
        raise
    finally:
        # Only now is it known whether MLflow took what was left.
        if opened is not None:
            show_unsent(opened.tracker, ready.folder)
