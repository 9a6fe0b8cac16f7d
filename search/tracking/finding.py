"""Which experiment a search's runs are in, whatever a person calls it by now."""

import shlex
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType

from search.settings import SearchSettings
from search.tracking_uri import VARIABLE, mask_uri
from segcore.errors import TrackingError

_AT_ONCE: Final = 100
"""Experiments whose runs are asked for together."""


def find_experiment(client: MlflowClient, settings: SearchSettings) -> Experiment | None:
    """Return the experiment of a search: that which has its runs, whatever its name, else that of its name.

    Args:
        client: of the store.
        settings: of the search.

    Returns:
        None where MLflow has neither.

    Raises:
        MlflowException: when MLflow cannot be asked.
    """
    named = client.get_experiment_by_name(settings.name)
    if named is not None and _list_runs(client, [named.experiment_id], settings.search_id):
        return named
    # Of the name there may be another search's by now.
    return _find_renamed(client, settings.search_id) or named


def require_present(experiment: Experiment, uri: str) -> None:
    """Raise `TrackingError` for an experiment that a person deleted, with how it is had back or made anew.

    Args:
        experiment: of a search.
        uri: MLflow's address.
    """
    if experiment.lifecycle_stage != "deleted":
        return
    number, database = experiment.experiment_id, "DATABASE" if uri.startswith("http") else shlex.quote(mask_uri(uri))
    with_address = f"{VARIABLE}={shlex.quote(mask_uri(uri))} python -m mlflow"
    raise TrackingError(
        f"MLflow's experiment {experiment.name!r} is deleted; restore it by '{with_address} experiments restore "
        f"--experiment-id {number}'; or remove it for good, and a new one is made, by '{with_address} gc "
        f"--experiment-ids {number} --backend-store-uri {database}'"
        + (" with that server's database." if uri.startswith("http") else ".")
    )


def _find_renamed(client: MlflowClient, search_id: str) -> Experiment | None:
    token = None
    while True:
        page = client.search_experiments(view_type=ViewType.ALL, max_results=_AT_ONCE, page_token=token)
        known = {each.experiment_id: each for each in page}
        if runs := _list_runs(client, [*known], search_id):
            return known[runs[0].info.experiment_id]
        token = page.token
        if not token:
            return None


def _list_runs(client: MlflowClient, experiments: list[str], search_id: str) -> list[Run]:
    """Return a run of a search in experiments, or none."""
    query = f"tags.`search.id` = '{search_id}'"
    return [*client.search_runs(experiments, query, run_view_type=ViewType.ALL, max_results=1)] if experiments else []
