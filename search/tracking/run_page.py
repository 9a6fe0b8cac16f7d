"""The address of a run's page in MLflow, which a model names as where it comes from."""

from typing import Final

from search.tracking_uri import server_page

_SERVED: Final = "http://127.0.0.1:5000"
"""Where `search ui` serves a database of this machine, unless told otherwise."""


def run_page(uri: str, experiment_id: str, run_id: str) -> str:
    """Return the address of a run's page: on its server, or where a database of this machine is usually served.

    Args:
        uri: MLflow's address.
        experiment_id: of the run.
        run_id: the run's.
    """
    server = uri if uri.startswith("http") else _SERVED
    # Without it a fresh browser opens another kind of page.
    return server_page(server, f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning")
