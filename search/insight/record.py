"""All that a search has left in its folder, read at once: what answers, report and Python API are made of.

Nothing is written, and a search that runs may be read. Reading needs neither Ray nor MLflow nor torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from search.folder import SearchFolder
from search.insight.stops import Stops
from search.memory.best import Confirmation, Winner
from search.memory.events import Closed
from search.memory.history import History, TrialRecord
from search.memory.journal import Follower, replay
from search.opening import read_search
from search.place import Place
from search.settings import SearchSettings
from search.verdict.selection import choose_best, choose_confirmed
from segcore.data.dividing.split import read_folds


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a search.

    Args:
        folder: its files.
        settings: what it is.
        place: where it ran last.
        history: its trials.
        stops: what ASHA stopped, and what went on.
        confirmation: trainings of its best on further folds; empty without any.
        retraining: trainings of the winner on all folds; empty without any.
        best: the winner as it is now; None before a trial has a score.
    """

    folder: SearchFolder
    settings: SearchSettings
    place: Place
    history: History
    stops: Stops
    confirmation: History
    retraining: History
    best: Winner | None

    @property
    def metric(self) -> str:
        """What decides."""
        return self.settings.metric

    @property
    def stages(self) -> Mapping[str, History]:
        """The trainings of every stage that has begun, by its name."""
        known = {"search": self.history, "confirm": self.confirmation, "retrain": self.retraining}
        return {name: history for name, history in known.items() if history.trials}

    @property
    def confirmed(self) -> Confirmation | None:
        """What a confirmation said of the winner; None without one."""
        return self.best.confirmation if self.best is not None else None

    @property
    def retrained(self) -> bool:
        """Whether the retraining of the winner has come to its end."""
        return self.retraining.closed is not None

    @property
    def winner_trainings(self) -> list[TrialRecord]:
        """The retraining's trainings of the winner, which name no other; further ones may have joined an ensemble."""
        return [trial for trial in self.retraining.in_order if trial.source is None]

    @property
    def is_retraining_current(self) -> bool:
        """Whether who is retrained has won now: more trials, or a confirmation, may have named another since."""
        trained = next(iter(self.retraining.trials.values()), None)
        return trained is not None and self.best is not None and self.best.is_trained_by(trained.values)

    @property
    def is_model_current(self) -> bool:
        """Whether the model is of who has won now."""
        return self.retrained and self.is_retraining_current

    @property
    def winner_retraining(self) -> Closed | None:
        """What the retraining of who has won now came to; None before its end, and where it is of an earlier winner."""
        return self.retraining.closed if self.is_retraining_current else None


def read_record(folder: SearchFolder, *followers: Follower) -> Record:
    """Read a search.

    Args:
        folder: its files.
        followers: are told the events of the search itself, the very ones that its trials follow from.

    Raises:
        CheckpointError: when its files are damaged.
        ConfigError: when its folder has a name that no search may have.
    """
    settings, place = read_search(folder)
    histories = {name: History(settings.metric) for name in folder.stages}
    stops = Stops()
    replay(folder.search_stage.journal, histories["search"], stops, *followers)
    for name in ("confirm", "retrain"):
        replay(folder.stages[name].journal, histories[name])
    return Record(
        folder=folder,
        settings=settings,
        place=place,
        history=histories["search"],
        stops=stops,
        confirmation=histories["confirm"],
        retraining=histories["retrain"],
        best=_find_best(folder, settings, histories["search"], histories["confirm"]),
    )


def _find_best(
    folder: SearchFolder, settings: SearchSettings, history: History, confirmation: History
) -> Winner | None:
    # Not from the file: that of a search that goes on is of before.
    if not history.eligible:
        return None
    if not folder.folds.is_file():
        return choose_best(history, settings)
    return choose_confirmed(history, confirmation, settings, read_folds(folder.folds))
