"""What an earlier search tells a new one: what to try first, and trials to learn from; from its folder, or MLflow."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from search.folder import SearchFolder
from search.insight.importance import read_known
from search.memory.history import History
from search.memory.journal import read_history
from search.memory.outcome import FAILURES
from search.mirror import fetch_search
from search.opening import read_what
from search.place import Place
from search.propose.advisor import EARLIER_TRIALS
from search.propose.standing import rank_standings, thin_out
from search.space.first import validate_given
from search.storage import find_bucket, name_storage
from search.tracking.store import find_best_params
from search.tracking_uri import mask_uri
from segcore.errors import ConfigError

_WARM_STARTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierSearch:
    """What is known of an earlier search.

    Args:
        best: `TrainConfig` values of its best trials, at most three, the best first.
        trials: values of those that the space drew, each with its standing, see `EarlierTrial`; none where only MLflow
            knows the search.
    """

    best: list[dict[str, Any]]
    trials: list[tuple[dict[str, Any], float]] = field(default_factory=list)


def read_earlier(name: str, place: Place) -> EarlierSearch:
    """Return what is known of an earlier search.

    Args:
        name: its name; it is looked for in the storage, then in MLflow.
        place: of the search that is to start.

    Raises:
        ConfigError: when neither knows it, or it has no score.
        TrackingError: when MLflow cannot be asked.
    """
    folder = SearchFolder(root=place.storage / name)
    if (bucket := find_bucket(place.storage)) is not None:
        fetch_search(bucket, folder.root)
    if folder.settings.is_file():
        settings = read_what(folder)
        history = read_history(folder.search_stage.journal, settings.metric)
        found = EarlierSearch(best=_best_values(history), trials=_rank_trials(history, settings.epochs))
    else:
        found = EarlierSearch(best=find_best_params(place.tracking_uri, name, _WARM_STARTS))
    if not found.best:
        raise ConfigError(
            f"--warm-start {name}: neither {name_storage(place.storage)} nor MLflow at "
            f"{mask_uri(place.tracking_uri)} has a search of that name with a score; check the name, or leave "
            "--warm-start out."
        )
    return replace(found, best=[validate_given(values, f"--warm-start {name}") for values in found.best])


def _best_values(history: History) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for trial in history.ranked:
        if trial.outcome not in FAILURES and trial.values not in found:
            found.append(trial.values)
    return found[:_WARM_STARTS]


def _rank_trials(history: History, epochs: int) -> list[tuple[dict[str, Any], float]]:
    """Return as many trials as the model learns from, each with its standing among all."""
    trials, curves = read_known(history)
    standings = rank_standings(curves, epochs)
    return [(trials[place].values, float(standings[place])) for place in thin_out(standings, EARLIER_TRIALS)]
