"""What an earlier search found best, to be tried first by a new one: from its folder, or from MLflow."""

from typing import Any, Final

from search.finding import bring, is_name
from search.folder import SearchFolder
from search.memory.history import History
from search.memory.journal import read_history
from search.opening import read_what
from search.place import Place
from search.space.first import validate_given
from search.storage import name_storage
from search.tracking.best_runs import find_best_params
from search.tracking_uri import mask_uri
from segcore.errors import ConfigError

_WARM_STARTS: Final = 3


def read_earlier(name: str, place: Place) -> list[dict[str, Any]]:
    """Return the best configurations of an earlier search, at most three, the best first.

    Args:
        name: its name; it is looked for in the storage, then in MLflow.
        place: of the search that is to start.

    Raises:
        CheckpointError: when its files are damaged.
        ConfigError: when it is no name, neither knows it, or it has no score.
        TrackingError: when MLflow cannot be asked.
    """
    if not is_name(name):
        raise ConfigError(
            f"--warm-start {name!r} is no name of a search; give that of one in {name_storage(place.storage)} or in "
            "MLflow. One of another storage gives its best configuration by --seed-config STORAGE/NAME/best.json."
        )
    folder = SearchFolder(root=place.storage / name)
    bring(folder)
    if folder.settings.is_file():
        found = _best_values(read_history(folder.search_stage.journal, read_what(folder).metric))
    else:
        found = find_best_params(place.tracking_uri, name, _WARM_STARTS)
    if not found:
        raise ConfigError(
            f"--warm-start {name}: neither {name_storage(place.storage)} nor MLflow at "
            f"{mask_uri(place.tracking_uri)} has a search of that name with a score; check the name, or leave "
            "--warm-start out."
        )
    return [validate_given(values, f"--warm-start {name}") for values in found]


def _best_values(history: History) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for trial in history.eligible:
        if len(found) < _WARM_STARTS and trial.values not in found:
            found.append(trial.values)
    return found
