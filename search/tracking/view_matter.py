"""What a search has to show in MLflow's prepared views by now: its metrics, what it drew, its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.memory.history import History, TrialRecord
from search.tracking.names import CLASSES, CONDITIONS, best_key_of, key_made_of, key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a search has to show.

    Args:
        metric: what decides.
        params: what every trial drew.
        some_params: what only some drew.
        classes: metrics of classes.
        conditions: metrics of conditions.
        pictures: keys of pictures.
        hours: metric of what a trial cost.
        metrics: whatever some trial reported at last that is not 0.
    """

    metric: str
    params: Sequence[str]
    some_params: Sequence[str]
    classes: Sequence[str]
    conditions: Sequence[str]
    pictures: Sequence[str]
    hours: str
    metrics: frozenset[str]

    @property
    def key(self) -> str:
        """MLflow's name of the metric that decides."""
        return key_of(self.metric)

    @property
    def best(self) -> str:
        """The highest score of a trial."""
        return best_key_of(self.metric)

    @property
    def confirmed(self) -> str:
        """The score on further folds."""
        return key_made_of("confirmed_", self.metric)

    @property
    def out_of_fold(self) -> str:
        """The score of the retraining."""
        return key_made_of("out_of_fold_", self.metric)


def look_at(history: History, hours: str, picture_keys: Sequence[str]) -> Shown:
    """Return what a search has to show by now.

    Args:
        history: its trials.
        hours: metric of what a trial cost.
        picture_keys: of the pictures that its runs have.
    """
    trials = history.in_order
    last = [trial.epochs[trial.last_epoch].metrics for trial in trials if trial.epochs]
    seen = {key_of(name) for metrics in last for name, value in metrics.items() if value != 0}
    drawn = [trial.params.keys() for trial in trials if trial.params]
    common = set.intersection(*map(set, drawn)) if drawn else set()
    return Shown(
        metric=history.metric,
        params=sorted(common, key=lambda name: _place_of(name, trials)),
        some_params=sorted(set().union(*drawn) - common),
        classes=sorted(name for name in seen if name.startswith(CLASSES)),
        conditions=sorted(name for name in seen if name.startswith(CONDITIONS)),
        pictures=sorted(picture_keys),
        hours=hours,
        metrics=frozenset(seen),
    )


def _place_of(name: str, trials: Sequence[TrialRecord]) -> int:
    """Return where a space draws a choice."""
    return min([*trial.params].index(name) for trial in trials if name in trial.params)
