"""Which experiment a search's runs are in, whatever a person calls it by now."""

from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Experiment, ViewType

from search.settings import SearchSettings

_AT_ONCE: Final = 100
"""Experiments whose runs are asked for together."""


def find_experiment(client: MlflowClient, settings: SearchSettings) -> Experiment | None:
    """Return the experiment of a search: that of its name, else the renamed one that has its runs; None without either.

    Args:
        client: of the store.
        settings: of the search.

    Raises:
        MlflowException: when MLflow cannot be asked.
    """
    named = client.get_experiment_by_name(settings.name)
    return named if named is not None else _find_renamed(client, settings.search_id)


def _find_renamed(client: MlflowClient, search_id: str) -> Experiment | None:
    token = None
    while True:
        page = client.search_experiments(view_type=ViewType.ALL, max_results=_AT_ONCE, page_token=token)
        known = {each.experiment_id: each for each in page}
        query = f"tags.`search.id` = '{search_id}'"
        runs = client.search_runs([*known], query, run_view_type=ViewType.ALL, max_results=1) if known else []
        if runs:
            return known[runs[0].info.experiment_id]
        token = page.token
        if not token:
            return None
