"""What MLflow has of a search's best trials, for one that begins where the other's storage is not reached."""

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from search.memory.outcome import FAILURES
from search.settings import name_metric
from search.tracking.documents import CONFIGURATION_FILE, read_document
from search.tracking.experiments import find_search
from search.tracking.names import best_key_of
from search.tracking.store import PARENT, open_client, readable
from segcore.config import FIELD_NAMES
from segcore.scoring.objective import FIRST_METRIC


def find_best_params(uri: str, name: str, count: int) -> list[dict[str, Any]]:
    """Return the configurations of a search's best trials, the best first, as the search's own files have them.

    Args:
        uri: MLflow's address.
        name: of the search, or of its experiment; of several in one, the trials of all count.
        count: at most so many.

    Returns:
        `TrainConfig` values by name; none when MLflow knows no such search.

    Raises:
        TrackingError: when MLflow cannot be asked, or the experiment was deleted.
    """
    with readable(uri):
        client = open_client(uri)
        own = find_search(client, uri, name)
        if own is None:
            return []
        metric = f"metrics.`{best_key_of(name_metric(own.data.params.get('objective', '')) or FIRST_METRIC)}`"
        query = f"tags.`search.stage` = 'search' and tags.`search.trial` != '{PARENT}' and {metric} >= 0"
        order = [f"{metric} DESC", "attributes.start_time ASC"]
        runs = client.search_runs([own.info.experiment_id], query, order_by=order, max_results=10 * count)
        found: list[dict[str, Any]] = []
        for run in runs:
            if len(found) < count and run.data.tags.get("outcome") not in FAILURES:
                values = _read_values(client, run)
                found += [values] if values not in found else []
    return found


def _read_values(client: MlflowClient, run: Run) -> dict[str, Any]:
    """Return the configuration of a trial's run; where its file is lost, what of it are parameters."""
    document = read_document(client, run.info.run_id, CONFIGURATION_FILE)
    values = document.get("values", run.data.params)
    return {name: value for name, value in values.items() if name in FIELD_NAMES}
