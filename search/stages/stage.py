"""Opens a stage: its lock, its journal, the same data as before, and MLflow following behind.

What is done in an open stage lives in `search`, `confirm` and `retrain`; how it is shown, in `commands`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from search.copying import Copier, copied
from search.finding import lock_stage, require_idle
from search.folder import SearchFolder, StageFolder
from search.memory.events import Halted, Opened
from search.memory.history import History
from search.memory.journal import Journal, read_history
from search.opening import remember
from search.requests import Inbox
from search.run.capacity import Capacity
from search.run.stage import Stage, make_job, require_same_data
from search.settings import SearchSettings
from search.stages.leftovers import clear_leftovers
from search.tracking.follower import Tracker
from search.verdict.rounds import count_planned
from search.verdict.selection import count_overtaken
from segcore.bucket import patiently
from segcore.data.caching.cache import PixelCache
from segcore.data.dividing.split import FoldSplit, read_folds
from segcore.errors import CheckpointError, StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadySearch:
    """A search of which any stage may be opened: its nodes are reached, and its data is decoded on them.

    Args:
        settings: of this run.
        capacity: the nodes that it runs on.
        folder: the search's files.
        cache: the decoded data.
    """

    settings: SearchSettings
    capacity: Capacity
    folder: SearchFolder
    cache: PixelCache


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStage:
    """A stage that this process alone may write.

    Args:
        search: whose stage it is.
        stage: what Ray Tune runs.
        tracker: follows its journal into MLflow; told on leaving how much is not sent.
        trials: how many it is to have at most.
        copier: copies its files to the bucket, where there is one.
    """

    search: ReadySearch
    stage: Stage
    tracker: Tracker
    trials: int
    copier: Copier | None = None


@contextmanager
def open_stage(
    search: ReadySearch, name: str, *, repeats: int = 1, options: Sequence[str] = (), granted: bool = False
) -> Iterator[OpenStage]:
    """Take a stage's lock and open its journal; on leaving, MLflow gets what is left.

    Where the search runs is remembered, once nothing stands against the run.

    Args:
        search: whose stage it is.
        name: `search`, `confirm` or `retrain`.
        repeats: how often the stage's trainings are run, each time of another configuration.
        options: of the command that goes on with it, which nothing else remembers.
        granted: whether the time budget of the settings is of this run alone.

    Raises:
        CheckpointError: when another process has a stage of the search, the folds are not the search's, or the data is
            not what earlier trials were trained on.
    """
    settings, files, place = search.settings, search.folder, search.capacity.place
    folder, split = files.stages[name], read_folds(files.folds)
    _require_own_folds(settings, split, files)
    with ExitStack() as closing:
        closing.enter_context(lock_stage(folder))
        # What one stage writes another reads, and the confirmation's checkpoints are taken over or deleted.
        patiently(partial(require_idle, *(other for other in files.stages.values() if other != folder)))
        copier = closing.enter_context(copied(files.root))
        journal = Journal(folder.journal, settings.metric)
        closing.callback(journal.close)
        stage = Stage(
            settings=settings,
            place=place,
            folder=folder,
            journal=journal,
            job=make_job(settings, place, search.cache, split, limited=name == "search"),
            capacity=search.capacity,
            inbox=Inbox(files.root),
            name=name,
            options=tuple(options),
            granted=granted,
        )
        _take_stock(stage, files)
        remember(files, settings, place)
        tracker = Tracker(settings, place, name, folder)
        closing.callback(tracker.close)
        closing.callback(_leave, journal)
        journal.write(Opened(cache_key=search.cache.key))
        try:
            trials = repeats * count_planned(name, settings)
            if name == "confirm":
                searched = read_history(files.search_stage.journal, settings.metric)
                trials += count_overtaken(searched, journal.history, settings)
            yield OpenStage(search=search, stage=stage, tracker=tracker, trials=trials, copier=copier)
        except StorageError as error:
            raise StorageError(f"{error} Then go on with '{stage.again}'.") from error


def _leave(journal: Journal) -> None:
    # Of a full disk the user has been told.
    with suppress(StorageError):
        journal.write(Halted())


def _require_own_folds(settings: SearchSettings, split: FoldSplit, files: SearchFolder) -> None:
    if (split.folds, split.kind) != (settings.folds, settings.split):
        raise CheckpointError(
            f"{files.folds} divides the data into {split.folds} folds (split {split.kind}), {files.settings} into "
            f"{settings.folds} (split {settings.split}); restore the file that was edited."
        )


def _take_stock(stage: Stage, files: SearchFolder) -> None:
    """Refuse what is not the search's own, and delete what dead runs left."""
    _require_own_files(stage.folder, stage.journal.history)
    # Scores of one stage count in another.
    known = [(each, read_history(each.journal, stage.settings.metric)) for each in files.stages.values()]
    require_same_data(stage, *(history for _, history in known))
    clear_leftovers(stage.folder, known)


def _require_own_files(folder: StageFolder, history: History) -> None:
    for trial in history.in_order:
        for place in trial.checkpoints:
            folder.resolve(place)
