"""Deletes from MLflow what a registration left there that was killed or stopped.

MLflow logs a model first and makes a version of it then, which is introduced only after that: whoever looks for the
search's model would find it several times, and some of them without a digest that can be compared.
"""

from contextlib import suppress

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException


def clear_interrupted(client: MlflowClient, experiment_id: str, run_id: str, name: str, registered: str) -> None:
    """Delete a run's versions of which nothing was noted, and its models that became no version.

    A version of another registered model is a person's own, and so is one of a model that another version has; each
    keeps its model.

    Args:
        client: of the store.
        experiment_id: of the run.
        run_id: of the retraining, which nobody else registers meanwhile.
        name: of the models that it logs.
        registered: the registered model to whose versions they are made.
    """
    # Who may not delete, or has a server that cannot, keeps them beside the new one.
    with suppress(MlflowException):
        versions = list(client.search_model_versions(f"run_id = '{run_id}'"))
        models = list(client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'"))
        kept = {version.source for version in versions if version.name != registered or _says_something(version)}
        for model in models:
            if not kept.isdisjoint(addresses := (model.model_uri, model.artifact_location)):
                kept.update(addresses)
        for version in versions:
            if version.source not in kept:
                client.delete_model_version(version.name, version.version)
        for model in models:
            if model.name == name and model.model_uri not in kept:
                client.delete_logged_model(model.model_id)


def _says_something(version: ModelVersion) -> bool:
    return bool(version.tags or version.description or version.aliases)
