"""What MLflow shows of a trial's configuration: a name to read, the choices that were drawn, all values as a file.

A confirmation and a retraining train a configuration of the search again: their runs have its number and its choices.
"""

from typing import Any

from search.folder import SearchFolder, StageFolder
from search.memory.events import Asked
from search.memory.history import History, TrialRecord
from search.memory.journal import read_history
from search.settings import SearchSettings
from search.tracking.names import describe_configuration


class Configurations:
    """Describes the configurations of a stage's trials.

    Args:
        settings: of the search.
        stage_name: `search`, `confirm` or `retrain`.
        folder: the stage's files.
        history: the stage's trials, those asked for before included.
    """

    def __init__(self, settings: SearchSettings, stage_name: str, folder: StageFolder, history: History) -> None:
        self._settings = settings
        self._in_search = stage_name == "search"
        self._search = SearchFolder(root=folder.search or folder.root)
        self._history = history
        self._searched: History | None = None

    def name(self, event: Asked) -> str:
        """Return the name of a trial's run, such as resnet34 crop512 ce+jaccard #17, fold 3."""
        told = describe_configuration(event.values, self.find_source(event))
        return told if self._in_search else f"{told}, {self._place(event)}"

    def params(self, event: Asked) -> dict[str, Any]:
        """Return what was drawn; of a training anew also what tells it from others of its configuration."""
        source = self.find_source(event)
        if self._in_search:
            return self._drawn(event)
        again = {} if source is None else {"configuration": f"#{source}"}
        if event.copy_of is not None:
            # A mean over the folds of a configuration would count it twice.
            again = {"copy_of": f"#{event.copy_of} of the confirmation"}
        by = {"fold": event.fold} if self._settings.folds > 1 else {"seed": event.values["seed"]}
        return {**self._drawn_by(source, event), **again, **by}

    def document(self, event: Asked) -> dict[str, Any]:
        """Return all that is known of a configuration."""
        return {
            "trial": event.trial,
            "configuration": self.find_source(event),
            "fold": event.fold,
            "drawn": sorted(self.params(event).keys() & event.values.keys()),
            "values": event.values,
        }

    def find_source(self, event: Asked) -> int | None:
        """Return the search's trial of a configuration; None where it cannot be found."""
        if self._in_search or event.source is not None:
            return event.trial if self._in_search else event.source
        # A retraining names none: of those with the same choices the best is retrained.
        alike = (trial.number for trial in self._ranked if trial.params and _agrees(trial, event.values))
        return next(alike, None)

    @property
    def _ranked(self) -> list[TrialRecord]:
        if self._searched is None:
            self._searched = read_history(self._search.search_stage.journal, self._settings.metric)
        return self._searched.ranked

    def _drawn(self, event: Asked) -> dict[str, Any]:
        if event.params:
            return event.params
        # One that was given and could not have been drawn is compared by what all others have.
        drawn = [trial.params for trial in self._history.in_order if trial.params]
        common = set.intersection(*map(set, drawn)) if drawn else set()
        return {name: event.values[name] for name in sorted(common) if name in event.values}

    def _drawn_by(self, source: int | None, event: Asked) -> dict[str, Any]:
        searched = next((trial for trial in self._ranked if trial.number == source), None)
        return {name: event.values[name] for name in searched.params if name in event.values} if searched else {}

    def _place(self, event: Asked) -> str:
        return f"fold {event.fold}" if self._settings.folds > 1 else f"seed {event.values['seed']}"


def _agrees(trial: TrialRecord, values: dict[str, Any]) -> bool:
    return all(values.get(name) == value for name, value in trial.params.items())
