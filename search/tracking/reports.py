"""The report of a search as a file of its run in MLflow, where any machine that reaches the server opens it."""

from pathlib import Path

import sqlalchemy
from mlflow.exceptions import MlflowException

from search.folder import StageFolder
from search.place import Place
from search.settings import SearchSettings
from search.tracking.artifacts import artifact_errors
from search.tracking.experiments import bring_search_home, find_runs, stage_tags
from search.tracking.finding import find_experiment, require_present
from search.tracking.reading import identify
from search.tracking.store import PARENT, open_client, told
from search.tracking_uri import mask_uri
from segcore.errors import TrackingError


def report_link(experiment_id: str, run_id: str) -> str:
    """Return where MLflow's page shows the report of a search's own run, from the server's address on."""
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/report.html?workflowType=machine_learning"


def log_report(settings: SearchSettings, place: Place, stage: StageFolder, page: Path) -> None:
    """Write a page into the search's own run; one of its name is replaced. Without such a run nothing is written.

    Args:
        settings: of the search.
        place: where MLflow is.
        stage: files of the search itself.
        page: the file.

    Raises:
        TrackingError: when MLflow does not take it.
    """
    try:
        client = open_client(place.tracking_uri)
        experiment = find_experiment(client, settings)
        if experiment is None:
            return
        require_present(experiment, place.tracking_uri)
        bring_search_home(client, settings, place)
        own = stage_tags(settings, "search", identify(stage.journal))
        parent = find_runs(client, experiment.experiment_id, own).get(PARENT)
        if parent is not None and parent.info.lifecycle_stage == "active":
            with artifact_errors():
                client.log_artifact(parent.info.run_id, str(page))
    # A full disk is among it.
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise TrackingError(
            f"{page} is not in {mask_uri(place.tracking_uri)} ({told(error)}); then '{stage.command('sync')}' sends it."
        ) from error
