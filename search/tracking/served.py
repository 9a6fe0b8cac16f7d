"""The ensemble as an MLflow model: what `mlflow.pyfunc.load_model` runs, on any machine with torch.

MLflow stores this file with the model and runs it when loading, so it imports nothing of `search`.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt

from segcore.machine import detect_machine
from segcore.prediction.ensemble import Ensemble, load_ensemble


class ServedEnsemble(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Takes uint8 RGB images (N, H, W, 3) and returns class indices (N, H, W), uint8, 255 as background."""

    _ensemble: Ensemble

    def load_context(self, context: Any) -> None:
        """Load the networks from the model's files."""
        self._ensemble = load_ensemble(Path(context.artifacts["ensemble"]), detect_machine(1))

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> npt.NDArray[np.uint8]:
        """Return the class of every pixel."""
        return np.stack([self._ensemble.predict(np.asarray(image_HW3)) for image_HW3 in model_input])


mlflow.models.set_model(ServedEnsemble())
