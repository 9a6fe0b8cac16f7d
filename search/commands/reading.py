"""What the reading commands know of a search: its settings, the trials of its stages, and who is at work in it.

How it is shown is in `state` and `tables`, what programs get of it in `documents`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from search.finding import is_driven_elsewhere, is_in_use
from search.folder import SearchFolder
from search.judge.asha import Asha
from search.judge.progress import build_asha, is_over
from search.memory.best import read_best
from search.memory.history import History
from search.memory.journal import read_history, replay
from search.opening import read_what
from search.place import Place, read_place
from search.settings import SearchSettings

RUNNING: Final = {"search": "running", "confirm": "confirming", "retrain": "retraining"}
"""State of a search by the stage that a process runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A search as it was found.

    Args:
        folder: its files.
        settings: what it is.
        place: where it ran last; None where that is not known.
        history: the search's trials.
        asha: its judge, which has learnt the same events.
        trainings: those of the confirmation.
        retrainings: those of the retraining.
        driven: name of the stage that a process runs now; empty when none does.
    """

    folder: SearchFolder
    settings: SearchSettings
    place: Place | None
    history: History
    asha: Asha
    trainings: History
    retrainings: History
    driven: str

    @property
    def stages(self) -> dict[str, History]:
        """The trials of each stage by its name, in the order in which stages run."""
        return {"search": self.history, "confirm": self.trainings, "retrain": self.retrainings}

    @property
    def state(self) -> str:
        """How far the search is, in a word or two."""
        if self.driven:
            return RUNNING[self.driven]
        if not is_over(self.settings, self.history, self.asha):
            return "out of time" if self.is_out_of_time else "interrupted"
        return "retrained" if self.retrainings.closed is not None else "finished"

    @property
    def is_out_of_time(self) -> bool:
        """Whether its time budget is spent."""
        budget_seconds = self.settings.time_budget_seconds
        return bool(budget_seconds) and self.history.spent_seconds >= budget_seconds

    @property
    def best_file(self) -> dict[str, Any] | None:
        """What `best.json` holds; None while there is none.

        Raises:
            CheckpointError: when it is damaged.
        """
        return read_best(self.folder.best) if self.folder.best.is_file() else None


def look_at(folder: SearchFolder) -> Look:
    """Read a search; nothing is written.

    Raises:
        CheckpointError: when a file of it is damaged.
        StorageError: when its bucket cannot be read.
    """
    settings = read_what(folder)
    history, asha = History(settings.metric), build_asha(settings)
    replay(folder.search_stage.journal, history, asha)
    others = {name: read_history(stage.journal, settings.metric) for name, stage in list(folder.stages.items())[1:]}
    stages = {"search": history, **others}
    driven = find_driven(folder, stages)
    for name, each in stages.items():
        if name != driven:
            each.halt()
    return Look(
        folder=folder,
        settings=settings,
        place=_read_place(folder.place),
        history=history,
        asha=asha,
        trainings=others["confirm"],
        retrainings=others["retrain"],
        driven=driven,
    )


def find_driven(folder: SearchFolder, stages: dict[str, History]) -> str:
    """Return the name of the stage that a process runs, on this machine or another; empty when none does.

    Args:
        folder: the search's files.
        stages: the trials of each stage by its name.
    """
    here = next((name for name, stage in folder.stages.items() if is_in_use(stage)), "")
    if here or not is_driven_elsewhere(folder):
        return here
    # A driver elsewhere says that it lives, and the journal what it does.
    return next((name for name, history in reversed(stages.items()) if history.is_open), "search")


def _read_place(file: Path) -> Place | None:
    return read_place(file) if file.is_file() else None
