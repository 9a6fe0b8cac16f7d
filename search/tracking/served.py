"""The ensemble as an MLflow model: what `mlflow.pyfunc.load_model` runs, on any machine with torch.

MLflow stores this file with the model and runs it when loading, so it imports nothing of `search`.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
from mlflow.exceptions import MlflowException

from segcore.machine import detect_machine
from segcore.prediction.ensemble import Ensemble
from segcore.prediction.ensemble_files import load_ensemble

_WANTED = "give RGB images of bytes: (N, H, W, 3), or one (H, W, 3), or a list of such of any sizes"


class ServedEnsemble(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Takes RGB images of bytes and returns the class index of every pixel, uint8; 255 is background."""

    _ensemble: Ensemble

    def load_context(self, context: Any) -> None:
        """Load the networks from the model's files."""
        self._ensemble = load_ensemble(Path(context.artifacts["ensemble"]), detect_machine(1))

    def predict(
        self,
        context: Any,
        # Of this very type MLflow infers nothing, and says nothing.
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Return the class of every pixel: (N, H, W), of one image (H, W), of images of several sizes a list of such.

        Raises:
            MlflowException: for what is no image; of any other exception a server tells its clients nothing.
        """
        try:
            images = read_images(model_input)
        except ValueError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        classes = [self._ensemble.predict(image_HW3) for image_HW3 in images]
        if is_single(model_input):
            return classes[0]
        return np.stack(classes) if len({each.shape for each in classes}) == 1 else classes


def read_images(given: Any) -> list[npt.NDArray[np.uint8]]:
    """Return the images that were given, of one a list of it.

    Raises:
        ValueError: for what is no image.
    """
    if not isinstance(given, (np.ndarray, list, tuple)):
        raise ValueError(f"What came is no image but of the type {type(given).__name__}; {_WANTED}.")
    if is_single(given):
        return [read_image(given, "the image")]
    if (isinstance(given, np.ndarray) and not given.ndim) or not len(given):
        raise ValueError(f"There is no image; {_WANTED}.")
    return [read_image(image, f"image {number}") for number, image in enumerate(given)]


def is_single(given: Any) -> bool:
    """Say whether what was given is one image, not several."""
    if isinstance(given, np.ndarray):
        return given.ndim in (2, 3) and given.dtype != np.dtype(object)
    try:
        return np.ndim(given[0]) == 2 if len(given) else False
    except ValueError:
        # Lists of several lengths are no array; which image they are in is told when it is read.
        return False


def read_image(given: Any, name: str) -> npt.NDArray[np.uint8]:
    """Return an image as bytes; JSON has whole numbers alone.

    Args:
        given: an array, or lists of numbers.
        name: as a message calls it.

    Raises:
        ValueError: when it is none, with what it is.
    """
    try:
        image = np.asarray(given)
    except ValueError:
        raise ValueError(f"{name[0].upper()}{name[1:]} has rows of several lengths; {_WANTED}.") from None
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"{name[0].upper()}{name[1:]} has the shape {image.shape}; {_WANTED}.")
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind not in "iu" or image.min() < 0 or image.max() > 255:
        told = f"{image.dtype} from {image.min()} to {image.max()}" if image.dtype.kind in "iuf" else str(image.dtype)
        raise ValueError(f"{name[0].upper()}{name[1:]} holds {told}, not whole levels of 0 to 255; {_WANTED}.")
    return image.astype(np.uint8)


mlflow.models.set_model(ServedEnsemble())
