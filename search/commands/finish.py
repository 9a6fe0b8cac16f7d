"""`confirm`, `retrain`, `fetch` and `sync`: what is done with a search that has ended."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from search.commands.console import LOADING, console, told_if_slow, warn
from search.commands.display import show_best, show_failed_trainings, show_set_aside, tell_sync
from search.commands.look import best
from search.commands.notify import Notify, notified
from search.commands.opening import open_told
from search.commands.options import Name, Storage, TrackingNow, Values, WhereNow
from search.commands.report import keep_report, send_report
from search.commands.state import show_retraining
from search.copying import copied
from search.finding import find_folder, is_in_use, lock_idle_stage, require_idle
from search.folder import SearchFolder
from search.memory.best import Configuration, Winner, read_best
from search.memory.journal import read_history
from search.mirror import send_file
from search.opening import remember
from search.place import DEFAULT_STORAGE
from search.run.scratch import temporary_kept
from search.settings import SearchSettings, change_settings
from search.verdict.out_of_fold import MOST_NETWORKS
from search.verdict.rounds import count_retrainings, count_trainings
from search.verdict.selection import can_confirm, choose_further, find_earlier_retraining, find_winner, name_winner
from segcore.commands.groups import with_groups
from segcore.config import TrainConfig
from segcore.counting import count_words
from segcore.data.caching.disk import resolve_folder
from segcore.errors import CheckpointError, ConfigError, TrackingError


@with_groups
def confirm(
    name: Name,
    where: WhereNow,
    top: Annotated[int | None, typer.Option(min=0, help="best configurations to train; left out: as before")] = None,
    folds: Annotated[int | None, typer.Option(min=1, help="most further folds, or seeds; left out: as before")] = None,
    notify: Notify = "",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Train the best on further folds, or seeds of the only one, and name the winner; goes on where interrupted."""
    with notified(notify, "confirm", name, storage):
        _confirm(find_folder(storage, name), where, top, folds)


def _confirm(folder: SearchFolder, where: Values, top: int | None, folds: int | None) -> None:
    with told_if_slow(LOADING):
        from search.commands import reaching, running

    name = folder.name
    settings, place = open_told(folder, where)
    changes = {"confirm": top, "confirm_folds": folds}
    settings = change_settings(settings, {key: value for key, value in changes.items() if value is not None})
    history = read_history(folder.search_stage.journal, settings.metric)
    if not can_confirm(history, settings):
        raise CheckpointError(
            f"Search {name!r} has fewer than two configurations to compare (--top {settings.confirm}, "
            f"{count_words(len(history.eligible), 'trial')} "
            "with a score); use --top 2 or more, or resume the search first."
        )
    if is_in_use(folder.search_stage):
        raise CheckpointError(f"Search {name!r} is running, and confirms by itself at its end.")
    require_idle(*folder.stages.values())
    with reaching.reached(settings, place, folder, count_trainings(settings)) as ready:
        running.confirm_best(ready, retry=True, save=True)
    found = name_winner(settings, folder)
    show_best(found)
    send_file(folder.root, folder.best)
    show_failed_trainings(settings, folder, history, read_history(folder.confirm_stage.journal, settings.metric))
    keep_report(settings, place, folder)
    show_retraining(folder, found)


@with_groups
def retrain(
    name: Name,
    where: WhereNow,
    members: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="best configurations to train on all folds, to choose an ensemble of by images that its networks "
            "never saw; left out: the winner alone, or as many as were begun",
        ),
    ] = None,
    max_members: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"most networks of a chosen ensemble, at least one for each fold; left out: {MOST_NETWORKS}, or one "
            "for each fold where there are more",
        ),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="round the model's weights to 16 bits: half the size")] = False,
    notify: Notify = "",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Train the best configuration on all folds, score it out of fold, and register the ensemble."""
    with notified(notify, "retrain", name, storage):
        _retrain(find_folder(storage, name), where, members, max_members, half=half)


def _retrain(folder: SearchFolder, where: Values, members: int | None, most: int | None, *, half: bool) -> None:
    with told_if_slow(LOADING):
        from search.commands import reaching, running
    from search.stages.retrain import Retraining

    settings, place = open_told(folder, where)
    require_idle(*folder.stages.values())
    if not folder.best.exists():
        best(folder.name, storage=folder.root.parent)
    winner = read_best(folder.best)
    require_own_retraining(folder, winner)
    tell_other_winner(settings, folder, winner)
    further = find_further(folder, settings.metric, winner, members)
    if further is not None and members is not None and len(further) < members - 1:
        warn(f"--members {members}: the search has {count_words(1 + len(further), 'configuration')} with a score.")
    most = bound_networks(settings, further, most)
    wanted = Retraining(winner=winner, further=further, most=most, half=half)
    with reaching.reached(settings, place, folder, wanted.configurations * count_retrainings(settings)) as ready:
        running.retrain_winner(ready, wanted)


def require_own_retraining(folder: SearchFolder, winner: Winner) -> None:
    """Refuse to retrain beside the retraining of another winner, before anything starts."""
    if earlier := find_earlier_retraining(folder, winner):
        raise CheckpointError(
            f"{earlier} retrains another winner than best.json names now; move that folder away to retrain the new one."
        )


def tell_other_winner(settings: SearchSettings, folder: SearchFolder, winner: Winner) -> None:
    """Say so where the file names another winner than the journals: it was edited, or the search has gone on since."""
    try:
        now = find_winner(settings, folder)
    except CheckpointError:
        # The file is all that is left; what is damaged is told of when the stage is opened.
        return
    # A journal of before a field was there lacks it.
    if now.trial != winner.trial or TrainConfig.from_values(now.values) != TrainConfig.from_values(winner.values):
        told = f"by the journals trial {now.trial} is the best now"
        if now.trial == winner.trial:
            told = "with other values than the journals have"
        warn(
            f"{folder.best} names trial {winner.trial}, {told}. What the file says is retrained; "
            f"'{folder.command('best')}' writes it from the journals."
        )


def find_further(folder: SearchFolder, metric: str, winner: Winner, members: int | None) -> list[Configuration] | None:
    """Return the configurations that join the winner: those of a retraining that was begun, then the next best.

    Args:
        folder: the search's files.
        metric: what decides.
        winner: whom they join.
        members: how many configurations there are to be with the winner; None: as many as were begun.

    Returns:
        None where the winner alone is to be the model.
    """
    begun: dict[int, Configuration] = {}
    for trial in read_history(folder.retrain_stage.journal, metric).in_order:
        if trial.source is not None:
            begun.setdefault(trial.source, Configuration(trial=trial.source, values=trial.values))
    if members is None:
        return list(begun.values()) or None
    history, trainings = (read_history(each.journal, metric) for each in (folder.search_stage, folder.confirm_stage))
    more = choose_further(winner, history, trainings, tuple(begun), members - 1 - len(begun))
    return [*begun.values(), *more][: members - 1]


def bound_networks(settings: SearchSettings, further: Sequence[Configuration] | None, most: int | None) -> int:
    """Return how many networks a chosen ensemble may have.

    Args:
        settings: of the search.
        further: the configurations that join the winner; None: nothing is chosen.
        most: as it is asked for; None: the default, or what one configuration has where that is more.

    Raises:
        ConfigError: when nothing is chosen that it could bound, or it is below what one configuration has.
    """
    each = count_retrainings(settings)
    if most is None:
        return MOST_NETWORKS if further is None else max(MOST_NETWORKS, each)
    if further is None:
        raise ConfigError(
            f"--max-members {most} bounds an ensemble that is chosen, and the model is to be the winner alone; "
            "give --members 2 or more with it, or leave it out."
        )
    if most < each:
        by = "fold" if settings.folds > 1 else "seed"
        raise ConfigError(
            f"--max-members {most}: a configuration has {each} networks, one for each {by}; "
            f"use --max-members {each} or more."
        )
    return most


@with_groups
def fetch(
    name: Name,
    where: TrackingNow,
    out: Annotated[Path, typer.Argument(help="folder to copy the model into; must not exist")],
    version: Annotated[int, typer.Option(min=0, help="of the registered model; 0: the newest")] = 0,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Copy the registered model out of MLflow, refusing one whose files were changed since it was registered."""
    from search.tracking.check import require_tracking
    from search.tracking.experiments import bring_search_home
    from search.tracking.fetching import fetch_model
    from search.tracking.store import open_client, readable

    folder = find_folder(storage, name)
    settings, place = open_told(folder, where)
    wanted, into = str(version) if version else "", resolve_folder("out", out)
    require_tracking(place.tracking_uri)
    with readable(place.tracking_uri):
        bring_search_home(open_client(place.tracking_uri), settings, place)
    found, digest = fetch_model(place.tracking_uri, name, wanted, into, folder.command("retrain"))
    console.print(f"models:/{name}/{found} is in {out} as it was registered, SHA-256 {digest}", soft_wrap=True)


@with_groups
def sync(name: Name, where: TrackingNow, storage: Storage = DEFAULT_STORAGE) -> None:
    """Send to MLflow what it missed while its server was away, or all of it when its database was lost."""
    from search.tracking.check import check_tracking
    from search.tracking.follower import Tracker

    folder = find_folder(storage, name)
    settings, place = open_told(folder, where)
    # A damaged one is told of with what to do, before anything is sent.
    for stage in folder.stages.values():
        if stage.journal.exists():
            read_history(stage.journal, settings.metric)
    problems, answers, what = [check_tracking(place.tracking_uri)], False, "all"
    with lock_idle_stage(folder.search_stage), copied(folder.root):
        remember(folder, settings, place)
    for stage_name, stage in folder.stages.items():
        if stage.journal.exists() and not any(problems):
            with lock_idle_stage(stage), temporary_kept():
                tracker = Tracker(settings, place, stage_name, stage)
                tracker.close(away_seconds=0)
            show_set_aside(tracker)
            problems.append(tracker.lack)
            answers, what = not tracker.returns, "all else" if tracker.set_aside else what
    if any(problems):
        told = " ".join(problem for problem in problems if problem)
        raise TrackingError(f"{told} {tell_sync(folder, answers=answers)}")
    send_report(settings, place, folder)
    console.print(f"MLflow has {what} that is known of '{name}'.", soft_wrap=True, highlight=False)
