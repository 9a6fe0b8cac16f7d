"""The MLflow model registry: the ensemble as a versioned model that any machine loads.

What such a model does when it is loaded lives in `served`; how it is had back, in `fetching`; runs, in `runs`.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from search.folder import StageFolder
from search.place import Place
from search.settings import SearchSettings
from search.tracking.fetching import note_digest
from search.tracking.run_page import run_page
from search.tracking.runs import StageRuns
from search.tracking.store import told
from search.tracking_uri import VARIABLE, unmask_uri
from segcore.errors import TrackingError
from segcore.prediction.ensemble import save_note

_HERE: Final = Path(__file__).resolve().parent
_SERVED_PACKAGES: Final = (
    "filelock",
    "huggingface_hub",
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pydantic",
    "safetensors",
    "segmentation-models-pytorch",
    "timm",
    "torch",
)


def register_model(settings: SearchSettings, place: Place, stage: StageFolder, model: Path) -> tuple[str, str]:
    """Log the ensemble as an MLflow model and register it under the search's name.

    Args:
        settings: the search.
        place: where MLflow is.
        stage: the retraining's files.
        model: the ensemble's directory.

    Returns:
        The model's address, such as `models:/streets/1`, and the digest of its files.

    Raises:
        TrackingError: when MLflow refuses.
    """
    # Without names: MLflow wraps the array for a named tensor into a dictionary.
    pixels = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))
    classes = TensorSpec(np.dtype(np.uint8), (-1, -1, -1))
    try:
        runs = StageRuns(settings, place, "retrain", stage)
        save_note(model, "run", run_page(place.tracking_uri, runs.experiment_id, runs.parent_id))
        # MLflow warns at length that it cannot infer a signature from type hints; the model has an explicit one.
        with warnings.catch_warnings(), _current(place.tracking_uri), mlflow.start_run(run_id=runs.parent_id):
            warnings.simplefilter("ignore", UserWarning)
            info = mlflow.pyfunc.log_model(
                name="ensemble",
                python_model=str(_HERE / "served.py"),
                artifacts={"ensemble": str(model)},
                code_paths=[str(_HERE.parents[1] / "segcore")],
                signature=ModelSignature(inputs=Schema([pixels]), outputs=Schema([classes])),
                pip_requirements=_served_requirements(),
                registered_model_name=settings.name,
            )
        registered = str(info.registered_model_version)
        digest = note_digest(place.tracking_uri, settings.name, registered, stage.root / "registered.part")
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise TrackingError(
            f"The ensemble is in {model}, but MLflow did not take it ({told(error)}); "
            f"when the server answers, run '{stage.command('retrain')}' again."
        ) from error
    return f"models:/{settings.name}/{registered}", digest


@contextmanager
def _current(uri: str) -> Iterator[None]:
    # MLflow leaves its address in the environment, where it would become the default of searches that follow.
    before = os.environ.get(VARIABLE)
    mlflow.set_tracking_uri(unmask_uri(uri))
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ[VARIABLE] = before


def _served_requirements() -> list[str]:
    return [f"{package}=={version(package)}" for package in _SERVED_PACKAGES]
