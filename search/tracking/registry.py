"""The MLflow model registry: the ensemble as a versioned model that any machine loads.

What such a model does when it is loaded lives in `served`; how it is had back, in `fetching`; runs, in `runs`.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

import mlflow
import numpy as np
import numpy.typing as npt
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from search.folder import SearchFolder, StageFolder
from search.memory.journal import read_history
from search.place import Place
from search.settings import SearchSettings
from search.tracking.artifacts import artifact_errors
from search.tracking.check import is_away
from search.tracking.datasets import describe_dataset
from search.tracking.fetching import find_same, mark_same, note_digest
from search.tracking.interrupted import clear_interrupted
from search.tracking.model_page import ModelCard, crown
from search.tracking.run_page import run_page
from search.tracking.runs import StageRuns
from search.tracking.store import find_status, open_client, told
from search.tracking_uri import VARIABLE, mask_uri, unmask_uri
from segcore.errors import TrackingError
from segcore.prediction.ensemble_files import read_ensemble_notes, save_note

_HERE: Final = Path(__file__).resolve().parent
MODEL_NAME: Final = "ensemble"
"""What MLflow calls the model of a run; the registered one has the search's name."""
_EXAMPLE_SIDE: Final = 64
_FORBIDDEN: Final = 403
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A model that is in the registry.

    Args:
        address: such as models:/streets/1.
        digest: of its files.
        champion: which version is to be used, and why, in a sentence.
        known: whether it was there before, and nothing has changed since.
    """

    address: str
    digest: str
    champion: str
    known: bool


def register_model(settings: SearchSettings, place: Place, stage: StageFolder, model: Path, again: str) -> Registered:
    """Log the ensemble as an MLflow model and register it under the search's name, unless the newest version is it.

    Args:
        settings: the search.
        place: where MLflow is.
        stage: the retraining's files.
        model: the ensemble's directory.
        again: the command that registers it anew.

    Raises:
        TrackingError: when MLflow refuses.
    """
    card = ModelCard(settings=settings, document=read_ensemble_notes(model), data=_digest_data(settings, place, stage))
    uri, name, part = place.tracking_uri, settings.name, stage.root / "registered.part"
    try:
        runs = StageRuns(settings, place, "retrain", stage)
        save_note(model, "run", run_page(uri, runs.experiment_id, runs.parent_id))
        client = open_client(uri)
        clear_interrupted(client, runs.experiment_id, runs.parent_id, MODEL_NAME, name)
        same = find_same(uri, name, model, part)
        known = same is not None and same.is_marked
        version, digest = (same.version, same.digest) if same else _log(card, place, model, runs.parent_id, part)
        if not known:
            fetch = SearchFolder(root=stage.search or stage.root).command("fetch", "FOLDER")
            _introduce(client, name, version, card, card.describe(name, version, mask_uri(uri), fetch))
        champion = crown(client, name, version, card, is_new=not known)
        mark_same(uri, name, version, model)
    except TrackingError as error:
        # What it says to do comes before what is to be done again.
        raise TrackingError(
            f"The ensemble is in {model}, but MLflow did not take it. {error} After that, run '{again}' again."
        ) from error
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise TrackingError(
            f"The ensemble is in {model}, but MLflow did not take it ({told(error)}); "
            f"{_tell_when(error, name, uri)}, run '{again}' again."
        ) from error
    return Registered(address=f"models:/{name}/{version}", digest=digest, champion=champion, known=known)


def _log(card: ModelCard, place: Place, model: Path, run_id: str, part: Path) -> tuple[str, str]:
    """Log the ensemble to a run and register it; return its version and the digest of its files."""
    name = card.settings.name
    # Inputs are checked by the model itself: a schema would refuse a single image, and the whole numbers of JSON.
    classes = TensorSpec(np.dtype(np.uint8), (-1, -1, -1))
    # MLflow tells of what it registers as it goes.
    with (
        _current(place.tracking_uri),
        artifact_errors(),
        redirect_stderr(io.StringIO()),
        mlflow.start_run(run_id=run_id),
    ):
        info = mlflow.pyfunc.log_model(
            name=MODEL_NAME,
            python_model=str(_HERE / "served.py"),
            artifacts={"ensemble": str(model)},
            code_paths=[str(_HERE.parents[1] / "segcore")],
            signature=ModelSignature(outputs=Schema([classes])),
            metadata=card.tags,
            input_example=_draw_example(),
            pip_requirements=_served_requirements(),
            registered_model_name=name,
        )
    version = str(info.registered_model_version)
    return version, note_digest(place.tracking_uri, name, version, part)


def _tell_when(error: Exception, name: str, uri: str) -> str:
    if find_status(error) == _FORBIDDEN:
        return f"when its administrator lets this user log and register {name!r}"
    return "when the server answers" if is_away(error, uri) else "once that is mended"


def _draw_example() -> npt.NDArray[np.uint8]:
    """Return a small image (H, W, 3): dark below, light above."""
    light_H = np.linspace(255, 0, _EXAMPLE_SIDE).astype(np.uint8)
    return np.broadcast_to(light_H[:, None, None], (_EXAMPLE_SIDE, _EXAMPLE_SIDE, 3)).copy()


def _introduce(client: MlflowClient, name: str, version: str, card: ModelCard, page: str) -> None:
    """Let a version say what it is."""
    client.update_model_version(name, version, description=page)
    client.update_registered_model(name, description=page)
    for key, text in card.tags.items():
        client.set_model_version_tag(name, version, key, text)


def _digest_data(settings: SearchSettings, place: Place, stage: StageFolder) -> str:
    key = read_history(stage.journal, settings.metric).cache_key or ""
    return str(describe_dataset(settings, place, key, SearchFolder(root=stage.search or stage.root)).digest)


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
    return [f"{package}=={installed_version(package)}" for package in _SERVED_PACKAGES]
