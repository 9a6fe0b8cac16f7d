"""JSON files of runs: what is too much for parameters. No password stands in them."""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from search.tracking.artifacts import artifact_errors
from search.tracking_uri import mask_uri

CONFIGURATION_FILE: Final = "configuration.json"
"""Of a trial: every value of its configuration, its fold, and what of it was drawn."""
SETTINGS_FILE: Final = "settings.json"
"""Of a stage's own run: all settings, and where it ran last."""


def write_document(client: MlflowClient, run_id: str, name: str, content: dict[str, Any]) -> None:
    """Write a document into a run; one of its name is replaced."""
    client.log_dict(run_id, masked(content), name)


def read_document(client: MlflowClient, run_id: str, name: str) -> dict[str, Any]:
    """Return a document of a run; empty where it has none that can be read."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with artifact_errors():
                file = client.download_artifacts(run_id, name, folder)
            content = json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError, MlflowException):
            return {}
    return content if isinstance(content, dict) else {}


def masked(value: Any) -> Any:
    """Return what JSON holds with the user information of each address in it replaced by ***."""
    if isinstance(value, str):
        return mask_uri(value)
    if isinstance(value, dict):
        return {key: masked(each) for key, each in value.items()}
    return [masked(each) for each in value] if isinstance(value, list | tuple) else value
