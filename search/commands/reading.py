"""What commands that only read know of a search: what is in its folder, and whether a process is running it.

How it is shown is in `state` and `tables`, what programs get of it in `documents`.
"""

from dataclasses import dataclass, replace
from typing import Final

from search.fetched import read_fetched
from search.finding import find_driven, is_driven_elsewhere
from search.folder import SearchFolder
from search.insight.record import Record, read_record
from search.insight.time_left import count_at_once, estimate_seconds_left, estimate_trainings_left
from search.judge.asha import Asha
from search.judge.progress import build_asha, is_over
from search.memory.history import History
from search.opening import read_what
from search.verdict.rounds import count_planned
from search.verdict.selection import count_overtaken

RUNNING: Final = {"search": "running", "confirm": "confirming", "retrain": "retraining"}
"""State of a search by the stage that a process runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A search as it was found.

    Args:
        record: what it has left in its folder.
        asha: its judge, which has learnt the same events.
        driven: name of the stage that a process runs now; empty when none does.
    """

    record: Record
    asha: Asha
    driven: str

    @property
    def is_over(self) -> bool:
        """Whether the search itself has nothing left to do."""
        return is_over(self.record.settings, self.record.history, self.asha)

    @property
    def state(self) -> str:
        """How far the search is, in a word or two."""
        if self.driven:
            return RUNNING[self.driven]
        if not self.is_over:
            return "out of time" if self.is_out_of_time else "interrupted"
        record = self.record
        if not record.history.eligible:
            return "failed"
        last = record.retraining if record.retraining.trials else record.confirmation
        if last.trials and last.closed is None:
            return "interrupted"
        return "retrained" if record.is_model_current else "finished"

    @property
    def is_out_of_time(self) -> bool:
        """Whether its time budget is spent."""
        budget_seconds = self.record.settings.time_budget_seconds
        return bool(budget_seconds) and self.record.history.spent_seconds >= budget_seconds

    @property
    def planned_trainings(self) -> int:
        """Trainings that the confirmation or retraining which runs is to have at most, with those of earlier runs."""
        record, trainings = self.record, _stages_of(self.record)[self.driven]
        planned = count_planned(self.driven, record.settings)
        if self.driven == "confirm":
            planned += count_overtaken(record.history, trainings, record.settings)
        # Further configurations may be trained for an ensemble.
        return max(planned, len(trainings.trials))

    @property
    def seconds_left(self) -> float | None:
        """Of the stage that runs, or of the search once it goes on; None where nothing tells or nothing is left."""
        record = self.record
        if self.driven in ("confirm", "retrain"):
            trainings = _stages_of(record)[self.driven]
            return estimate_trainings_left(trainings, record.history, self.planned_trainings)
        at_once = count_at_once(record.history)
        if at_once is None or (self.is_over and not self.driven):
            return None
        # Who goes on after a budget was granted more time, which the settings know nothing of.
        settings = replace(record.settings, time_budget_seconds=0.0) if self.is_out_of_time else record.settings
        return estimate_seconds_left(record.history, settings, at_once) or None


def look_at(folder: SearchFolder) -> Look:
    """Read a search; nothing is written.

    Raises:
        CheckpointError: when a file of it is damaged.
        StorageError: when its bucket cannot be read.
    """
    asha = build_asha(read_what(folder))
    record = read_record(folder, asha)
    stages = _stages_of(record)
    driven = _find_driven(folder, stages)
    for name, history in stages.items():
        if name != driven:
            history.halt()
    return Look(record=record, asha=asha, driven=driven)


def _stages_of(record: Record) -> dict[str, History]:
    return {"search": record.history, "confirm": record.confirmation, "retrain": record.retraining}


def _find_driven(folder: SearchFolder, stages: dict[str, History]) -> str:
    """Return the name of the stage that a process runs, on this machine or another; empty when none does."""
    if (fetched := read_fetched(folder.root.parent)) is not None:
        return fetched.driven
    here = find_driven(folder)
    if here or not is_driven_elsewhere(folder):
        return here
    # A driver elsewhere says that it lives, and the journal what it does.
    return next((name for name in reversed(stages) if stages[name].is_open), "search")
