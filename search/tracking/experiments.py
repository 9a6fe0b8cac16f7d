"""Where the runs of a search are in MLflow: its experiment, and the tags that its runs are found again by."""

from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.store.db.db_types import DATABASE_ENGINES

from search.place import Place
from search.settings import SearchSettings
from search.tracking.finding import find_experiment, require_present
from search.tracking.moved import bring_home
from search.tracking.names import name_own_run
from search.tracking.store import PARENT, database_file

SENT: Final = "search.sent"
"""The tag of a stage's own run that says how much of the journal it has."""
_JOURNAL: Final = "search.journal"
_MOST_EXPERIMENTS: Final = 1000
_MOST_SEARCHES: Final = 5000
"""Among which a search is looked for whose experiment has another name."""


def stage_tags(settings: SearchSettings, stage_name: str, journal: str) -> dict[str, str]:
    """Return what all runs of a stage are tagged with.

    Args:
        settings: of the search.
        stage_name: `search`, `confirm` or `retrain`.
        journal: what tells its journal from others, see `reading.identify`.
    """
    return {"search.id": settings.search_id, "search.stage": stage_name, _JOURNAL: journal}


def find_runs(client: MlflowClient, experiment_id: str, own: dict[str, str]) -> dict[int, Run]:
    """Return a stage's runs by trial, deleted ones too.

    Args:
        client: of the store.
        experiment_id: of the search.
        own: the stage's tags.
    """
    query = f"tags.`search.id` = '{own['search.id']}' and tags.`search.stage` = '{own['search.stage']}'"
    runs: dict[int, Run] = {}
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], query, run_view_type=ViewType.ALL, page_token=token, max_results=1000
        )
        for run in page:
            number = _number_of(run)
            is_own = run.data.tags.get(_JOURNAL, own[_JOURNAL]) == own[_JOURNAL]
            # Of two for one trial, of which one was deleted, the other is meant.
            if number is not None and is_own and (number not in runs or run.info.lifecycle_stage == "active"):
                runs[number] = run
        token = page.token
        if not token:
            return runs


def _number_of(run: Run) -> int | None:
    """Return the trial of a run; None where a person changed the tag that says it, so that it is nobody's."""
    try:
        return int(run.data.tags.get("search.trial", ""))
    except ValueError:
        return None


def find_run(client: MlflowClient, experiment_id: str, own: dict[str, str], trial: int) -> Run | None:
    """Return a stage's run of a trial that is not deleted, without looking at all others.

    Args:
        client: of the store.
        experiment_id: of the search.
        own: the stage's tags.
        trial: its number.
    """
    asked = {"search.id": own["search.id"], "search.stage": own["search.stage"], "search.trial": str(trial)}
    query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in asked.items())
    runs = client.search_runs([experiment_id], query)
    return next((run for run in runs if run.data.tags.get(_JOURNAL, own[_JOURNAL]) == own[_JOURNAL]), None)


def list_searches(client: MlflowClient, experiments: list[str], most: int) -> list[Run]:
    """Return the own runs of searches in experiments, the one that began last first.

    Args:
        client: of the store.
        experiments: ids of experiments.
        most: at most so many.
    """
    query = f"tags.`search.stage` = 'search' and tags.`search.trial` = '{PARENT}'"
    return [*client.search_runs(experiments, query, max_results=most)] if experiments else []


def find_search(client: MlflowClient, uri: str, given: str) -> Run | None:
    """Return the own run of a search, of several that one began last; None where MLflow knows none.

    Where a person called the experiment otherwise, either name is right.

    Args:
        client: of the store.
        uri: its address.
        given: the name of the search, or of its experiment.

    Raises:
        TrackingError: when the experiment was deleted.
    """
    experiment = client.get_experiment_by_name(given)
    if experiment is not None:
        require_present(experiment, uri)
    runs = list_searches(client, [experiment.experiment_id], 1) if experiment is not None else []
    if runs:
        return runs[0]
    known = [each.experiment_id for each in client.search_experiments(max_results=_MOST_EXPERIMENTS)]
    own = name_own_run(given, "search")
    return next((run for run in list_searches(client, known, _MOST_SEARCHES) if run.info.run_name == own), None)


def ensure_experiment(client: MlflowClient, settings: SearchSettings, place: Place) -> str:
    """Return the experiment of a search, which is made where there is none.

    Raises:
        TrackingError: when it was deleted.
    """
    experiment = find_experiment(client, settings)
    if experiment is not None:
        require_present(experiment, place.tracking_uri)
        found: str = experiment.experiment_id
        _bring_home(experiment, place)
        return found
    artifacts = None
    # Of a database without a server MLflow would take the folder that the command happens to run in.
    if place.tracking_uri.partition(":")[0].partition("+")[0] in DATABASE_ENGINES:
        artifacts = (place.storage / "mlartifacts" / settings.name).as_uri()
    created: str = client.create_experiment(
        settings.name, artifact_location=artifacts, tags={"mlflow.experimentKind": "custom_model_development"}
    )
    return created


def bring_search_home(client: MlflowClient, settings: SearchSettings, place: Place) -> None:
    """Let MLflow name the files of a search whose storage was moved or copied.

    Args:
        client: of the store.
        settings: of the search.
        place: where it is now.
    """
    experiment = find_experiment(client, settings)
    if experiment is not None:
        _bring_home(experiment, place)


def _bring_home(experiment: Experiment, place: Place) -> None:
    bring_home(database_file(place.tracking_uri), place.storage, experiment.artifact_location)
