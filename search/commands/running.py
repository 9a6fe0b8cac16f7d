"""Runs stages and shows them: the half of the commands that needs Ray, MLflow and torch.

Those take seconds to import, so `launch` and `finish` import this file when they run, and `status` never does.
"""

import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from search.commands import tables, verdict_tables
from search.commands.console import PlainConsole, console, told_if_slow, warn
from search.commands.display import (
    decoding_shown,
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
from search.judge.room import estimate_room
from search.memory.journal import read_history
from search.mirror import send_file
from search.place import Place
from search.run import cluster, loop
from search.run.capacity import Capacity
from search.run.head import head_watched
from search.run.scratch import temporary_kept
from search.settings import SearchSettings
from search.stages import confirm, ensemble, retrain
from search.stages.search import run_search
from search.stages.stage import OpenStage, ReadySearch, open_stage
from search.storage import find_bucket, name_storage
from search.tracking import registry
from search.tracking.check import check_tracking
from search.tracking.store import trials_link
from search.tracking_uri import own_tracking_uri
from search.verdict.notes import ensemble_line
from search.verdict.rounds import further_folds
from search.verdict.selection import can_confirm, name_winner
from segcore.counting import count_words
from segcore.data.bringing import bring_data, bring_each
from segcore.data.caching.cache import PixelCache
from segcore.data.caching.disk import warn_of_network
from segcore.data.case import DataSet
from segcore.data.dataset import read_dataset
from segcore.data.dividing.split import read_folds
from segcore.data.extra import read_extra
from segcore.errors import InterruptedSearchError, TrackingError
from segcore.prediction.ensemble_files import ENSEMBLE_FILE


def expect_tracking(place: Place) -> None:
    """Refuse an MLflow that can never be used; of one that is only away, say that the search does not wait for it."""
    if problem := check_tracking(place.tracking_uri):
        warn(f"{problem} The search goes on; MLflow is sent what it misses when it answers.")


def tell_storage(place: Place) -> None:
    """Say what of a storage in a bucket stays on this machine."""
    if find_bucket(place.storage) is None:
        return
    console.print(f"{name_storage(place.storage)} is mirrored here: {place.storage}", soft_wrap=True)
    if place.tracking_uri == own_tracking_uri(place.storage):
        warn(
            "MLflow's database stays on this machine and is not copied to the bucket: another machine fills one of its "
            "own from the journal. Name a server by --tracking-uri to have one for all."
        )


@contextmanager
def connected(place: Place) -> Iterator[Capacity]:
    """Connect to the place's cluster, or start a local Ray, and say so if it takes long; see `cluster.connected`."""
    with ExitStack() as stack:
        with told_if_slow(f"reaching the Ray cluster at {place.address}" if place.address else "starting Ray"):
            capacity = stack.enter_context(cluster.connected(place))
        stack.enter_context(temporary_kept())
        yield capacity


def read_data(place: Place) -> DataSet:
    """Return what the data set holds, fetching or unpacking it first if need be, and say so.

    Extra data that cannot be read, or that does not belong to it, is refused here, before anything starts.
    """
    with decoding_shown("fetching, MiB") as progress:
        folder = bring_data(place.data, place.cache, progress, lambda line: console.print(line, soft_wrap=True))
    dataset = read_dataset(folder, place.layout)
    read_extra(dataset, bring_each(place.extra, place.cache))
    return dataset


def prepare_cache(capacity: Capacity, dataset: DataSet) -> PixelCache:
    """Decode the images on every node, showing how far it is.

    Args:
        capacity: the cluster's nodes.
        dataset: what the data's folder holds.
    """
    place = capacity.place
    if cluster.has_idle_gpus(place):
        console.print("The cluster has GPUs, but trials run on CPUs: --gpus-per-trial is 0.", style="yellow")
    if capacity.note:
        warn(f"{capacity.note[0].upper()}{capacity.note[1:]}.")
    if warning := warn_of_network(place.cache):
        warn(warning)
    with decoding_shown() as progress:
        cache = cluster.prepare_nodes(
            dataset, capacity, progress, lambda plan: console.print(plan.describe(), soft_wrap=True)
        )
    with told_if_slow(f"waiting for {capacity.nodes.describe_busy() if capacity.nodes is not None else 'nodes'}"):
        cluster.require_usable(capacity)
    for warning in capacity.nodes.pop_warnings() if capacity.nodes is not None else ():
        warn(warning)
    return cache


def expect_room(settings: SearchSettings, place: Place, concurrent: int, checkpoint_bytes: int) -> None:
    """Say how much of the storage's disk checkpoints will take, and refuse one that is plainly too small."""
    if find_bucket(place.storage) is None:
        needed = estimate_room(settings, concurrent, checkpoint_bytes)
        told, fits = needed.compare(place.storage, shutil.disk_usage(place.storage).free)
        console.print(told, style=None if fits else "yellow", soft_wrap=True)


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
        show_failed_trainings(settings, folder)
        console.print(f"best.json:  {folder.best}", soft_wrap=True)
        keep_report(settings, place, folder, importances)
        console.print(f"logs:       {folder.search_stage.trial(0).parent}/NUMBER/log.txt", soft_wrap=True)
        console.print(f"browse:     {_name_pages(settings, place)}", soft_wrap=True, markup=False)
        show_retraining(folder, found)
        show_unfinished(settings, folder)


def _name_pages(settings: SearchSettings, place: Place) -> str:
    """Return the address of the search's pages in MLflow, or the command that serves them."""
    if place.tracking_uri.startswith("http"):
        with suppress(TrackingError):
            return trials_link(settings, place, place.tracking_uri)
    return command_line("ui", storage=place.storage)


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
    registered = registry.register_model(settings, place, folder.retrain_stage, folder.model, again)
    # Who is killed before, or has no server, begins here again without asking any network anew.
    ensemble.forget_votes(folder.retrain_stage)
    # The model notes its run, which only MLflow knows; its other files are in the bucket already.
    send_file(folder.root, folder.model / ENSEMBLE_FILE)
    console.print(f"ensemble:   {folder.model} ({_tell_size(folder.model)})", soft_wrap=True)
    if folder.search_stage.bucket is not None:
        console.print(f"copied to:  {folder.search_stage.address(folder.model)}", soft_wrap=True)
    console.print(f"registered: {registered.address}", soft_wrap=True)
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
