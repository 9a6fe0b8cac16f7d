"""`launch` and `resume`: begin a search, and go on with one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.commands.console import LOADING, console, told_if_slow, warn
from search.commands.dry_run import show_forecast
from search.commands.notify import Notify, notified
from search.commands.opening import open_told, require_same, require_same_folds
from search.commands.options import Name, Storage, Values, What, Where, WhereNow
from search.commands.tables import settings_table
from search.finding import find_folder, is_taken, lock_stage, require_idle, require_new
from search.folder import SearchFolder, folder_of
from search.judge.progress import replay_search, require_time_left
from search.memory.history import History
from search.place import (
    DEFAULT_STORAGE,
    Place,
    build_place,
    require_honest_latency,
    require_one_gpu,
    require_own_database,
    write_place,
)
from search.settings import (
    SearchSettings,
    build_settings,
    change_settings,
    parse_duration,
    parse_trials,
    resolve_objective,
    write_settings,
)
from search.space.check import Requirement
from search.space.draw import space_facts
from search.space.first import add_known, read_prior, resolve_first
from search.space.load import load_space
from search.verdict.rounds import further_folds
from segcore.commands.groups import group_of, with_groups
from segcore.config import make_paths_whole, parse_assignments
from segcore.counting import count_words
from segcore.data.dividing.split import FoldSplit, write_folds
from segcore.scoring.objective import require_metric
from spaces import Space

if TYPE_CHECKING:
    from segcore.data.dividing.division import Division


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedFirst:
    """Configurations to try first, as the command line names them."""

    seed_config: Annotated[
        list[Path] | None, typer.Option(help="configuration to try first: a best.json or TrainConfig values in JSON")
    ] = None
    warm_start: Annotated[
        list[str] | None, typer.Option(help="earlier search whose three best configurations are tried first")
    ] = None

    def read(self, place: Place) -> list[tuple[str, Values]]:
        """Return each configuration with the option that gives it.

        Args:
            place: where earlier searches are looked for.

        Raises:
            ConfigError: when there is none where an option says.
            TrackingError: when MLflow is to know an earlier search, and cannot be asked.
        """
        from search.stages.earlier import read_earlier

        seeds = [(f"--seed-config {file}", read_prior(file)) for file in self.seed_config or ()]
        names = self.warm_start or ()
        return seeds + [(f"--warm-start {name}", each) for name in names for each in read_earlier(name, place)]


@with_groups
def launch(
    what: What,
    where: Where,
    first: Annotated[TriedFirst, group_of(TriedFirst)],
    folds_file: Annotated[Path | None, typer.Option(help="your own folds, as JSON or CSV: name,fold")] = None,
    or_resume: Annotated[
        bool, typer.Option("--or-resume", help="go on where a search of this name exists, so that a job may run again")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what it would do and take, after a short measurement; begin nothing")
    ] = False,
    notify: Notify = "",
) -> None:
    """Search for the best configuration: trials on Ray, drawn from an Optuna space, judged by ASHA, shown by MLflow."""
    from segcore.data.dividing.division import choose_division

    division = choose_division(what["split"], what.get("folds"), folds_file)
    settings = _read_settings({**what, "split": division.kind, "folds": division.folds})
    place = build_place(where)
    require_one_gpu(place)
    require_honest_latency(settings, place)
    require_own_database(place)
    begin = partial(_launch, settings, place, division, first)
    if dry_run:
        begin(dry_run=True)
        return
    with notified(notify, "launch", settings.name, place.storage):
        if or_resume and is_taken(folder_of(settings, place)):
            folder = find_folder(place.storage, settings.name)
            require_same(folder, settings)
            if division.own is not None:
                require_same_folds(folder, division.own)
            _go_on(folder, where)
        else:
            begin()


def _launch(
    settings: SearchSettings,
    place: Place,
    division: "Division",
    first: TriedFirst,
    *,
    dry_run: bool = False,
) -> None:
    with told_if_slow(LOADING):
        from search.commands import reaching, running
    from search.run import loop
    from search.stages.stage import ReadySearch
    from segcore.data.dividing.given_folds import describe_division
    from segcore.data.gate import describe_findings, pass_gate

    dataset = reaching.read_data(place)
    settings = resolve_objective(settings, dataset.layout)
    require_metric(settings.metric, dataset.classes)
    dataset.require_outside("--storage", place.storage)
    console.print(settings_table(settings, place))
    require_new(settings, place)
    with told_if_slow(f"importing {settings.space}"):
        loaded = load_space(settings.space)
    _look_at_mlflow(place.tracking_uri, dry_run=dry_run)
    reaching.tell_storage(place)
    given = first.read(place)
    # What cannot be divided is refused before anything starts; what images hold may change folds that are made.
    division.divide(dataset.cases)
    with reaching.connected(place, settings.trials) as capacity:
        cache_pixels = reaching.prepare_cache(capacity, dataset)
        split, findings = pass_gate(dataset, cache_pixels, division)
        told = [*describe_findings(dataset, findings), (describe_division(dataset.cases, split), False)]
        if cache_pixels.extra_names:
            extra = count_words(len(cache_pixels.extra_names), "extra image")
            told.append((f"{extra}: trained on beside those of every fold, validated in none", False))
        with told_if_slow(f"drawing from {settings.space}, and building the networks that it draws"):
            looked_at, drawable = loop.require_search(settings, cache_pixels, split)
        _tell_start(settings, split, told, looked_at.taken)
        tell_repeats(settings, drawable, len(given))
        reaching.expect_room(settings, place, capacity.count(), looked_at.checkpoint_bytes)
        if settings.confirm > 1:
            loop.require_scores(settings, cache_pixels, split, further_folds(settings))
        require_trainable = loop.build_requirement(settings, cache_pixels, looked_at)
        settings = _settle_first(settings, given, loaded, space_facts(cache_pixels), require_trainable)
        if dry_run:
            show_forecast(settings, capacity, cache_pixels, split)
            return
        folder = _begin(settings, place, split)
        ready = ReadySearch(settings=settings, capacity=capacity, folder=folder, cache=cache_pixels)
        running.search(ready)
        running.finish(ready)


def _look_at_mlflow(uri: str, *, dry_run: bool) -> None:
    """Refuse an MLflow that cannot be used; of one that is away before a search begins it is only told."""
    from search.tracking.check import check_tracking, require_tracking, require_writable
    from search.tracking.store import database_file

    if not dry_run:
        require_tracking(uri)
        require_writable(uri)
    # A database would be made.
    elif database_file(uri) is None and (problem := check_tracking(uri)):
        warn(problem)


def _settle_first(
    settings: SearchSettings,
    given: Sequence[tuple[str, Values]],
    space: Space,
    facts: Values,
    require_trainable: Requirement,
) -> SearchSettings:
    """Return the settings with what is tried first, and say how much that is."""
    beside = (space, settings, facts, require_trainable)
    resolved = resolve_first(given, *beside)
    first = add_known(resolved, *beside)
    if first:
        known = len(first) - len(resolved)
        told = f", {known} known to be good in {settings.space} (--known 0 leaves out such)" if known else ""
        console.print(f"Configurations that are tried first: {len(first)}, each once{told}")
    return replace(settings, first=first)


def _read_settings(what: Values) -> SearchSettings:
    fixed = make_paths_whole(parse_assignments(tuple(what.get("fixed", ()))))
    budget_seconds = parse_duration(what["time_budget_seconds"], "--time-budget")
    return build_settings({**what, "fixed": fixed, "time_budget_seconds": budget_seconds})


def _begin(settings: SearchSettings, place: Place, split: FoldSplit) -> SearchFolder:
    folder = folder_of(settings, place)
    with lock_stage(folder.search_stage):
        # Another launch of this name may have begun while Ray started.
        require_new(settings, place)
        write_folds(split, folder.folds)
        write_place(place, folder.place)
        write_settings(settings, folder.settings)
    return folder


def _tell_start(
    settings: SearchSettings, split: FoldSplit, told: Sequence[tuple[str, bool]], taken: Sequence[str]
) -> None:
    """Say what was found in the data, what networks take of a weights file, and which images it was trained on."""
    from segcore.prediction.held_out import describe_known_images

    for line, warns in (*told, *((line, False) for line in taken)):
        console.print(line, style="yellow" if warns else None, soft_wrap=True)
    held_out = [name for name, fold in split.fold_of.items() if fold == settings.fold]
    if warning := describe_known_images(str(settings.fixed.get("weights", "none")), held_out):
        warn(warning)


def tell_repeats(settings: SearchSettings, drawable: int | None, given: int) -> None:
    """Say so when a search has more trials than there are configurations, which are then trained again to no end.

    Args:
        settings: of the search.
        drawable: configurations that the space draws at most; None: without end.
        given: configurations that are tried first, whether or not the space draws them.
    """
    if drawable is not None and drawable + given < settings.trials:
        warn(
            f"--trials {settings.trials}: {settings.space} draws {count_words(drawable, 'configuration')} at most, and "
            f"the same one trained again comes to the same; use --trials {drawable + given}, or draw more."
        )


@with_groups
def resume(
    name: Name,
    where: WhereNow,
    trials: Annotated[str, typer.Option(help="how many trials it is to have: 60, or +40 for 40 more")] = "+0",
    time_budget: Annotated[str, typer.Option(help="go on for 90m, 2h, 1d, ...; 0: no limit; empty: what is left")] = "",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="try failed trials again")] = False,
    notify: Notify = "",
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Go on with a search that was interrupted, or extend it: what has finished stays, the rest goes on."""
    with notified(notify, "resume", name, storage):
        _go_on(find_folder(storage, name), where, trials, time_budget, retry_failed=retry_failed)


def _go_on(
    folder: SearchFolder, where: Values, trials: str = "+0", time_budget: str = "", *, retry_failed: bool = False
) -> None:
    with told_if_slow(LOADING):
        from search.commands import reaching, running

    settings, place = open_told(folder, where)
    require_honest_latency(settings, place)
    require_idle(*folder.stages.values())
    history, asha = replay_search(settings, folder.search_stage.journal)
    asked = len(history.trials)
    settings = extended = change_settings(settings, {"trials": parse_trials(trials, settings, asked)})
    if time_budget:
        settings = grant_time(settings, history, time_budget)
    require_time_left(settings, history, asha, retry=retry_failed)
    console.print(f"{settings.name}: {count_words(settings.trials, 'trial')} in all, {asked} of them begun")
    with told_if_slow(f"importing {settings.space}"):
        load_space(settings.space)
    # One that had ended may be taken up again.
    left = max(1, settings.trials - asked + len(history.unfinished))
    with reaching.reached(settings, place, folder, left) as ready:
        running.search(ready, retry=retry_failed, extended=extended)
        running.finish(ready, retry=retry_failed)


def grant_time(settings: SearchSettings, history: History, time_budget: str) -> SearchSettings:
    """Return settings under which a run may last as long, whatever runs before it took.

    Args:
        settings: of the search.
        history: its trials.
        time_budget: a duration such as 2h; 0: no limit, as at a launch.
    """
    granted_seconds = parse_duration(time_budget, "--time-budget")
    return replace(settings, time_budget_seconds=granted_seconds and history.spent_seconds + granted_seconds)
