"""Opens a stage: its lock, its journal, the same data as before, and MLflow following behind.

What is done in an open stage lives in `search`, `confirm` and `retrain`; how it is shown, in `commands`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from search.finding import lock_stage, require_idle
from search.folder import SearchFolder, StageFolder
from search.memory.events import Halted, Opened
from search.memory.history import History
from search.memory.journal import Journal, read_history
from search.mirror import Copier, copied
from search.opening import remember
from search.requests import Inbox
from search.run.capacity import Capacity
from search.run.stage import Stage, make_job, require_same_data
from search.settings import SearchSettings
from search.stages.leftovers import clear_leftovers
from search.tracking.follower import Tracker
from search.verdict.rounds import count_retrainings, count_trainings
from segcore.data.caching.cache import PixelCache
from segcore.data.dividing.split import FoldSplit, read_folds
from segcore.errors import CheckpointError, StorageError

_COUNTS: Final[Mapping[str, Callable[[SearchSettings], int]]] = {
    "search": lambda settings: settings.trials,
    "confirm": count_trainings,
    "retrain": count_retrainings,
}
"""How many trainings a stage has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStage:
    """A stage that this process alone may write.

    Args:
        stage: what Ray Tune runs.
        tracker: follows its journal into MLflow; told on leaving how much is not sent.
        trials: how many it is to have at most.
        copier: copies its files to the bucket, where there is one.
    """

    stage: Stage
    tracker: Tracker
    trials: int
    copier: Copier | None = None


@contextmanager
def open_stage(
    settings: SearchSettings,
    capacity: Capacity,
    name: str,
    search: SearchFolder,
    cache: PixelCache,
    *,
    repeats: int = 1,
    options: Sequence[str] = (),
    granted: bool = False,
) -> Iterator[OpenStage]:
    """Take a stage's lock and open its journal; on leaving, MLflow gets what is left.

    Args:
        settings: of the search.
        capacity: the nodes it runs on; where they are is remembered, once nothing stands against the run.
        name: `search`, `confirm` or `retrain`.
        search: the search's files.
        cache: the decoded data.
        repeats: how often the stage's trainings are run, each time of another configuration.
        options: of the command that goes on with it, which nothing else remembers.
        granted: whether the time budget of the settings is of this run alone.

    Raises:
        CheckpointError: when another process has a stage of the search, the folds are not the search's, or the data is
            not what earlier trials were trained on.
    """
    folder, place, split = search.stages[name], capacity.place, read_folds(search.folds)
    _require_own_folds(settings, split, search)
    with ExitStack() as closing:
        closing.enter_context(lock_stage(folder))
        # What one stage writes another reads, and the confirmation's checkpoints are taken over or deleted.
        require_idle(*(other for other in search.stages.values() if other != folder))
        copier = closing.enter_context(copied(search.root))
        journal = Journal(folder.journal, settings.metric)
        closing.callback(journal.close)
        stage = Stage(
            settings=settings,
            place=place,
            folder=folder,
            journal=journal,
            job=make_job(settings, place, cache, split, limited=name == "search"),
            capacity=capacity,
            inbox=Inbox(search.root),
            name=name,
            options=tuple(options),
            granted=granted,
        )
        _take_stock(stage, search)
        remember(search, settings, place)
        tracker = Tracker(settings, place, name, folder)
        closing.callback(tracker.close)
        closing.callback(_leave, journal)
        journal.write(Opened(cache_key=cache.key))
        try:
            trials = repeats * _COUNTS[name](settings)
            yield OpenStage(stage=stage, tracker=tracker, trials=trials, copier=copier)
        except StorageError as error:
            raise StorageError(f"{error} Then go on with '{stage.again}'.") from error


def _leave(journal: Journal) -> None:
    # Of a full disk the user has been told.
    with suppress(StorageError):
        journal.write(Halted())


def _require_own_folds(settings: SearchSettings, split: FoldSplit, search: SearchFolder) -> None:
    if (split.folds, split.kind) != (settings.folds, settings.split):
        raise CheckpointError(
            f"{search.folds} divides the data into {split.folds} folds (split {split.kind}), {search.settings} into "
            f"{settings.folds} (split {settings.split}); restore the file that was edited."
        )


def _take_stock(stage: Stage, search: SearchFolder) -> None:
    """Refuse what is not the search's own, and delete what dead runs left."""
    _require_own_files(stage.folder, stage.journal.history)
    # Scores of one stage count in another.
    known = [(each, read_history(each.journal, stage.settings.metric)) for each in search.stages.values()]
    require_same_data(stage, *(history for _, history in known))
    clear_leftovers(stage.folder, known)


def _require_own_files(folder: StageFolder, history: History) -> None:
    for trial in history.in_order:
        for place in trial.checkpoints:
            folder.resolve(place)
